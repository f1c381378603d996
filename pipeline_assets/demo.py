"""A first run: simulate trading days, materialise everything, show what came out.

python -m pipeline_assets.demo
"""

import argparse
import importlib
import multiprocessing
import sys
import time
from datetime import date
from pathlib import Path

import polars as pl
from dotenv import load_dotenv

from kernels.features import OUTCOME
from pipeline_assets.instance import open_instance
from pipeline_assets.jobs import UNDER_ITS_JOB, trading_day
from pipeline_assets.partitions import trading_days
from pipeline_assets.settings import all_roots, lake_folder, raw_folder
from resources.feed import SimulatedFeed
from resources.lake import LakeDay
from resources.options import date_option, print_on_any_terminal
from resources.simulated import EVENTS_A_DAY

DAYS = (date(2025, 6, 3), date(2025, 6, 4), date(2025, 6, 5))


def materialise(day: date) -> None:
    """Run the job of all assets for a day, recorded in the instance."""
    from pipeline_assets.definitions import defs

    with open_instance() as instance:
        defs.resolve_job_def(trading_day.name).execute_in_process(
            instance=instance,
            partition_key=str(day),
            tags=UNDER_ITS_JOB,
            run_config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
        )


def seconds_of(day: date) -> float:
    """Materialise a day in its own process, whose peak memory is then the day's; return seconds."""
    started = time.perf_counter()
    process = multiprocessing.get_context("spawn").Process(target=materialise, args=(day,))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"error: {day} was not made; see above")
    return time.perf_counter() - started


def summary(lake: Path, root: str, day: date) -> dict[str, object]:
    """Rows of a day's tables and its episodes by outcome, as read back from the lake."""
    tables = LakeDay(lake, root, day)
    ticks, bars = (
        tables.scan(table).select(pl.len()).collect().item() for table in ("clean_ticks", "bar5s")
    )
    outcomes = tables.scan("setup_vectors").select("outcome").collect()["outcome"]
    counts = {name.lower(): (outcomes == name).sum() for name in OUTCOME.categories}
    return {
        "day": day,
        "root": root,
        "ticks": ticks,
        "bars": bars,
        "episodes": len(outcomes),
    } | counts


def main() -> None:
    """Simulate what is missing, materialise each day, print a table and where the files lie."""
    print_on_any_terminal()
    load_dotenv(".env", override=True)  # as Dagster's own commands do
    parser = argparse.ArgumentParser(
        prog="python -m pipeline_assets.demo",
        description="Simulate trading days, materialise everything, show what came out.",
    )
    parser.add_argument(
        "--events",
        type=int,
        default=EVENTS_A_DAY,
        help="records of a simulated day (default: %(default)s)",
    )
    usual = " ".join(map(str, DAYS))
    parser.add_argument(
        "days", nargs="*", type=date_option, help=f"trading days, YYYY-MM-DD (default: {usual})"
    )
    options = parser.parse_args()
    days = options.days or DAYS
    others = [str(day) for day in days if not trading_days.has_partition_key(str(day))]
    if others:
        parser.error(f"not trading days: {', '.join(others)}")
    try:
        importlib.import_module("pipeline_assets.definitions")
    except ValueError as error:
        sys.exit(f"error: {error}")
    open_instance().dispose()
    feed, rows = SimulatedFeed(raw_folder(), options.events), []
    print("The first day also compiles the kernels; they are cached from then on.")
    for day in days:
        for root in all_roots():
            print(f"{day} {root}: raw files, simulated unless they are there ...", flush=True)
            try:
                feed.fetch(root, day)
            except ValueError as error:
                parser.error(str(error))
            except OSError as error:
                sys.exit(
                    f"error: cannot write to {raw_folder()}: {error}; set MBP10_RAW to another"
                )
        print(f"{day}: materialising ...", flush=True)
        seconds = seconds_of(day)
        rows += [
            summary(lake_folder(), root, day) | {"seconds": round(seconds, 1)}
            for root in all_roots()
        ]
    with pl.Config(tbl_cols=-1, tbl_rows=-1, tbl_width_chars=160, tbl_hide_dataframe_shape=True,
                   tbl_hide_column_data_types=True, tbl_formatting="ASCII_MARKDOWN",
                   thousands_separator=","):  # fmt: skip
        print(pl.DataFrame(rows))
    print(f"raw files: {raw_folder()}\ntables:    {lake_folder()}\nsee them:  make ui")


if __name__ == "__main__":
    main()
