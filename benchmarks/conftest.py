"""The day that is measured, and the table of ratios printed under pytest-benchmark's own."""

import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info

import kernels
from kernels.instrument import INSTRUMENTS
from pipeline_assets.stages import STAGES, TradingDay
from resources.lake import write_table
from resources.simulated import EVENTS_A_DAY, simulate_day

DAY = date(2025, 6, 5)
EVENTS = int(os.environ.get("BENCH_EVENTS", EVENTS_A_DAY))
RESULTS = Path(__file__).with_name("results.json")
SCALING = Path(__file__).with_name("scaling.json")
YARDSTICK = "yardstick_decompress"


def machine() -> str:
    """This machine: its system, its processor with what tells kinds of one brand, its cores."""
    info = pytest_benchmark_generate_machine_info()
    cpu = info["cpu"]
    kind = [f"{part} {cpu[part]}" for part in ("family", "model") if part in cpu]
    processor = " ".join([cpu.get("brand_raw", info["processor"]), *kind])
    return f"{info['system']} {info['machine']}, {processor}, {cpu['count']} cores"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--keep`, with which `make bench` and `make curves` replace the figures kept of the last run."""
    parser.addoption("--keep", action="store_true", help="write the figures to their file")


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated day of `BENCH_EVENTS` records as a `.dbn.zst` file."""
    path = tmp_path_factory.mktemp("raw") / "ES" / "20250605.dbn.zst"
    return simulate_day(path, DAY, events=EVENTS)


@pytest.fixture(scope="session")
def make_ticks(raw: Path) -> Callable[[Path], Path]:
    """The whole stage clean_ticks, into a file."""
    of = TradingDay(INSTRUMENTS["ES"], DAY, raw.parents[1])

    def make(path: Path) -> Path:
        write_table(STAGES[0].make(of), path)
        return path

    return make


@pytest.fixture(scope="session")
def ticks(raw: Path, make_ticks: Callable[[Path], Path]) -> Path:
    """The day's clean ticks as the lake keeps them."""
    return make_ticks(raw.with_name("clean_ticks.parquet"))


@pytest.fixture(scope="session")
def n_ticks(ticks: Path) -> int:
    """Number of clean ticks; one record in 27 is another instrument's."""
    return pl.scan_parquet(ticks).select(pl.len()).collect().item()


@pytest.fixture(scope="session")
def bars(ticks: Path) -> pl.DataFrame:
    """The day's bars."""
    return kernels.bar5s(pl.scan_parquet(ticks))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each median, its spread and its ratio to the yardstick; keep them if that is asked for."""
    session = terminalreporter.config._benchmarksession
    measured = {one.name.removeprefix("test_"): one for one in session.benchmarks if one.stats.data}
    if not measured:
        return
    yardstick = measured[YARDSTICK].stats.median if YARDSTICK in measured else None
    write = terminalreporter.write_line
    write(f"\n{EVENTS:,} events, {machine()}")
    write(f"{'':44}{'median':>10}{'least':>10}{'most':>10}{'x decompress':>14}{'M ticks/s':>11}")
    for name, one in measured.items():
        ticks = one.extra_info.get("ticks", EVENTS) * one.extra_info.get("dates", 1)
        write(
            f"{name.replace('_', ' '):44}"
            f"{one.stats.median:9.3f}s{one.stats.min:9.3f}s{one.stats.max:9.3f}s"
            f"{f'{one.stats.median / yardstick:.2f}' if yardstick else '':>14}"
            f"{ticks / one.stats.median / 1e6:11.3f}"
        )
        for what, of in {"peak memory": "peak_bytes", "file": "file_bytes"}.items():
            if size := one.extra_info.get(of):
                write(f"{f'  its {what}':44}{size / 1e6:7.0f} MB")
    kept = {
        name: {"median": one.stats.median, "least": one.stats.min, "most": one.stats.max}
        | one.extra_info
        for name, one in measured.items()
    }
    if terminalreporter.config.getoption("keep"):
        is_curve = all("test_scaling" in one.fullname for one in measured.values())
        figures = {"machine": machine(), "events": EVENTS, "seconds": kept}
        (SCALING if is_curve else RESULTS).write_text(json.dumps(figures, indent=1) + "\n")
