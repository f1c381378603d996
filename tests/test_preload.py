"""What the dates' processes are forked from has compiled kernels loaded."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from kernels import compiling
from tests.place import REPOSITORY

MEMORY_TAKEN_AGAIN = """
import resource
import numpy as np

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(3_000_000, np.uint8)[::4096] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""
KERNEL = """
from numba import njit

@njit(cache=True)
def twice(x):
    return 2 * x
"""
LOAD = """
import importlib
import numba
from pipeline_assets.preload import load_from_cache
import doubling

load_from_cache(doubling.twice)
assert doubling.twice.signatures == []
assert (doubling.twice(2), doubling.twice(2.5)) == (4, 5.0)

anew = importlib.reload(doubling).twice
load_from_cache(anew)
assert anew.signatures == [(numba.int64,), (numba.float64,)]
assert not anew.stats.cache_misses
"""
LOADED = """
import gc
import importlib
from dagster._core.storage import sql
from pipeline_assets.preload import STORAGES, cached_kernels

found = {kernel.__name__ for kernel in cached_kernels()}
assert {"walk_on", "_episodes", "_walls", "_copy"} <= found
config = sql.get_alembic_config(importlib.import_module(STORAGES[0]).__file__)
scripts = sql.ScriptDirectory.from_config(config)
assert scripts is sql.ScriptDirectory.from_config(config)
assert scripts.as_revision_number("head")
assert gc.get_freeze_count() > 100_000
"""


def test_what_is_compiled_already_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "doubling.py").write_text(KERNEL)
    printed_by(LOAD, PYTHONPATH=str(tmp_path), NUMBA_CACHE_DIR=str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the source of the kernels lies, as far as its cache is concerned."""
    folder = tmp_path / "kernels"
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(compiling, "__file__", str(folder / "compiling.py"))
    return folder


@pytest.mark.parametrize("is_set", [False, True])
def test_the_cache_is_of_all_source_that_has_loops(
    is_set: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_set:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    folders = set()
    for package in ("kernels", "resources"):
        (tmp_path / package).mkdir()
        for content in ("x = 1", "x = 2"):
            (tmp_path / package / "x.py").write_text(content)
            compiling.use_cache_of_this_source()
            folders.add(numba.config.CACHE_DIR)
    assert len(folders) == 4
    caches = tmp_path / "cache" if is_set else source / "__pycache__"
    assert {Path(folder).parent for folder in folders} == {caches}


def test_the_cache_of_source_that_is_read_only_is_the_users(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != source)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    compiling.use_cache_of_this_source()
    assert Path(numba.config.CACHE_DIR).parent == tmp_path / "home" / ".cache" / "mbp10-pipeline"
    monkeypatch.setenv("HOME", "/dev/null")
    with pytest.raises(ValueError, match=r"no folder for compiled kernels: .*set NUMBA_CACHE_DIR"):
        compiling.use_cache_of_this_source()


def test_the_cache_of_the_same_source_is_the_same_in_every_process() -> None:
    code = "import kernels, numba; print(numba.config.CACHE_DIR)"
    first, second = printed_by(code), printed_by(code)
    assert first == second
    assert "numba-" in first


def test_kernels_and_migrations_are_found_and_kept_from_the_garbage_collector() -> None:
    printed_by(LOADED)


def test_polars_reads_how_it_is_to_keep_memory() -> None:
    """It puts its own settings before ours as it is imported, and the last one counts."""
    code = "import os, pipeline_assets.definitions; print(os.environ['_RJEM_MALLOC_CONF'])"
    its_own, _, ours = printed_by(code).strip().partition(",dirty_decay_ms:-1")
    assert "dirty_decay_ms" in its_own
    assert ours == ",narenas:1"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_a_process_started_from_here_keeps_the_memory_of_arrays() -> None:
    start = f"subprocess.run([sys.executable, '-c', {MEMORY_TAKEN_AGAIN!r}])"
    assert int(printed_by(f"import pipeline_assets, subprocess, sys; {start}")) < 100


def printed_by(code: str, **environment: str) -> str:
    """What code prints in a process of its own: Dagster is another after the module is loaded."""
    ours = ("_RJEM_MALLOC_CONF", "NUMBA_CACHE_DIR", "MALLOC_")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
