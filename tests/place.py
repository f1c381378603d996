"""Where a test's processes work: an instance, raw files and a lake of their own.

with Place(tmp_path) as place:
    simulate_day(day_file(place.raw, "ES", day), day, events=2_000)
    place.materialise("run", day)
    assert place.end_of("run") == 0, place.log("run")
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import dagster as dg
import polars as pl
import psutil
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from pipeline_assets.stages import STAGES
from resources.databento_feed import KEY
from resources.lake import table_path

REPOSITORY = Path(__file__).resolve().parents[1]
LOCATION = "pipeline_assets.definitions"
PATIENCE = 600
"""Seconds until what is awaited counts as never happening; a first run compiles the kernels."""

_Found = TypeVar("_Found")


class Place:
    """Processes by name, each with what it started a process group of its own, on one instance.

    Its home, raw files and lake lie in `folder`, and so do the logs, `<folder>/<name>.log`. The
    source is this repository's unless it is said to lie elsewhere. Nothing of it runs after the
    block.
    """

    def __init__(self, folder: Path, roots: str = "ES", source: Path = REPOSITORY) -> None:
        self.home, self.raw, self.lake = folder / "home", folder / "raw", folder / "lake"
        self.home.mkdir(parents=True)
        shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", self.home)
        self._folder, self._source = folder, source
        self._environment = without_settings(os.environ) | {
            "DAGSTER_HOME": str(self.home),
            "MBP10_RAW": str(self.raw),
            "MBP10_LAKE": str(self.lake),
            "MBP10_ROOTS": roots,
        }
        self._running: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """The instance, as this process sees it."""
        return dg.DagsterInstance.from_config(str(self.home))

    def run(self, name: str, command: str, within: Sequence[str] = ()) -> None:
        """Start a program of the environment, by way of another command if it is to run within."""
        program, *arguments = command.split()
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*within, Path(sys.executable).with_name(program), *arguments],
                cwd=self._source,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def materialise(self, name: str, day: date, within: Sequence[str] = ()) -> None:
        """Start a run of all assets of a day, as from a shell."""
        self.run(
            name, f"dagster asset materialize -m {LOCATION} --select * --partition {day}", within
        )

    def end_of(self, name: str) -> int:
        """Await the end of a process; its exit code."""
        code = self._running[name].wait(PATIENCE)
        del self._running[name]
        return code

    def log(self, name: str) -> str:
        """What a process has printed."""
        return self._log(name).read_text()

    def process(self, name: str) -> psutil.Process:
        """One of the processes, as long as it runs."""
        return psutil.Process(self._running[name].pid)

    def kill(self, name: str) -> None:
        """Kill -9 one of the processes and what it started."""
        process = self._running.pop(name)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_all(self) -> None:
        """Kill -9 all there is."""
        for name in list(self._running):
            self.kill(name)

    def eventually(
        self, what: str, look: Callable[[], _Found | None], every: float = 0.4
    ) -> _Found:
        """What `look` finds, looking every so many seconds until it is something true.

        Raises:
            AssertionError: if that never happens or a process has died, with the ends of the logs.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            dead = [name for name, process in self._running.items() if process.poll() is not None]
            if dead:
                raise AssertionError(f"{', '.join(dead)} died before {what}\n{self._logs()}")
            time.sleep(every)
        raise AssertionError(f"in {PATIENCE} s it never came to pass that {what}\n{self._logs()}")

    def has_whole_day(self, day: date) -> bool:
        """Whether every table of a day is there and readable."""
        paths = [table_path(self.lake, "ES", stage.table, day) for stage in STAGES]
        return all(path.exists() and pl.read_parquet(path).width for path in paths)

    def rows(self, table: str, day: date) -> int:
        """How many rows a table of a day has."""
        return pl.read_parquet(table_path(self.lake, "ES", table, day)).height

    def hidden_files(self, day: date | str = "") -> list[Path]:
        """What is being written, of a day or at all, or was left half-written."""
        return [path for path in self.lake.rglob(f".{day}*") if path.is_file()]

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _logs(self) -> str:
        logs = sorted(self._folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-4_000:]}" for log in logs)


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment with nothing of the pipeline set, no key to buy with, and no proxy to go by."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("MBP10_") and name != KEY and not name.lower().endswith("_proxy")
    }


def add_run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: Mapping[str, str]
) -> str:
    """Add a run as the storage knows it; return its id."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("location"), "__repository__")
    origin = RemoteJobOrigin(repository, "job")
    run = dg.DagsterRun("job", status=status, tags=tags, remote_job_origin=origin)
    return instance.add_run(run).run_id


def record_peak(instance: dg.DagsterInstance, table: str, peak: int, day: date) -> None:
    """Record a day's table of ES as materialised by a process of such a peak memory, in bytes."""
    metadata = {"peak_memory_bytes": dg.MetadataValue.int(peak)}
    key = dg.AssetKey(["es", table])
    instance.report_runless_asset_event(
        dg.AssetMaterialization(key, partition=str(day), metadata=metadata)
    )


def writer_of(part: Path) -> int:
    """The process that writes a hidden file of the lake."""
    return int(part.name.split(".")[-2])


def words(process: psutil.Process) -> set[str]:
    """Names in the command of a process, modules' with their dots."""
    return set(re.findall(r"[\w.]+", " ".join(process.cmdline())))
