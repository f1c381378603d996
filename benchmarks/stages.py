"""Seconds and memory of each stage over one simulated day, with the machine's yardsticks.

    python -m benchmarks.stages [--events 1900000] [--repeats 5]

Every figure is the median and spread of repeats in one process, after one warm-up. The result is
printed and kept in benchmarks/results.json.
"""

import argparse
import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

import kernels
from kernels.features import BOOK_COLUMNS
from kernels.instrument import INSTRUMENTS
from resources.dbn import scan_dbn
from resources.dbn_records import read_records
from resources.feed import simulate_day
from resources.lake import ZSTD_LEVEL

DAY = date(2025, 6, 5)
RESULTS = Path(__file__).with_name("results.json")


def repeat(work: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each repeat, after a warm-up."""
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return seconds


def stages(folder: Path, events: int) -> dict[str, Callable[[], object]]:
    """The chain's stages and the yardsticks, as calls that repeat on files in a folder."""
    raw = simulate_day(folder / "20250605.dbn.zst", DAY, events=events)
    ticks_path, bars_path = folder / "clean_ticks.parquet", folder / "bar5s.parquet"
    tables: dict[str, pl.DataFrame] = {}

    def clean_ticks() -> None:
        ticks = kernels.clean_ticks(scan_dbn(raw), INSTRUMENTS["ES"], DAY).ticks
        ticks.sink_parquet(ticks_path, compression_level=ZSTD_LEVEL)

    def bar5s() -> None:
        tables["bars"] = kernels.bar5s(pl.scan_parquet(ticks_path))
        tables["bars"].write_parquet(bars_path, compression_level=ZSTD_LEVEL)

    def rest() -> None:
        bars = tables["bars"]
        levels = kernels.session_levels(bars, DAY)
        episodes = kernels.level_episodes(bars, levels, DAY)
        kernels.setup_vectors(kernels.approach_features(episodes))

    def decompress() -> int:
        return sum(len(records) for records in read_records(raw))

    def read_books() -> float:
        names = [
            name for what in ("bid_px", "ask_px", "bid_sz", "ask_sz") for name in BOOK_COLUMNS[what]
        ]
        frame = pl.scan_parquet(ticks_path).select(names).sum().collect()
        return float(np.nansum(frame.to_numpy()))

    return {
        "clean_ticks (DBN to Parquet)": clean_ticks,
        "bar5s (Parquet to Parquet)": bar5s,
        "levels, episodes, approach, vectors": rest,
        "yardstick: decompress the DBN file": decompress,
        "yardstick: read and sum the book columns": read_books,
    }


def main() -> None:
    """Measure, print a table, keep it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stages", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_900_000, help="records of the day")
    parser.add_argument("--repeats", type=int, default=5, help="counted repeats of each stage")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = {
            name: repeat(work, options.repeats)
            for name, work in stages(Path(folder), options.events).items()
        }
    scale = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6
    machine = f"{platform.machine()}, {platform.processor() or platform.platform()}"
    print(f"{options.events:,} events, {options.repeats} repeats, {machine}")
    print(f"{'':42}{'median':>9}{'least':>9}{'most':>9}{'of decompression':>18}")
    yardstick = statistics.median(seconds["yardstick: decompress the DBN file"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"{name:42}{median:8.3f}s{min(values):8.3f}s{max(values):8.3f}s{median / yardstick:17.2f}x"
        )
    print(f"peak memory {peak:,.0f} MB")
    result = {"machine": machine, "events": options.events, "seconds": seconds, "peak_mb": peak}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
