"""The job that the schedule and the sensor start: all assets of a root, one day a run."""

from datetime import date

import dagster as dg

from pipeline_assets.raw import RAW, asset_key
from pipeline_assets.stages import STAGES

trading_day = dg.define_asset_job("trading_day", description="Raw files to setup vectors of a day.")


def request(root: str, day: date, run_key: str) -> dg.RunRequest:
    """A run of all assets of a root for a day; by the sensor a key is run once, by the schedule once a tick."""
    names = [RAW, *(stage.table for stage in STAGES)]
    return dg.RunRequest(
        run_key=run_key,
        partition_key=str(day),
        asset_selection=[asset_key(root, name) for name in names],
        tags={"root": root, "date": str(day)},
    )
