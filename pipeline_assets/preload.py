"""All that a date's process needs, loaded once in the server that such processes are forked from.

A fork has none of its server's threads, so nothing here runs Polars or a kernel.
"""

import sys
from collections.abc import Iterator

import dagster._core.storage.event_log
import dagster._core.storage.runs
import dagster._core.storage.sqlite_storage  # noqa: F401
import sqlalchemy.dialects.sqlite  # noqa: F401
import upath  # noqa: F401
from numba.core.dispatcher import Dispatcher

import pipeline_assets.previews  # noqa: F401
from pipeline_assets.definitions import defs


def kernels() -> Iterator[Dispatcher]:
    """Every compiled function of the modules in `kernels`."""
    for name, module in list(sys.modules.items()):
        if name.startswith("kernels."):
            yield from (value for value in vars(module).values() if isinstance(value, Dispatcher))


def load_from_cache(kernel: Dispatcher) -> None:
    """Load what Numba's cache holds of a kernel; on its own Numba does so at the first call."""
    for signature, *_ in kernel._cache._cache_file._load_index():
        kernel.compile(signature)


for kernel in kernels():
    load_from_cache(kernel)
defs.get_repository_def()
