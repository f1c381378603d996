"""Seconds of each stage over one simulated day, beside yardsticks taken in the same run.

`make bench`; of a heavy day, not kept: `BENCH_EVENTS=10000000 python -m pytest benchmarks/test_stages.py`.
"""

import json
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import kernels
from benchmarks.conftest import DAY
from kernels.bar5s import read_ahead
from kernels.features import BAND_EDGES, BANDS, BOOK_COLUMNS
from kernels.whole_bars import Batch, WholeBars, loop_over
from resources.dbn_records import read_records
from resources.lake import Made, write_table
from tests import oracle
from tests.conftest import from_bars

ROUNDS = 5
_SLICE = 20_000
BOOKS = [name for what in ("bid_px", "ask_px", "bid_sz", "ask_sz") for name in BOOK_COLUMNS[what]]


def measure(benchmark: BenchmarkFixture, work, *arguments, rounds: int = ROUNDS):
    """Time `work` after one warm-up; what it gives."""
    return benchmark.pedantic(work, arguments, rounds=rounds, warmup_rounds=1)


def read_day(path: Path) -> list[Batch]:
    """All of a day's ticks in batches as the tick loop takes them."""
    bars = WholeBars()
    batches = [bars.add(ticks) for ticks in read_ahead(pl.scan_parquet(path))]
    return [*filter(None, batches), bars.rest()]


def walk_all(batches: list[Batch], threads: int) -> int:
    """All batches through the tick loop, side by side; how many ticks it counted."""
    with ThreadPoolExecutor(threads) as pool:
        return sum(
            int(bars.actions.sum()) for bars in pool.map(partial(loop_over, point=1.0), batches)
        )


def test_yardstick_decompress(benchmark: BenchmarkFixture, raw: Path) -> None:
    """zstd alone, into reused buffers."""
    benchmark.extra_info["file_bytes"] = raw.stat().st_size
    measure(benchmark, lambda: sum(map(len, read_records(raw))))


def test_clean_ticks_dbn_to_parquet(
    benchmark: BenchmarkFixture, make_ticks: Callable[[Path], Path], tmp_path: Path
) -> None:
    """The whole stage."""
    path = measure(benchmark, make_ticks, tmp_path / "ticks.parquet")
    benchmark.extra_info["file_bytes"] = path.stat().st_size


def test_read_back_the_books(benchmark: BenchmarkFixture, ticks: Path, n_ticks: int) -> None:
    """The columns that bars need, in batches that are not kept."""
    benchmark.extra_info["ticks"] = n_ticks
    measure(benchmark, lambda: deque(read_ahead(pl.scan_parquet(ticks)), maxlen=0))


def test_bar5s_parquet_to_parquet(
    benchmark: BenchmarkFixture, ticks: Path, n_ticks: int, tmp_path: Path
) -> None:
    """The whole stage."""
    benchmark.extra_info["ticks"] = n_ticks
    path = tmp_path / "bars.parquet"
    measure(
        benchmark,
        lambda: write_table(Made(kernels.bar5s(pl.scan_parquet(ticks))), path),
    )


def test_approach_features(benchmark: BenchmarkFixture, bars: pl.DataFrame) -> None:
    """The features of a day's episodes."""
    _, _, episodes, *_ = from_bars(bars)
    measure(benchmark, kernels.approach_features, episodes)


def test_setup_vectors(benchmark: BenchmarkFixture, bars: pl.DataFrame) -> None:
    """The vectors of a day's episodes."""
    *_, approach, _ = from_bars(bars)
    measure(benchmark, kernels.setup_vectors, approach)


def test_levels_episodes_approach_vectors(benchmark: BenchmarkFixture, bars: pl.DataFrame) -> None:
    """Everything after the bars."""
    measure(benchmark, from_bars, bars)


@pytest.mark.parametrize("threads", [1, 2])
def test_tick_loop(benchmark: BenchmarkFixture, ticks: Path, n_ticks: int, threads: int) -> None:
    """The kernel alone, over batches read beforehand: they come from main memory."""
    benchmark.extra_info["ticks"] = n_ticks
    batches = read_day(ticks)
    counted = measure(benchmark, walk_all, batches, threads, rounds=3 * ROUNDS)
    assert counted == n_ticks


def test_yardstick_memory_pass(benchmark: BenchmarkFixture, ticks: Path, n_ticks: int) -> None:
    """Adding up the same columns: what reading the kernel's bytes costs at least."""
    benchmark.extra_info["ticks"] = n_ticks
    parts = [part for batch in read_day(ticks) for part in batch.parts]
    columns = [column for part in parts for group in (part.ticks, *part.book) for column in group]
    measure(benchmark, lambda: sum(float(column.sum()) for column in columns), rounds=3 * ROUNDS)


def test_yardstick_polars_state(benchmark: BenchmarkFixture, ticks: Path, n_ticks: int) -> None:
    """The state features alone, as Polars expressions over the same columns in memory."""
    benchmark.extra_info["ticks"] = n_ticks
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
        where = (raw.parents[1], tmp_path / "lake")
        command = [sys.executable, "-m", "benchmarks.a_date", str(DAY), *where]
        return subprocess.run(command, check=True, capture_output=True).stdout

    benchmark.extra_info["peak_bytes"] = json.loads(measure(benchmark, date))["peak_bytes"]
