"""What the dates' processes are forked from has compiled kernels loaded."""

import gc
import importlib
from pathlib import Path

import numba
import pytest
from dagster._core.storage import sql

from pipeline_assets.preload import STORAGES, kernels, load_from_cache

KERNEL = """
from numba import njit

@njit(cache=True)
def twice(x):
    return 2 * x
"""


def test_what_is_compiled_already_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "doubling.py").write_text(KERNEL)
    module = importlib.import_module("doubling")
    load_from_cache(module.twice)
    assert module.twice.signatures == []
    assert (module.twice(2), module.twice(2.5)) == (4, 5.0)

    anew = importlib.reload(module).twice
    load_from_cache(anew)
    assert anew.signatures == [(numba.int64,), (numba.float64,)]
    assert not anew.stats.cache_misses


def test_every_kernel_is_found() -> None:
    assert {"walk_on", "_episodes", "_walls", "_spread"} <= {
        kernel.__name__ for kernel in kernels()
    }


def test_migrations_of_a_storage_are_read_once() -> None:
    config = sql.get_alembic_config(importlib.import_module(STORAGES[0]).__file__)
    scripts = sql.ScriptDirectory.from_config(config)
    assert scripts is sql.ScriptDirectory.from_config(config)
    assert scripts.as_revision_number("head")


def test_what_is_loaded_is_kept_from_the_garbage_collector() -> None:
    assert gc.get_freeze_count() > 100_000
