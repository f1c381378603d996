"""The command that simulates days: what it writes, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from resources import simulated
from resources.feed import count_records
from resources.raw_files import day_file
from tests.conftest import DAY, Ended


@pytest.fixture
def simulate(command: Callable[..., Ended], tmp_path: Path) -> Callable[..., Ended]:
    """Runs the command on the test's folder."""
    return lambda *options: command(simulated.main, "--raw", tmp_path, *options)


def test_a_day_is_written_where_it_has_no_file(simulate: Callable, tmp_path: Path) -> None:
    path = day_file(tmp_path, "NQ", DAY)
    first = simulate(DAY, "--root", "nq", "--events", 500)
    assert first.out.startswith(f"{path}: 500 events")
    assert count_records(path) == 500


@pytest.mark.parametrize("name", [f"glbx-mdp3-{DAY:%Y%m%d}.mbp-10.dbn.zst", f"{DAY:%Y%m%d}.dbn"])
def test_a_file_of_the_day_is_neither_replaced_nor_joined(
    name: str, simulate: Callable, tmp_path: Path
) -> None:
    path = tmp_path / "ES" / name
    path.parent.mkdir()
    path.write_bytes(b"bought")
    refused = simulate(DAY, "--events", 500)
    assert refused.code == 2
    assert f"error: {path} exists; delete it, or name another folder" in refused.err
    assert [path.read_bytes() for path in tmp_path.rglob("*.dbn*")] == [b"bought"]


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--events=0", "must be"),
        ("--dirt=-1", "must be"),
        ("--tick=0", "must be"),
        ("--tick=nan", "must be"),
        ("--price=inf", "must be"),
        ("--root=CL", "invalid choice: 'CL'"),
    ],
)
def test_senseless_options_are_refused(
    option: str, why: str, simulate: Callable, tmp_path: Path
) -> None:
    refused = simulate(DAY, option)
    assert refused.code == 2
    assert "error: " in refused.err
    assert why in refused.err
    assert not list(tmp_path.rglob("*.zst"))


def test_no_day_is_written_if_the_market_is_closed_on_one(
    simulate: Callable, tmp_path: Path
) -> None:
    refused = simulate(DAY, "2025-06-07", "--events", 500)
    assert refused.code == 2
    assert "error: 2025-06-07 is a Saturday: the market is closed all day" in refused.err
    assert not list(tmp_path.rglob("*.zst"))


def test_a_folder_that_cannot_be_written_to_is_told(simulate: Callable) -> None:
    refused = simulate(DAY, "--events", 500, "--raw", "/dev/null")
    assert refused.code == 2
    assert "error: cannot write to /dev/null: " in refused.err
    assert "name another folder with --raw" in refused.err
