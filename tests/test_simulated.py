"""The command that simulates days: what it writes, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from resources.feed import count_records
from resources.raw_files import day_file
from tests.conftest import DAY
from tests.place import REPOSITORY


def simulate(raw: Path, *options: str, days: str = str(DAY)) -> subprocess.CompletedProcess[str]:
    """The command, for `DAY` or others."""
    return subprocess.run(
        [sys.executable, "-m", "resources.simulated", *days.split(), "--raw", str(raw), *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


def test_a_day_is_written_where_it_has_no_file(tmp_path: Path) -> None:
    path = day_file(tmp_path, "NQ", DAY)
    first = simulate(tmp_path, "--root", "nq", "--events", "500")
    assert first.stdout.startswith(f"{path}: 500 events")
    assert count_records(path) == 500


@pytest.mark.parametrize("name", [f"glbx-mdp3-{DAY:%Y%m%d}.mbp-10.dbn.zst", f"{DAY:%Y%m%d}.dbn"])
def test_a_file_of_the_day_is_neither_replaced_nor_joined(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ES" / name
    path.parent.mkdir()
    path.write_bytes(b"bought")
    refused = simulate(tmp_path, "--events", "500")
    assert refused.returncode == 2
    assert f"error: {path} is there; delete it, or name another folder" in refused.stderr
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
def test_senseless_options_are_refused(option: str, why: str, tmp_path: Path) -> None:
    refused = simulate(tmp_path, option)
    assert refused.returncode == 2
    assert "error: " in refused.stderr
    assert why in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list(tmp_path.rglob("*.zst"))


def test_no_day_is_written_if_the_market_is_closed_on_one(tmp_path: Path) -> None:
    refused = simulate(tmp_path, "--events", "500", days=f"{DAY} 2025-06-07")
    assert refused.returncode == 2
    assert "error: 2025-06-07 is a Saturday: the market is closed all day" in refused.stderr
    assert not list(tmp_path.rglob("*.zst"))
