"""Seconds of each stage over one simulated day, beside yardsticks taken in the same run.

`make bench`; `BENCH_EVENTS=10000000 make bench` for a heavy day.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import kernels
from benchmarks.conftest import DAY
from kernels import tick_loop
from kernels.book import Book
from kernels.features import BAND_EDGES, BANDS, BOOK_COLUMNS
from resources.dbn_records import MBP10_DTYPE, read_records
from resources.lake import Made, write_table
from tests import oracle

ROUNDS = 5
_SLICE = 20_000
BAR5S = sys.modules["kernels.bar5s"]
BOOKS = [name for what in ("bid_px", "ask_px", "bid_sz", "ask_sz") for name in BOOK_COLUMNS[what]]


def measure(benchmark: BenchmarkFixture, work, *arguments, rounds: int = ROUNDS):
    """Time `work` after one warm-up; what it gives."""
    return benchmark.pedantic(work, arguments, rounds=rounds, warmup_rounds=1)


def read_day(path: Path) -> list[tuple[tick_loop.Ticks, Book]]:
    """All batches of a day as the tick loop takes them."""
    ticks = pl.scan_parquet(path)
    n_ticks = ticks.select(pl.len()).collect().item()
    return [BAR5S._as_arrays(batch) for batch in BAR5S._batches(ticks, n_ticks)]


def walk(batches: list[tuple[tick_loop.Ticks, Book]], threads: int) -> tick_loop.Bars:
    """The tick loop over batches."""
    first = batches[0][0].ts[0] // tick_loop.BAR_NS
    n_bars = batches[-1][0].ts[-1] // tick_loop.BAR_NS - first + 1
    bars, state = tick_loop.new_bars(n_bars), tick_loop.new_walk()
    with ThreadPoolExecutor(threads) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pl, "thread_pool_size", lambda: threads)
        for ticks, books in batches:
            state = BAR5S._walk_batch(ticks, books, 1.0, first, state, bars, pool)
    tick_loop.end_walk(state, first, n_bars, bars)
    return bars


def test_yardstick_decompress(benchmark: BenchmarkFixture, raw: Path) -> None:
    """zstd alone, into reused buffers."""
    measure(benchmark, lambda: sum(map(len, read_records(raw))))


def test_clean_ticks_dbn_to_parquet(
    benchmark: BenchmarkFixture, make_ticks: Callable[[Path], Path], tmp_path: Path
) -> None:
    """The whole stage."""
    measure(benchmark, make_ticks, tmp_path / "ticks.parquet")


def test_read_back_the_books(benchmark: BenchmarkFixture, ticks: Path) -> None:
    """The columns that bars need, in batches."""
    measure(benchmark, read_day, ticks)


def test_bar5s_parquet_to_parquet(benchmark: BenchmarkFixture, ticks: Path, tmp_path: Path) -> None:
    """The whole stage."""
    path = tmp_path / "bars.parquet"
    measure(
        benchmark,
        lambda: write_table(Made(kernels.bar5s(pl.scan_parquet(ticks))), path),
    )


def test_approach_features(benchmark: BenchmarkFixture, bars: pl.DataFrame) -> None:
    """The features of a day's episodes."""
    episodes = kernels.level_episodes(bars, kernels.session_levels(bars, DAY), DAY)
    measure(benchmark, kernels.approach_features, episodes)


def test_setup_vectors(benchmark: BenchmarkFixture, bars: pl.DataFrame) -> None:
    """The vectors of a day's episodes."""
    episodes = kernels.level_episodes(bars, kernels.session_levels(bars, DAY), DAY)
    measure(benchmark, kernels.setup_vectors, kernels.approach_features(episodes))


def test_levels_episodes_approach_vectors(benchmark: BenchmarkFixture, bars: pl.DataFrame) -> None:
    """Everything after the bars."""

    def stages() -> pl.DataFrame:
        episodes = kernels.level_episodes(bars, kernels.session_levels(bars, DAY), DAY)
        return kernels.setup_vectors(kernels.approach_features(episodes))

    measure(benchmark, stages)


@pytest.mark.parametrize("threads", [1, 2])
def test_tick_loop(benchmark: BenchmarkFixture, ticks: Path, threads: int) -> None:
    """The kernel alone, over batches read beforehand: they come from main memory."""
    batches = read_day(ticks)
    bars = measure(benchmark, walk, batches, threads)
    assert bars.actions.sum() == sum(ticks.ts.size - 1 for ticks, _ in batches)


def test_yardstick_memory_pass(benchmark: BenchmarkFixture, ticks: Path) -> None:
    """Adding up the same columns: what reading the kernel's bytes costs at least."""
    batches = read_day(ticks)
    columns = [c for tick, books in batches for group in books for c in group]
    columns += [c for tick, _ in batches for c in tick]
    measure(benchmark, lambda: sum(float(column.sum()) for column in columns))


