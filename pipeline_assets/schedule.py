"""Every evening the day that ended, off until switched on in the UI."""

from datetime import date
from zoneinfo import ZoneInfo

import dagster as dg

from pipeline_assets.jobs import request, trading_day
from pipeline_assets.partitions import why_closed
from pipeline_assets.settings import instruments

NEW_YORK = "America/New_York"


@dg.schedule(job=trading_day, cron_schedule="30 18-21 * * 1-5", execution_timezone=NEW_YORK)
def evening(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """One run a root at 18:30 New York time; what failed is tried again at 19:30, 20:30 and 21:30.

    What fails in the evening is a file that comes late: the UTC day, and with it a download, ends
    at 19:00 or 20:00. Asking again by the clock survives a restart and holds no place in the run
    queue, as a step that sleeps between its attempts would.
    """
    day = context.scheduled_execution_time.astimezone(ZoneInfo(NEW_YORK)).date()
    closed = why_closed(day)
    if closed:
        return dg.SkipReason(f"no session on {day}: {closed}")
    roots = [instrument.root for instrument in instruments()]
    wanted = [root for root in roots if not _is_asked_for(context.instance, root, day)]
    if not wanted:
        return dg.SkipReason(f"{day} is done or under way")
    return [request(root, day, run_key=root) for root in wanted]


def _is_asked_for(instance: dg.DagsterInstance, root: str, day: date) -> bool:
    """Whether a run for the day is queued, under way or done: the latest, if any, has not failed."""
    of_day = dg.RunsFilter(job_name=trading_day.name, tags={"root": root, "date": str(day)})
    latest = instance.get_runs(of_day, limit=1)
    return bool(latest) and latest[0].status is not dg.DagsterRunStatus.FAILURE
