"""Seconds a date in each lane, from a cold start to done, and how many of them are not computing.

    python -m benchmarks.lanes [--dates 20] [--events 1900000] [--repeats 3] [--many 1000]

Everything is started as a user would start it, in processes of its own. The bulk lane's overhead is
what the same dates take with raw files only, the UI's what thin days take beside computing
them. `--many` thin dates, in a bulk run of the UI, show whether their number matters: to the seconds
of each, and to the daemon's memory.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from benchmarks.conftest import machine
from kernels.instrument import INSTRUMENTS
from pipeline_assets.jobs import CHAIN
from pipeline_assets.partitions import trading_days
from pipeline_assets.run_queue import BULK
from pipeline_assets.stages import TradingDay, make_tables
from resources.lake import LakeDay
from resources.raw_files import day_file
from resources.simulated import EVENTS_A_DAY, simulate_day
from tests.live import deployed
from tests.place import LOCATION, REPOSITORY

RESULTS = Path(__file__).with_name("lanes.json")
FIRST_DAY, HUNDRED = "2015-01-02", 100
THIN_DAYS, THIN_EVENTS = 10, 2_000
MATERIALISE = ("asset", "materialize", "-m", LOCATION, "--select", "*")


class Took(NamedTuple):
    """Seconds of a bulk run, in all and from its start to its end."""

    cold_start_to_done: float
    run: float


def say(text: str) -> None:
    """Tell, with the time, how far the measurement is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def simulate(folder: Path, days: Sequence[str], events: int) -> None:
    """Simulate the raw files of days, and wait until the disk has them."""
    say(f"simulating {len(days)} dates of {events:,} events")
    for day in days:
        of = date.fromisoformat(day)
        simulate_day(day_file(folder / "raw", "ES", of), of, events=events)
    os.sync()


def compute(folder: Path, days: Sequence[str]) -> float:
    """Seconds of the stages alone: days made one after the other in this process, warm."""

    def make(day: date) -> None:
        tables = LakeDay(folder / "computed", "ES", day)
        deque(
            make_tables(TradingDay(INSTRUMENTS["ES"], day, folder / "raw"), tables, CHAIN), maxlen=0
        )

    dates = [date.fromisoformat(day) for day in days]
    make(dates[0])
    started = time.perf_counter()
    for day in dates:
        make(day)
    return time.perf_counter() - started


