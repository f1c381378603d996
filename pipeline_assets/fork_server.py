"""The server that processes of runs and dates are forked from."""

from collections.abc import Sequence
from multiprocessing import forkserver

PRELOAD = ["dagster._core.executor.multiprocess", "pipeline_assets.preload"]
"""The modules it loads, Dagster's own first as Dagster wants it."""
BULK_JOB = "backfill"


def begin_beside(command: Sequence[str]) -> None:
    """Begin the server at once if a command line launches the bulk job.

    It loads for two seconds, as the command does meanwhile; Dagster would begin it with the run's
    first step.
    """
    if BULK_JOB in command and {"--job", "-j"}.intersection(command):
        forkserver.set_forkserver_preload(PRELOAD)
        forkserver.ensure_running()
