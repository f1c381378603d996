"""How a date's seconds and memory grow: with its ticks, its dirt, the dates and threads beside it.

`make curves`; every figure is of fresh processes, file to vectors, imports included.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import DAY, EVENTS
from pipeline_assets.process_per_date import POLARS_THREADS
from resources.machine import usable_cores
from resources.simulated import simulate_day

ROUNDS = 3
CORES = range(1, usable_cores() + 1)
RawFolder = Callable[[int, int], Path]


@pytest.fixture(scope="session")
def raw_folder(tmp_path_factory: pytest.TempPathFactory) -> RawFolder:
    """Folder of raw files with one simulated day of so many events and so much dirt."""

    @cache
    def simulate(events: int, dirt: int) -> Path:
        folder = tmp_path_factory.mktemp("raw")
        simulate_day(folder / "ES" / f"{DAY:%Y%m%d}.dbn.zst", DAY, events=events, dirt=dirt)
        return folder

    return simulate


@pytest.fixture
def take_dates(
    benchmark: BenchmarkFixture, raw_folder: RawFolder, tmp_path: Path
) -> Callable[..., None]:
    """Measures dates taken side by side, each in a process of its own with so many threads."""

    def take(events: int, dirt: int = 0, dates: int = 1, threads: int = len(CORES)) -> None:
        raw, environment = raw_folder(events, dirt), os.environ | {POLARS_THREADS: str(threads)}
        peaks = []

        def run() -> None:
            commands = [
                [sys.executable, "-m", "benchmarks.a_date", str(DAY), raw, tmp_path / str(at)]
                for at in range(dates)
            ]
            processes = [
                subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
                for command in commands
            ]
            for process in processes:
                printed, _ = process.communicate()
                assert process.returncode == 0
                peaks.append(json.loads(printed)["peak_bytes"])

        benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
        benchmark.extra_info |= {"ticks": events, "dates": dates, "peak_bytes": max(peaks)}

    return take


@pytest.mark.parametrize("events", [10_000, 100_000, 1_000_000, 10_000_000])
def test_ticks(take_dates: Callable[..., None], events: int) -> None:
    """From a thin day to a heavy one."""
    take_dates(events)


@pytest.mark.parametrize("dirt", [0, 1, 10, 100])
def test_dirt(take_dates: Callable[..., None], dirt: int) -> None:
    """So many times the flaws of the simulated dirty day; late records have to be sorted in."""
    take_dates(EVENTS, dirt=dirt)


@pytest.mark.parametrize("dates", CORES)
def test_dates_at_once(take_dates: Callable[..., None], dates: int) -> None:
    """Dates side by side, the cores shared out among them as the bulk lane does."""
    take_dates(EVENTS, dates=dates, threads=len(CORES) // dates)


@pytest.mark.parametrize("threads", CORES)
def test_threads(take_dates: Callable[..., None], threads: int) -> None:
    """Threads within one date: of Polars, and of the tick loop."""
    take_dates(EVENTS, threads=threads)
