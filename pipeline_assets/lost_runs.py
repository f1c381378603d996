"""Runs that were lost are tried again, whenever the daemon looks at them.

When a run fails, an event is recorded, then the run's status, and last whether it is to be retried.
The daemon looks for new events; if it finds one before the rest is recorded, it takes the run for one
that has not failed, and never looks again.
"""

import sys
import time
from collections.abc import Iterable, Iterator

import dagster as dg
from dagster._core.storage.tags import WILL_RETRY_TAG

RETRY_MODULE = "dagster._daemon.auto_run_reexecution.auto_run_reexecution"
"""Dagster's module of what is tried again, which the daemon has loaded."""

PATIENCE_SECONDS = 90
"""How long to wait: status and tag can each take 30 s while many write to SQLite. If they are not there
by then, their writer was killed, and run monitoring fails the run again."""


def wait_for_run_ends() -> None:
    """Have a daemon that loads this code wait until all is recorded; elsewhere do nothing."""
    if RETRY_MODULE not in sys.modules:
        return
    retries = sys.modules[RETRY_MODULE]
    to_be_tried_again = retries.filter_runs_to_should_retry

    def once_recorded(
        runs: Iterable[dg.DagsterRun], instance: dg.DagsterInstance
    ) -> Iterator[dg.DagsterRun]:
        return to_be_tried_again((_recorded(run, instance) for run in runs), instance)

    retries.filter_runs_to_should_retry = once_recorded


def _recorded(run: dg.DagsterRun, instance: dg.DagsterInstance) -> dg.DagsterRun:
    """The run with its end recorded, or as it is when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _is_recorded(run) and time.monotonic() < deadline:
        time.sleep(0.1)
        run = instance.get_run_by_id(run.run_id) or run
    return run


def _is_recorded(run: dg.DagsterRun) -> bool:
    if run.status == dg.DagsterRunStatus.FAILURE:
        return WILL_RETRY_TAG in run.tags
    return run.is_finished
