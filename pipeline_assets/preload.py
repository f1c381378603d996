"""All that the process of a run or a date needs, loaded once in the server that it is forked from.

A fork has none of its server's threads, so nothing here runs a kernel or a Polars query, the first of
which starts Polars' pool. What is loaded is frozen in the end: a fork's garbage collector would walk,
and so copy, all of it, 0.2 s each time.
"""

import gc
import importlib
import sys
from collections.abc import Iterator
from functools import cache

import dagster as dg
from dagster._core.storage import sql
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher

from pipeline_assets.compute_logs import show_by_thread
from pipeline_assets.event_log import keep_databases_open
from pipeline_assets.previews.style import notice, png

try:
    from pipeline_assets.bulk import bulk
    from pipeline_assets.definitions import defs
except ValueError:
    sys.exit(1)  # A setting makes no sense, as whoever started this server will say.

LATER = (
    "dagster._cli",
    "dagster._core.instance.factory",
    "dagster._core.storage.root",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.system_config.composite_descent",
    "dagster._core.workspace.autodiscovery",
    "dagster._utils.test.definitions",
    "multiprocessing.queues",
    "polars._utils.parquet",
    "sqlalchemy.dialects.sqlite",
    "upath.implementations.local",
)
"""Modules that a run or a step would import when it needs them, `dagster._cli` among them: the process
of a date imports its run's `__main__` again."""

COMPILED = ("kernels.", "resources.")
"""Packages that have compiled functions."""

STORAGES = (
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
)


def cached_kernels() -> Iterator[Dispatcher]:
    """Every cached compiled function of our modules; the uncached ones are parts of these."""
    for name, module in list(sys.modules.items()):
        if name.startswith(COMPILED):
            compiled = (value for value in vars(module).values() if isinstance(value, Dispatcher))
            yield from (kernel for kernel in compiled if isinstance(kernel._cache, FunctionCache))


def load_from_cache(kernel: Dispatcher) -> None:
    """Load what Numba's cache holds of a kernel; Numba itself would do so at the first call."""
    for signature, *_ in kernel._cache._cache_file._load_index():
        kernel.compile(signature)


def read_migrations_once() -> None:
    """Have Alembic read the storages' migration scripts here, not again for every database opened."""
    sql.ScriptDirectory.from_config = cache(sql.ScriptDirectory.from_config)
    for storage in STORAGES:
        config = sql.get_alembic_config(importlib.import_module(storage).__file__)
        sql.ScriptDirectory.from_config(config).as_revision_number("head")


for module in LATER:
    importlib.import_module(module)
read_migrations_once()
keep_databases_open()
show_by_thread()
for kernel in cached_kernels():
    load_from_cache(kernel)
# A job makes the schema of its config when first asked for it, and keeps it.
dg.validate_run_config(defs.get_repository_def().get_job(bulk.name))
png(notice("Drawn once", "for matplotlib and its fonts"))

gc.freeze()