def test_yardstick_polars_state(benchmark: BenchmarkFixture, ticks: Path) -> None:
    """The state features alone, as Polars expressions over the same columns in memory."""
    books = pl.scan_parquet(ticks).select(BOOKS).collect()
    measure(benchmark, lambda: books.lazy().select(*state()).collect())


def state() -> list[pl.Expr]:
    """Microprice, spread, imbalances and depth by band of every tick."""
    bid, ask, b0, a0 = (pl.col(f"{x}_00") for x in ("bid_px", "ask_px", "bid_sz", "ask_sz"))
    price = (ask * b0 + bid * a0) / (b0 + a0)
    total = {side: pl.sum_horizontal(BOOK_COLUMNS[f"{side}_sz"]) for side in ("bid", "ask")}
    depth = {}
    for side, outward in (("bid", 1), ("ask", -1)):
        levels = list(zip(BOOK_COLUMNS[f"{side}_px"], BOOK_COLUMNS[f"{side}_sz"], strict=True))
        for band, (above, until) in zip(BANDS, pairwise((-float("inf"), *BAND_EDGES)), strict=True):
            within = [
                pl.when(
                    (outward * (price - pl.col(px)) > above)
                    & (outward * (price - pl.col(px)) <= until)
                ).then(pl.col(size))
                for px, size in levels
            ]
            depth[side, band] = pl.sum_horizontal(within)
    cdi = [
        (depth["bid", band] - depth["ask", band]) / (depth["bid", band] + depth["ask", band])
        for band in BANDS
    ]
    shares = [size / total[side] for (side, _), size in depth.items()]
    imbalances = [(b0 - a0) / (b0 + a0), (total["bid"] - total["ask"]) / sum(total.values())]
    features = [price, ask - bid, *imbalances, *total.values(), *depth.values(), *cdi, *shares]
    return [feature.alias(str(i)) for i, feature in enumerate(features)]


def test_yardstick_plain_python_of_20000_ticks(benchmark: BenchmarkFixture, ticks: Path) -> None:
    """A loop over dicts, a tick at a time: the slow twin of the stage."""
    times = pl.col("ts_event", "ts_recv").to_physical()
    rows = pl.scan_parquet(ticks).head(_SLICE).with_columns(times).collect().to_dicts()
    benchmark.extra_info["ticks"] = _SLICE
    measure(benchmark, oracle.bar5s, rows, 1.0, rounds=1)


def test_yardstick_start_of_the_libraries(benchmark: BenchmarkFixture) -> None:
    """A fresh process imports them and has Numba ready to load a compiled function."""
    code = (
        "import numpy, polars; from numba.core.registry import cpu_target;"
        "cpu_target.target_context.refresh()"
    )
    measure(benchmark, lambda: subprocess.run([sys.executable, "-c", code], check=True))


@pytest.mark.parametrize("cache", ["empty", "full"])
def test_start_with_cache(
    benchmark: BenchmarkFixture, ticks: Path, bars: pl.DataFrame, tmp_path: Path, cache: str
) -> None:
    """A fresh process takes 1,000 ticks through every compiled kernel."""
    code = (
        "import sys, polars as pl, kernels; from datetime import date; day = date(2025, 6, 5);"
        f"kernels.bar5s(pl.scan_parquet({str(ticks)!r}).head(1000));"
        f"bars = pl.read_parquet({str(tmp_path / 'bars.parquet')!r});"
        "episodes = kernels.level_episodes(bars, kernels.session_levels(bars, day), day);"
        "kernels.setup_vectors(kernels.approach_features(episodes))"
    )
    bars.write_parquet(tmp_path / "bars.parquet")
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / cache), "PATH": "/usr/bin"}

    def start() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)

    if cache == "empty":
        benchmark.pedantic(start, rounds=1)
    else:
        measure(benchmark, start)


def test_a_date_in_a_fresh_process(benchmark: BenchmarkFixture, raw: Path, tmp_path: Path) -> None:
    """File to vectors, imports included, without pictures and checks; its peak memory."""

    def date() -> bytes:
        command = [sys.executable, "-m", "benchmarks.a_date", raw.parents[1], tmp_path / "lake"]
        return subprocess.run(command, check=True, capture_output=True).stdout

    benchmark.extra_info["peak_bytes"] = json.loads(measure(benchmark, date))["peak_bytes"]


def test_bytes_of_the_files(raw: Path, ticks: Path) -> None:
    """Print what the day takes on disk; nothing is timed."""
    records = sum(map(len, read_records(raw)))
    whole = records * MBP10_DTYPE.itemsize
    print(
        f"\nDBN {whole:,} bytes, .dbn.zst {raw.stat().st_size:,}, clean_ticks {ticks.stat().st_size:,}"
    )
    assert np.all([raw.stat().st_size < whole, ticks.stat().st_size < whole])
