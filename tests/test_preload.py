"""What the dates' processes are forked from has compiled kernels loaded."""

import gc
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from dagster._core.storage import sql

from kernels import compiling
from pipeline_assets.preload import STORAGES, cached_kernels, load_from_cache
from tests.place import REPOSITORY

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


def test_the_cache_is_of_all_source_that_has_loops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(compiling, "__file__", str(tmp_path / "kernels" / "compiling.py"))
    folders = set()
    for package in ("kernels", "resources"):
        (tmp_path / package).mkdir()
        for source in ("x = 1", "x = 2"):
            (tmp_path / package / "x.py").write_text(source)
            compiling.use_cache_of_this_source()
            folders.add(numba.config.CACHE_DIR)
    assert len(folders) == 4


def test_the_cache_of_the_same_source_is_the_same_in_every_process() -> None:
    code = "import kernels, numba; print(numba.config.CACHE_DIR)"
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    first, second = (
        subprocess.check_output([sys.executable, "-c", code], cwd=REPOSITORY, env=environment)
        for _ in range(2)
    )
    assert first == second
    assert b"numba-" in first


def test_every_kernel_is_found() -> None:
    assert {"walk_on", "_episodes", "_walls", "_spread"} <= {
        kernel.__name__ for kernel in cached_kernels()
    }


def test_migrations_of_a_storage_are_read_once() -> None:
    config = sql.get_alembic_config(importlib.import_module(STORAGES[0]).__file__)
    scripts = sql.ScriptDirectory.from_config(config)
    assert scripts is sql.ScriptDirectory.from_config(config)
    assert scripts.as_revision_number("head")


def test_what_is_loaded_is_kept_from_the_garbage_collector() -> None:
    assert gc.get_freeze_count() > 100_000


def test_polars_reads_how_it_is_to_keep_memory() -> None:
    """It puts its own settings before ours as it is imported, and the last one counts."""
    code = "import os, pipeline_assets.definitions; print(os.environ['_RJEM_MALLOC_CONF'])"
    environment = {k: v for k, v in os.environ.items() if k != "_RJEM_MALLOC_CONF"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    its_own, _, ours = done.stdout.strip().partition(",dirty_decay_ms:-1")
    assert "dirty_decay_ms" in its_own
    assert ours == ",narenas:2"
