"""Runs that start without delay: forked from a server with everything loaded, as bulk dates are."""

import multiprocessing
import sys
from typing import Any

from pipeline_assets.fork_server import PRELOAD

CODE_SERVER = "dagster._grpc.server"
"""Dagster's module of code servers, which only they have loaded."""


def fork_runs() -> None:
    """Have a code server that loads this code fork its runs; elsewhere do nothing.

    Dagster starts a Python for each, which imports everything again. All else is as in Dagster: who
    watches, interrupts and outlives whom. The server to fork from starts with the first run and belongs
    to one code server, so runs use the code that the location has loaded.

    If there is none to fork from, as the code is broken by now or its socket is gone, the run is started
    as Dagster does it, and says why if it fails.
    """
    if CODE_SERVER not in sys.modules:
        return
    multiprocessing.set_forkserver_preload(PRELOAD)
    code_servers = sys.modules[CODE_SERVER].DagsterApiServer
    start_run = code_servers.StartRun

    def start_forked(code_server: Any, *request: Any) -> Any:
        try:
            code_server._mp_ctx = multiprocessing.get_context("forkserver")
            return start_run(code_server, *request)
        except (OSError, EOFError):
            code_server._mp_ctx = multiprocessing.get_context("spawn")
            return start_run(code_server, *request)

    code_servers.StartRun = start_forked