def run(folder: Path, program: str, *arguments: str) -> float:
    """Seconds of a program of the environment, with the instance, raw files and lake of a folder."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", home)
    where = {"DAGSTER_HOME": home, "MBP10_RAW": folder / "raw", "MBP10_LAKE": folder / "lake"}
    environment = os.environ | {name: str(path) for name, path in where.items()}
    command = [Path(sys.executable).with_name(program), *arguments]
    started = time.perf_counter()
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def bulk(folder: Path, days: Sequence[str], stages: Sequence[str]) -> Took:
    """Take days through stages in the bulk lane."""
    what = ("--no-only-missing", "--dates", *days, "--stages", *stages)
    seconds = run(folder, "python", "-m", "pipeline_assets.backfill", *what)
    with dg.DagsterInstance.from_config(str(folder / "home")) as instance:
        (record,) = instance.get_run_records(limit=1)
        done = steps_done(instance, record.dagster_run.run_id)
    assert len(done) == len(days), f"{len(done)} of {len(days)} dates done"
    return Took(seconds, record.end_time - record.start_time)


def steps_done(instance: dg.DagsterInstance, run_id: str) -> list[float]:
    """When each date of a bulk run was done, in seconds."""
    steps = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
    return sorted(step.timestamp for step in steps if step.step_key != "plan")


def ui_backfill(folder: Path, days: Sequence[str]) -> tuple[float, float]:
    """Seconds of a backfill through webserver, daemon and run queue, a run a date.

    In all, and from the first run in the queue to the last one's end: Dagster's daemon looks at
    backfills every half minute, to begin one and to see that it is done, however many its dates.
    """
    with tempfile.TemporaryDirectory(dir=folder) as home, deployed(Path(home) / "ui") as live:
        live.raw.symlink_to(folder / "raw")
        started = time.perf_counter()
        status = live.end_of_backfill(live.backfill(map(date.fromisoformat, days)))
        assert status == "COMPLETED_SUCCESS", status
        in_all = time.perf_counter() - started
        runs = live.instance.get_run_records()
        begun = min(run.create_timestamp.timestamp() for run in runs)
        return in_all, max(run.end_time for run in runs) - begun


def many_dates(folder: Path, days: Sequence[str]) -> tuple[list[float], list[int]]:
    """When each date of a bulk run launched in the UI was done, and the daemon's memory meanwhile.

    In seconds, and in bytes, sampled every second from its launch to its end.
    """
    sampled = []
    with tempfile.TemporaryDirectory(dir=folder) as home, deployed(Path(home) / "ui") as live:
        live.raw.symlink_to(folder / "raw")
        config = {"dates": list(days), "only_missing": False, "roots": ["ES"], "stages": CHAIN}
        run_id = live.launch("bulk", BULK, config=config)

        def is_over() -> bool:
            sampled.append(live.process("daemon").memory_info().rss)
            return live.instance.get_run_by_id(run_id).is_finished

        while not is_over():
            time.sleep(1)
        done = steps_done(live.instance, run_id)
    assert len(done) == len(days), f"{len(done)} of {len(days)} dates done"
    return done, sampled


def measure(folder: Path, days: Sequence[str], repeats: int) -> dict[str, list[float]]:
    """Seconds a date of each repeat, by what was done."""
    seconds: dict[str, list[float]] = {}

    def took(what: str, in_all: float, dates: int) -> None:
        seconds.setdefault(what, []).append(in_all / dates)
        say(f"{what.strip()}: {in_all / dates:.3f} s a date")

    heavy, thin = days[:-THIN_DAYS], days[-THIN_DAYS:]
    bulk(folder, heavy[:1], CHAIN)
    for _ in range(repeats):
        took(
            "bulk lane, cold start to done",
            bulk(folder, heavy, CHAIN).cold_start_to_done,
            len(heavy),
        )
        raw = bulk(folder, heavy, CHAIN[:1])
        took("  with raw files only", raw.cold_start_to_done, len(heavy))
        took("  with raw files only, start to end of the run", raw.run, len(heavy))
        took("  its stages, in one process", compute(folder, heavy), len(heavy))
        took(
            "asset lane, one date from a cold shell",
            run(folder, "dagster", *MATERIALISE, "--partition", heavy[0]),
            1,
        )
        asked_to_done, first_to_last = ui_backfill(folder, thin)
        took("UI backfill of thin days", asked_to_done, len(thin))
        took("  from the first run to the last one's end", first_to_last, len(thin))
        took("  their stages, in one process", compute(folder, thin), len(thin))
    return seconds


def main() -> None:
    """Measure, print a table, keep it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lanes", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--dates", type=int, default=20, help="dates of the bulk run")
    parser.add_argument("--events", type=int, default=EVENTS_A_DAY, help="records of each")
    parser.add_argument("--repeats", type=int, default=3, help="of everything")
    parser.add_argument("--many", type=int, default=1_000, help="thin dates of one run, once")
    options = parser.parse_args()
    if options.many <= HUNDRED:
        parser.error(f"--many must be over {HUNDRED}: the first and last {HUNDRED} are compared")
    known = [day for day in trading_days.get_partition_keys() if day >= FIRST_DAY]
    days, many = known[: options.dates + THIN_DAYS], known[: options.dates + options.many]
    print(f"{options.dates} dates of {options.events:,} events, {options.repeats} repeats")
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder, days[: options.dates], options.events)
        simulate(folder, [day for day in many if day not in days[: options.dates]], THIN_EVENTS)
        seconds = measure(folder, days, options.repeats)
        say(f"making {len(many)} thin dates")
        done, memory = many_dates(folder, many[options.dates :])
    print(f"{'seconds a date':46}{'median':>9}{'least':>9}{'most':>9}")
    for what, values in seconds.items():
        print(f"{what:46}{statistics.median(values):9.3f}{min(values):9.3f}{max(values):9.3f}")
    of = f"of {len(done)} thin dates"
    growth = {
        f"first {HUNDRED} {of}, seconds a date": (done[HUNDRED] - done[0]) / HUNDRED,
        f"last {HUNDRED} {of}, seconds a date": (done[-1] - done[-1 - HUNDRED]) / HUNDRED,
        "the daemon's memory after a tenth of the run, MB": memory[len(memory) // 10] / 1e6,
        "the daemon's memory at its end, MB": memory[-1] / 1e6,
    }
    for what, value in growth.items():
        print(f"{what:55}{value:9.3f}")
    kept = {"machine": machine(), "dates": options.dates, "events": options.events}
    RESULTS.write_text(json.dumps(kept | {"seconds": seconds, "growth": growth}, indent=1) + "\n")


if __name__ == "__main__":
    main()
