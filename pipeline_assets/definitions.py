"""Everything there is, wired: the assets of each root, the feed, the roll rule and the lake."""

import gc

import dagster as dg

from pipeline_assets.bulk import bulk
from pipeline_assets.freshness import freshness_check, freshness_sensor, lake_asset
from pipeline_assets.jobs import trading_day
from pipeline_assets.order_book import Contract, order_book_assets
from pipeline_assets.panel import PanelLake
from pipeline_assets.schedule import evening
from pipeline_assets.sensor import deliveries
from pipeline_assets.settings import (
    all_roots,
    instruments,
    lake_folder,
    raw_feed,
    refuse_unread_home,
)
from pipeline_assets.warm_runs import fork_runs
from resources.machine import dates_override

refuse_unread_home()
dates_override()  # If it makes no sense, say so now, not by a run queue that stands still.
fork_runs()

defs = dg.Definitions(
    assets=[
        *(asset for instrument in instruments() for asset in order_book_assets(instrument)),
        *map(lake_asset, all_roots()),
    ],
    asset_checks=[*map(freshness_check, all_roots())],
    jobs=[trading_day, bulk],
    schedules=[evening],
    sensors=[deliveries, freshness_sensor(all_roots())],
    resources={
        "feed": raw_feed(),
        "contract": Contract(),
        "io_manager": PanelLake(base_dir=str(lake_folder())),
    },
    executor=dg.in_process_executor,
)

# What is loaded by now stays: the garbage collector need not walk its 400,000 objects again and again.
gc.freeze()
