"""The instance's run queue: as many runs at once as dates fit the machine, asked every time."""

import os

import dagster as dg
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import RunQueueConfig
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import PARTITION_NAME_TAG

from kernels.features import TABLES
from pipeline_assets.capacity import dates_at_once
from pipeline_assets.lost_runs import wait_for_run_ends
from pipeline_assets.settings import all_roots

# Here, as the daemon loads its run queue before it looks at runs and backfills. A backfill whose code
# server is gone then waits for it, as its runs do; else it would fail and take them off the queue.
wait_for_run_ends()
os.environ["DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR"] = "1"

BULK = {"lane": "bulk"}
"""The tag of a run that takes many dates at once, as many as fit."""


class RunQueue(dg.QueuedRunCoordinator):
    """Dagster's run queue, with a limit that follows the machine and what its dates need.

    A run takes one date. No two runs of a date go together, whatever their roots, as one might read
    what the other writes. Bulk runs wait until nothing else runs, and then have the machine to
    themselves.
    """

    def get_run_queue_config(self) -> RunQueueConfig:
        """The limits that hold now; the daemon asks each time it takes runs off the queue."""
        under_way = self._instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES))
        queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
        first = self._instance.get_runs(queued, limit=1, ascending=True)
        is_bulk = any(map(_is_bulk, [*under_way, *first]))
        at_once = 1 if is_bulk else dates_at_once(self._instance, all_roots(), TABLES)
        return (
            super()
            .get_run_queue_config()
            ._replace(
                max_concurrent_runs=at_once,
                tag_concurrency_limits=[
                    {"key": "date", "value": {"applyLimitPerUniqueValue": True}, "limit": 1},
                    *(
                        {"key": key, "value": value, "limit": int(is_bulk)}
                        for key, value in BULK.items()
                    ),
                ],
            )
        )

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Queue a run, tagged with its roots and its date."""
        run = context.dagster_run
        self._instance.add_run_tags(run.run_id, root_and_date(run))
        return super().submit_run(context)


def root_and_date(run: dg.DagsterRun) -> dict[str, str]:
    """The tags `root` and `date`, by which a run is found: `ES` and `2025-06-05`.

    Several roots are joined by commas; a run of the bulk lane has its first and last date.
    """
    if _is_bulk(run):
        roots = run.run_config.get("roots", all_roots())
        ends = [run.run_config.get("start"), run.run_config.get("end")]
        days = run.run_config.get("dates") or [day for day in ends if day]
    else:
        is_whole_job = run.asset_selection is None and not run.asset_check_selection
        roots = all_roots() if is_whole_job else {key.path[0] for key in run.asset_selection or ()}
        days = [run.tags[PARTITION_NAME_TAG]] if PARTITION_NAME_TAG in run.tags else []
    span = sorted({min(days), max(days)}) if days else []
    tags = {"root": ",".join(sorted({root.upper() for root in roots})), "date": "..".join(span)}
    return {name: value for name, value in tags.items() if value}


def _is_bulk(run: dg.DagsterRun) -> bool:
    return run.tags.items() >= BULK.items()
