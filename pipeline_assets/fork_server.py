"""The server that processes of runs and dates are forked from."""

from multiprocessing import forkserver

PRELOAD = ["dagster._core.executor.multiprocess", "pipeline_assets.preload"]
"""The modules it loads, Dagster's own first as Dagster wants it."""


def start() -> None:
    """Start the server now, as it loads for two seconds, rather than when it is first needed."""
    forkserver.set_forkserver_preload(PRELOAD)
    forkserver.ensure_running()
