"""Makes, every evening, the day whose session has ended; off until switched on in the UI."""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from kernels.instrument import NEW_YORK
from pipeline_assets.jobs import request, trading_day
from pipeline_assets.partitions import trading_days, why_closed
from pipeline_assets.raw import asset_key
from pipeline_assets.recording import latest_materialisation
from pipeline_assets.settings import all_roots
from pipeline_assets.stages import STAGES

CAUGHT_UP_DAYS = 7
"""Trading days that an evening looks at: its own, up to five missed ones, and a known one before."""


@dg.schedule(
    job=trading_day,
    cron_schedule="30 18-21 * * 1-5",
    execution_timezone=NEW_YORK.key,
    description="At 18:30 New York makes the day whose session has ended, and up to five missed ones;"
    " tries again at 19:30, 20:30 and 21:30 if it failed.",
)
def evening(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """One run a root at 18:30 New York time; what failed is tried again at 19:30, 20:30 and 21:30.

    An evening mostly fails as its file comes late: the UTC day ends at 19:00 or 20:00, and can be
    downloaded only then. Asking again by the clock survives a restart and holds no place in the run
    queue, as a step that sleeps between its attempts would.

    After downtime Dagster evaluates only the last missed tick. That one asks, once, for up to five
    missed days too; longer gaps are left to the bulk job.
    """
    now = context.scheduled_execution_time
    day = now.astimezone(NEW_YORK).date()
    known = map(date.fromisoformat, trading_days.get_partition_keys(current_time=now))
    days = [each for each in known if each <= day][-CAUGHT_UP_DAYS:]
    wanted = [
        request(root, each, run_key=f"{root} {each}")
        for root in all_roots()
        for each in _wanted(context.instance, root, days, day)
    ]
    if wanted:
        return wanted
    closed = why_closed(day)
    return dg.SkipReason(
        f"{day} is no trading day: {closed}"
        if closed
        else f"{day} is done, under way or was canceled"
    )


def _wanted(
    instance: dg.DagsterInstance, root: str, days: list[date], today: date
) -> Iterator[date]:
    """Unknown days after a known one; today if it is unknown or its run failed.

    A day is known if there is a run that was to make it, or if it has its vectors.
    """
    vectors, has_begun = asset_key(root, STAGES[-1].table), False
    for day in days:
        run = _latest_run(instance, root, day)
        is_known = run is not None or latest_materialisation(instance, vectors, day) is not None
        has_failed = run and run.is_failure and not run.is_complete_and_waiting_to_retry
        if day == today and (has_failed or not is_known):
            yield day
        if day != today and has_begun and not is_known:
            yield day
        has_begun = has_begun or is_known


def _latest_run(instance: dg.DagsterInstance, root: str, day: date) -> dg.DagsterRun | None:
    """The latest run that was to make a root's day, or several roots'.

    One not yet queued is none: a daemon killed as it asks for runs leaves it so. Asked for again by
    the same tick, it is the one that Dagster queues.
    """
    of_day = dg.RunsFilter(job_name=trading_day.name, tags={"date": str(day)})
    for run in instance.get_runs(of_day):
        is_queued = run.status is not dg.DagsterRunStatus.NOT_STARTED
        if is_queued and root in run.tags.get("root", "").split(","):
            return run
    return None
