"""The process of a date takes its share of the cores."""

import os
import subprocess
import sys

import pytest

from pipeline_assets.process_a_date import DATES_AT_ONCE, POLARS_THREADS
from resources.machine import usable_cores
from tests.place import REPOSITORY

THREADS = """
import dagster as dg, polars as pl
from pipeline_assets.process_a_date import share_cores
share_cores(dg.DagsterRun(job_name="backfill", tags={{{tag!r}: "{at_once}"}}))
print(pl.thread_pool_size())
"""


@pytest.mark.parametrize("at_once", [1, usable_cores(), 10 * usable_cores()])
def test_a_date_takes_its_share_of_the_cores(at_once: int) -> None:
    code = THREADS.format(tag=DATES_AT_ONCE, at_once=at_once)
    assert int(said_by(code)) == max(1, usable_cores() // at_once)


def test_the_environment_has_the_last_word_on_threads() -> None:
    code = THREADS.format(tag=DATES_AT_ONCE, at_once=1)
    assert int(said_by(code, {POLARS_THREADS: "3"})) == 3


def said_by(code: str, environment: dict[str, str] | None = None) -> str:
    """What a Python of its own prints."""
    clean = {name: value for name, value in os.environ.items() if name != POLARS_THREADS}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=clean | (environment or {}),
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()
