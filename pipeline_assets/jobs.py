"""What is made of a day, and the job that the schedule and the sensor start: one day a run."""

from datetime import date

import dagster as dg
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

from pipeline_assets.raw import RAW, asset_key
from pipeline_assets.stages import STAGES

CHAIN = [RAW, *(stage.table for stage in STAGES)]
"""All assets of a root, each made of those before it."""

UNDER_ITS_JOB = {REPOSITORY_LABEL_TAG: "__repository__@pipeline_assets.definitions"}
"""The tag by which the UI lists a run under its job; a run started in a shell has none of its own."""

trading_day = dg.define_asset_job("trading_day", description="Raw files to setup vectors of a day.")


def request(root: str, day: date, run_key: str) -> dg.RunRequest:
    """A run of all assets of a root for a day; the sensor runs a key once, the schedule once a tick."""
    return dg.RunRequest(
        run_key=run_key,
        partition_key=str(day),
        asset_selection=[asset_key(root, name) for name in CHAIN],
        tags={"root": root, "date": str(day)},
    )
