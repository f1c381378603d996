"""The command that simulates days: what it writes, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from resources.feed import count_records, day_file
from tests.conftest import DAY
from tests.place import REPOSITORY


def simulate(raw: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The command, for `DAY`."""
    return subprocess.run(
        [sys.executable, "-m", "resources.simulated", str(DAY), "--raw", str(raw), *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


def test_a_day_is_written_and_no_file_that_is_there_replaced(tmp_path: Path) -> None:
    path = day_file(tmp_path, "NQ", DAY)
    first = simulate(tmp_path, "--root", "nq", "--events", "500")
    assert first.stdout.startswith(f"{path}: 500 events")
    assert count_records(path) == 500

    path.write_bytes(b"bought")
    second = simulate(tmp_path, "--root", "nq", "--events", "500")
    assert second.returncode == 2
    assert f"error: {path} is there; delete it, or name another folder" in second.stderr
    assert path.read_bytes() == b"bought"


@pytest.mark.parametrize(
    "option", ["--events=0", "--dirt=-1", "--tick=0", "--tick=nan", "--price=inf"]
)
def test_senseless_numbers_are_refused(option: str, tmp_path: Path) -> None:
    refused = simulate(tmp_path, option)
    assert refused.returncode == 2
    assert "error: " in refused.stderr
    assert "must be" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list(tmp_path.rglob("*.zst"))
