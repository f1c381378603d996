"""One date from file to vectors in this process; prints where its seconds went, and its peak memory.

    python -m benchmarks.a_date 2025-06-05 RAW LAKE [--see]

With `--see` its pictures are drawn and its checks looked at too.
"""

import argparse
import gc
import json
import time
from datetime import date
from pathlib import Path

STARTED = time.perf_counter()


def main() -> None:
    """Make every table of the day whose raw files lie in RAW/ES; print seconds by part as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.a_date")
    parser.add_argument("day", type=date.fromisoformat, help="trading day, YYYY-MM-DD")
    parser.add_argument("raw", type=Path, help="folder of raw files")
    parser.add_argument("lake", type=Path, help="folder to write to")
    parser.add_argument("--see", action="store_true", help="draw pictures and look at checks too")
    options = parser.parse_args()
    seconds: dict[str, float] = {}
    before = STARTED

    def took(part: str) -> None:
        nonlocal before
        now = time.perf_counter()
        seconds[part] = seconds.get(part, 0.0) + now - before
        before = now

    import pipeline_assets.previews
    from kernels.features import TABLES
    from kernels.instrument import INSTRUMENTS
    from pipeline_assets.checks import findings
    from pipeline_assets.stages import TradingDay, make_tables
    from resources.lake import LakeDay
    from resources.machine import peak_memory

    gc.freeze()  # as the definitions do; an exit walks over what is not
    took("imports")
    day = TradingDay(INSTRUMENTS["ES"], options.day, options.raw)
    tables = LakeDay(options.lake, "ES", options.day)
    for table, _ in make_tables(day, tables, TABLES):
        took(table)
        if options.see:
            pipeline_assets.previews.draw(tables, table)
            took("pictures")
            list(findings(tables, table))
            took("checks")
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_memory()}))


if __name__ == "__main__":
    main()
