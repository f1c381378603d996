"""The bulk job from a shell: what it makes, what it says, and when its server begins."""

import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import psutil
import pytest
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

from kernels.features import INSTANT, TABLES, schema
from pipeline_assets import backfill, fork_server
from pipeline_assets.bulk import Backfill
from resources.lake import Made, table_path, write_table
from resources.raw_files import day_file
from resources.simulated import simulate_day
from tests.conftest import Ended
from tests.place import REPOSITORY, Place, words

COMMAND = "python -m pipeline_assets.backfill"
FORK_SERVER = "multiprocessing.forkserver"
CLOCK = r"\d\d:\d\d:\d\d "
THERE, LATE = date(2025, 6, 3), date(2025, 6, 4)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Raw files of the first of two days."""
    with Place(tmp_path) as place:
        simulate_day(day_file(place.raw, "ES", THERE), THERE, events=2_000)
        yield place


def test_dates_are_made_and_the_exit_code_tells_of_all(place: Place) -> None:
    both = f"{COMMAND} --start {THERE} --end {LATE}"
    place.run("first", both)
    assert place.end_of("first") == 1
    said, _, error = place.log("first").partition("\nerror: ")
    lines = said.splitlines()
    assert re.fullmatch(CLOCK + "ES: 2 of 2 dates to do", lines.pop(0))
    assert len(lines) == 2
    rows = sum(place.rows(table, THERE) for table in TABLES)
    assert re.search(CLOCK + rf"[12]/2  {THERE} ES +{rows:,} rows in all +\d+\.\d s  done", said)
    assert re.search(
        CLOCK + rf"[12]/2  {LATE} ES +0 rows in all .* s  no raw file of ES for {LATE}", said
    )
    assert "1 of 2 dates done" in error
    assert f"ES, not done: {LATE}\n" in error
    assert f"no raw file of ES for {LATE}" in error
    assert place.has_whole_day(THERE)

    simulate_day(day_file(place.raw, "ES", LATE), LATE, events=2_000)
    place.run("second", both)
    assert place.end_of("second") == 0, place.log("second")
    assert [REPOSITORY_LABEL_TAG in run.tags for run in place.instance.get_runs()] == [True, True]
    assert "ES: 1 of 2 dates to do" in place.log("second")
    assert place.log("second").endswith("\n1 of 1 dates done\n")
    assert place.has_whole_day(LATE)

    place.run("again", both)
    assert place.end_of("again") == 0
    assert re.fullmatch(CLOCK + "ES: 0 of 2 dates to do\nnothing to do\n", place.log("again"))

    place.run("third", f"{COMMAND} --dates {THERE} --stages bar5s --no-only-missing")
    assert place.end_of("third") == 0, place.log("third")
    made = {
        asset: len(place.instance.fetch_materializations(dg.AssetKey(["es", asset]), 9).records)
        for asset in ("clean_ticks", "bar5s")
    }
    assert made == {"clean_ticks": 2, "bar5s": 3}


def test_a_day_that_cannot_be_used_is_told_without_a_trace(place: Place) -> None:
    """One date at a time: how many there are is known from the first one on."""
    write_table(Made(pl.DataFrame(schema=schema("clean_ticks"))), ticks_of(place, LATE))
    ticks = pl.DataFrame({"ts_event": [2, 1], "symbol": "ESM5"}).cast({"ts_event": INSTANT})
    lacking = [pl.lit(None, d).alias(n) for n, d in schema("clean_ticks").items() if n not in ticks]
    write_table(Made(ticks.with_columns(lacking)), ticks_of(place, THERE))
    one_by_one = ("env", "MBP10_DATES_AT_ONCE=1")
    place.run("bars", f"{COMMAND} --dates {THERE} {LATE} --stages bar5s", within=one_by_one)
    assert place.end_of("bars") == 1
    said = place.log("bars")
    assert re.search(
        rf"\n{CLOCK}1/2  {THERE} ES .* s  ES {THERE}, clean_ticks: ticks are not in", said
    )
    assert re.search(rf"\n{CLOCK}2/2  {LATE} ES .* s  done\n", said)
    assert "Stack Trace:" not in said


def test_an_error_nobody_foresaw_is_shown_with_its_trace(place: Place) -> None:
    write_table(Made(pl.DataFrame({"price": [1.0]})), ticks_of(place, THERE))
    place.run("bars", f"{COMMAND} --dates {THERE} --stages bar5s")
    assert place.end_of("bars") == 1
    assert "ColumnNotFoundError" in place.log("bars").partition("Stack Trace:")[0]
    assert "0 of 1 dates done" in place.log("bars")


def test_the_server_to_fork_from_begins_before_the_run_and_may_be_interrupted(
    place: Place,
) -> None:
    """As the command may, without a word."""
    assert place.instance.get_runs_count() == 0
    place.run("backfill", f"{COMMAND} --dates {THERE}")
    command = place.process("backfill")
    server = place.eventually("the server begins", lambda: server_of(command), every=0.02)
    place.eventually("it loads", lambda: server.cpu_times().user > 0.3, every=0.02)
    server.send_signal(signal.SIGINT)
    while command.status() != psutil.STATUS_ZOMBIE:  # at first it does not heed the signal
        command.send_signal(signal.SIGINT)
        time.sleep(0.02)
    assert place.end_of("backfill") == -signal.SIGINT
    server.wait(60)
    assert place.log("backfill") == ""
    assert place.instance.get_runs_count() == 0


def test_an_interrupt_before_there_is_a_run_is_not_lost_on_polars() -> None:
    code = f"""if True:
        import signal, sys
        from pipeline_assets import backfill

        def interrupt(event, args):
            if event == "import" and args[0] == "pipeline_assets.instance":
                signal.raise_signal(signal.SIGINT)

        sys.addaudithook(interrupt)
        sys.argv[1:] = ["--dates", "{THERE}"]
        backfill.main()
    """
    environment = {"PYTHONPATH": str(REPOSITORY)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, cwd=REPOSITORY)
    assert run.returncode == -signal.SIGINT


def test_interrupted_it_ends_and_leaves_nothing_half_written(place: Place) -> None:
    days = [LATE, *(date(2025, 6, day) for day in (5, 6))]
    for day in days:
        simulate_day(day_file(place.raw, "ES", day), day, events=300_000)
    dates = " ".join(map(str, days))
    place.run("backfill", f"{COMMAND} --dates {dates}")
    place.eventually("a table is written", place.hidden_files, every=0.02)
    place.process("backfill").send_signal(signal.SIGINT)
    assert place.end_of("backfill") == 1
    assert "\nerror: run " in place.log("backfill")
    assert "0 of 3 dates done" in place.log("backfill")
    assert "Stack Trace:" not in place.log("backfill")
    assert f"ES, not done: {dates}\n" in place.log("backfill")
    assert not place.hidden_files()
    assert [run.status for run in place.instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]


def test_killed_as_it_plans_it_leaves_no_process(place: Place) -> None:
    """More dates than fit into the pipe through which the run hears of them."""
    place.run("backfill", f"{COMMAND} --start 2020-01-01 --end 2024-12-31")
    command = place.process("backfill")
    place.eventually("it plans", lambda: "dates to do" in place.log("backfill"), every=0.02)
    begun = command.children(recursive=True)
    command.kill()
    place.end_of("backfill")
    _, left = psutil.wait_procs(begun, timeout=60)
    for process in left:
        process.kill()
    assert not left


@pytest.fixture
def without_server(
    command: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """Runs the command as far as it comes without a server to fork from."""
    monkeypatch.setattr(fork_server, "start", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "1000")
    return lambda *options: command(backfill.main, *options)


def test_each_field_of_the_config_is_an_option(without_server: Callable) -> None:
    shown = without_server("--help")
    assert shown.code == 0
    said = " ".join(shown.out.split())
    for name, field in Backfill.model_fields.items():
        assert f"--{name.replace('_', '-')} " in said
        assert field.description in said


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("", "say which dates, either by `start` and `end` or by `dates`"),
        ("--dates 2025-06-03", "DAGSTER_HOME is not set; export DAGSTER_HOME=$PWD/dagster_home"),
    ],
)
def test_a_mistake_is_told_before_a_run_begins(
    options: str, complaint: str, without_server: Callable
) -> None:
    told = without_server(*options.split())
    assert told.code == 1
    assert told.err.startswith(f"error: {complaint}")


def test_records_locked_by_another_are_told_in_a_line(
    place: Place, without_server: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place.instance.get_runs_count() == 0
    with closing(sqlite3.connect(place.home / "history" / "runs.db")) as other:
        other.execute("begin immediate")
        monkeypatch.chdir(REPOSITORY)
        monkeypatch.setenv("DAGSTER_HOME", str(place.home))
        told = without_server(f"--dates={THERE}")
    assert told.code == 1
    (line,) = told.err.splitlines()
    assert line.startswith("error: no more records can be kept in DAGSTER_HOME: database is locked")


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("MBP10_ROOTS=ES,SI", "MBP10_ROOTS names SI, known are ES"),
        ("TMPDIR={long_path}", "no socket in TMPDIR: AF_UNIX path too long; set it to a folder"),
    ],
)
def test_a_senseless_setting_is_told_in_a_line(
    setting: str, complaint: str, tmp_path: Path
) -> None:
    """Settings may lie in a file, as for Dagster's commands."""
    long_path = tmp_path / ("x" * 120)
    long_path.mkdir()
    (tmp_path / ".env").write_text(setting.format(long_path=long_path))
    run = subprocess.run(
        [sys.executable, "-m", "pipeline_assets.backfill", f"--dates={THERE}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.startswith(f"error: {complaint}")
    assert run.stderr.count("\n") == 1


def ticks_of(place: Place, day: date) -> Path:
    """Where a day's ticks lie."""
    return table_path(place.lake, "ES", "clean_ticks", day)


def server_of(command: psutil.Process) -> psutil.Process | None:
    """The server that a command has begun."""
    return next((it for it in command.children() if FORK_SERVER in words(it)), None)
