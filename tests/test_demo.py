"""The first run: what it makes and says, and that what stands in its way is told in a line."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest

from pipeline_assets import demo, report
from tests.conftest import DAY, Ended
from tests.place import REPOSITORY, Place


def test_a_day_is_simulated_and_made_and_shown(tmp_path: Path) -> None:
    with Place(tmp_path) as place:
        place.run("demo", f"python -m pipeline_assets.demo --events 2000 {DAY}")
        assert place.end_of("demo") == 0, place.log("demo")
        assert place.has_whole_day(DAY)
        said = place.log("demo")
        assert f"\n{DAY} ES: raw files, simulated unless they are there ...\n" in said
        ticks, bars = place.rows("clean_ticks", DAY), place.rows("bar5s", DAY)
        assert f"| {DAY} | ES   | {ticks:,} | {bars:,} |" in said
        assert f"\ntables:    {place.lake}\n" in said
        (run,) = place.instance.get_runs()
        assert (run.job_name, run.tags["dagster/partition"]) == ("trading_day", str(DAY))


def test_a_day_that_cannot_be_made_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "materialise", sys.exit)  # as a process of its own, not this one
    with pytest.raises(SystemExit, match=f"error: {DAY} was not made; see above"):
        demo.seconds_of(DAY)


def test_a_senseless_setting_is_told_in_a_line(tmp_path: Path) -> None:
    """Settings may lie in a file, as for Dagster's commands."""
    (tmp_path / ".env").write_text("MBP10_ROOTS=ES,SI\n")
    run = subprocess.run(
        [sys.executable, "-m", "pipeline_assets.demo"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("error: MBP10_ROOTS names SI, known are ES")
    assert run.stderr.count("\n") == 1


def test_a_home_that_dagster_takes_for_a_pattern_is_told_in_a_line(tmp_path: Path) -> None:
    """Its dagster.yaml would be left unread: no retries, and as many dates at once as there are."""
    home = tmp_path / "quant [1]"
    home.mkdir()
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", home)
    run = subprocess.run(
        [sys.executable, "-m", "pipeline_assets.demo"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.startswith(f"error: DAGSTER_HOME is {home}, where Dagster finds no dagster.")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("home", "complaint"),
    [
        (None, "DAGSTER_HOME is not set; export DAGSTER_HOME=$PWD/dagster_home"),
        ("/nowhere", '$DAGSTER_HOME "/nowhere" is not a directory'),
    ],
)
def test_an_instance_that_is_not_there_is_told_in_a_line(
    home: str | None,
    complaint: str,
    command: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if home:
        monkeypatch.setenv("DAGSTER_HOME", home)
    told = command(demo.main)
    assert told.code == 1
    assert told.err.startswith(f"error: {complaint}")
    assert told.err.count("\n") == 1


def test_records_that_are_damaged_are_told_in_a_line(
    instance: dg.DagsterInstance,
    tmp_path: Path,
    command: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert instance.get_runs_count() == 0
    (tmp_path / "history" / "runs.db").write_bytes(b"not a database" * 1_000)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    told = command(demo.main)
    assert told.code == 1
    assert told.err.startswith("error: no records can be kept in DAGSTER_HOME, ")
    assert "file is not a database; " in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("module", [demo, report])
def test_commands_help_without_docstrings(
    module: ModuleType, command: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which `python -OO` leaves out."""
    monkeypatch.setattr(module, "__doc__", None)
    assert command(module.main, "--help").code == 0


@pytest.mark.parametrize(
    ("home", "complaint"),
    [
        ("deep/" * 100, "no records can be kept in DAGSTER_HOME, "),
        ("home", "cannot write to /dev/null: "),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_told_in_a_line(
    home: str,
    complaint: str,
    tmp_path: Path,
    command: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / home).mkdir(parents=True)
    (tmp_path / home / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / home))
    monkeypatch.setenv("MBP10_RAW", "/dev/null")
    told = command(demo.main, DAY)
    assert told.code == 1
    assert told.err.startswith(f"error: {complaint}")
    assert told.err.count("\n") == 1
