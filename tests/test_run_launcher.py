"""The launcher tells a run that goes on from one whose process is gone."""

import os
import subprocess
import sys
import time

import dagster as dg
import psutil
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus

from pipeline_assets.run_launcher import RunLauncher
from resources.machine import is_alive


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def health(instance: dg.DagsterInstance, pid: int | None) -> WorkerStatus:
    """What the launcher says of a run begun by a process, or by none yet."""
    run = instance.add_run(dg.DagsterRun("job", run_id=str(pid)))
    if pid:
        began = EngineEventData.in_process(pid)
        instance.report_engine_event("Started process for run", run, began)
    assert isinstance(instance.run_launcher, RunLauncher)
    return instance.run_launcher.check_run_worker_health(run).status


def test_run_whose_process_lives_goes_on(instance: dg.DagsterInstance) -> None:
    assert health(instance, os.getpid()) == WorkerStatus.RUNNING


def test_run_yet_without_a_process_goes_on(instance: dg.DagsterInstance) -> None:
    assert health(instance, None) == WorkerStatus.RUNNING


def test_run_whose_process_is_gone_has_failed(instance: dg.DagsterInstance, gone: int) -> None:
    assert health(instance, gone) == WorkerStatus.FAILED


def test_a_date_whose_process_has_ended_is_not_the_run(
    instance: dg.DagsterInstance, gone: int
) -> None:
    run = instance.add_run(dg.DagsterRun("bulk", run_id="1"))
    for pid, step in ((os.getpid(), None), (gone, "one_date[ES_2025_06_05]")):
        began = EngineEventData.in_process(pid)
        instance.report_engine_event("Started process", run, began, step_key=step)
    assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING


def test_a_process_that_nobody_waits_for_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not is_alive(process.pid, seen=time.time())
    process.wait()


def test_a_process_that_came_later_is_another() -> None:
    assert is_alive(os.getpid(), seen=time.time())
    assert not is_alive(os.getpid(), seen=time.time() - 10 * 86_400)
