"""The process of a date takes its share of the cores, and the run hears of all of them at once."""

import multiprocessing
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from threading import Thread
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.execution.plan.state import KnownExecutionState, PastExecutionState
from dagster._core.executor import child_process_executor
from dagster._core.executor.child_process_executor import ChildProcessDoneEvent
from dagster._core.storage.tags import RESUME_RETRY_TAG

from pipeline_assets import process_per_date
from pipeline_assets.bulk import bulk
from pipeline_assets.process_per_date import (
    DATES_AT_ONCE,
    POLARS_THREADS,
    _with_dates_not_begun,
    wait_for_any_date,
)
from pipeline_assets.progress import key_of_date
from resources.machine import usable_cores
from tests.place import REPOSITORY

THIS_PROCESS = multiprocessing.current_process()

THREADS = """
import dagster as dg, polars as pl
from pipeline_assets.process_per_date import share_cores
share_cores(dg.DagsterRun(job_name="bulk", tags={{{tag!r}: "{at_once}"}}))
print(pl.thread_pool_size())
"""


@pytest.mark.parametrize("at_once", [1, 10 * usable_cores()])
def test_a_date_takes_its_share_of_the_cores(at_once: int) -> None:
    code = THREADS.format(tag=DATES_AT_ONCE, at_once=at_once)
    assert int(said_by(code)) == max(1, usable_cores() // at_once)


def test_the_environment_has_the_last_word_on_threads() -> None:
    code = THREADS.format(tag=DATES_AT_ONCE, at_once=1)
    assert int(said_by(code, {POLARS_THREADS: "3"})) == 3


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """What a run takes the events of its dates with."""
    monkeypatch.setattr(child_process_executor, "TICK", child_process_executor.TICK)
    monkeypatch.setattr(child_process_executor, "_poll_for_event", None)
    monkeypatch.setattr(process_per_date, "POLL_SECONDS", 0.01)
    wait_for_any_date()
    return child_process_executor._poll_for_event


def test_what_one_date_says_is_not_kept_waiting_by_a_silent_one(
    take: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, talking = queues = [multiprocessing.Queue() for _ in range(2)]
    ends = [say_from_outside(queue) for queue in queues]
    wait_from_now_on(take, queues, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        awaited = pool.submit(take, THIS_PROCESS, silent)
        talking._sem.acquire()
        ends[1].send("an event")
        assert awaited.result(timeout=50) is None
    assert take(THIS_PROCESS, talking) == "an event"


def test_the_next_date_is_started_without_waiting_for_what_the_others_say(
    take: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending, silent = queues = [multiprocessing.Queue() for _ in range(2)]
    end, _still_open = map(say_from_outside, queues)
    wait_from_now_on(take, queues, monkeypatch)
    ending._sem.acquire()
    end.send(ChildProcessDoneEvent(pid=1))
    waits, wait = [], process_per_date.connection.wait
    monkeypatch.setattr(
        process_per_date.connection,
        "wait",
        lambda readers, seconds: waits.append(seconds) or wait(readers, 0),
    )
    assert take(THIS_PROCESS, ending).pid == 1
    waits.clear()
    for waited in 0, 0, 1, 2:
        assert take(THIS_PROCESS, silent) is None
        assert waits.count(process_per_date.POLL_SECONDS) == waited


def say_from_outside(queue: Queue) -> Connection:
    """The end of a date's pipe that its process writes events to."""
    return Connection(os.dup(queue._writer.fileno()), readable=False)


def wait_from_now_on(take: Callable, queues: list[Queue], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask dates until a run would wait for them, then have it wait for long."""
    for queue in 2 * queues:
        assert take(THIS_PROCESS, queue) is None
    monkeypatch.setattr(process_per_date, "POLL_SECONDS", 100)


def test_the_rest_of_an_event_is_not_awaited_of_a_date_that_was_killed(take: Callable) -> None:
    context, taken = multiprocessing.get_context("fork"), []
    queue = context.Queue()
    date = context.Process(target=say_half_of_an_event, args=(queue,))
    date.start()

    def take_until_there_is_something() -> None:
        while not taken or taken[-1] is None:
            taken.append(take(date, queue))

    run = Thread(target=take_until_there_is_something, daemon=True)
    run.start()
    run.join(60)
    assert taken[-1] == child_process_executor.PROCESS_DEAD_AND_QUEUE_EMPTY
    assert date.exitcode == -signal.SIGKILL


def say_half_of_an_event(queue: Queue) -> None:
    """Write eight bytes of sixteen to where a date's events go, and be killed."""
    os.write(queue._writer.fileno(), struct.pack("!i", 16) + bytes(8))
    os.kill(os.getpid(), signal.SIGKILL)


def said_by(code: str, environment: dict[str, str] | None = None) -> str:
    """What a Python of its own prints."""
    clean = {name: value for name, value in os.environ.items() if name != POLARS_THREADS}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=clean | (environment or {}),
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


DATES = [f"one_date[ES_2025_06_0{day}]" for day in (3, 4, 5, 6)]


@pytest.mark.parametrize(
    ("is_planned_anew", "left"), [(False, [DATES[0], DATES[3]]), (True, DATES[1:])]
)
def test_what_earlier_runs_left_undone_is_taken_up(is_planned_anew: bool, left: list[str]) -> None:
    """Of four dates planned the first run did two; one that takes it up, or all anew, the first."""
    mapping = [key_of_date("ES", f"2025-06-0{day}") for day in (3, 4, 5, 6)]
    planned = {StepOutputHandle("plan", "result", key) for key in mapping}
    did = {StepOutputHandle(step, "result") for step in DATES[1:3]}
    first = PastExecutionState("first", planned | did, None)
    done = {StepOutputHandle(DATES[0], "result")} if is_planned_anew else set()
    second = PastExecutionState("second", done | (planned if is_planned_anew else set()), first)
    known = KnownExecutionState(dynamic_mappings={"plan": {"result": mapping}}, parent_state=second)
    config = {"dates": ["2025-06-03"]}
    plan = create_execution_plan(bulk, config, left[:1], known_state=known)
    run = dg.DagsterRun("bulk", run_id="third", tags={RESUME_RETRY_TAG: "true"})
    context = SimpleNamespace(dagster_run=run, job=InMemoryJob(bulk), run_config=config)
    assert sorted(_with_dates_not_begun(context, plan).step_keys_to_execute) == left
    untagged = SimpleNamespace(dagster_run=dg.DagsterRun("bulk", run_id="other"))
    assert _with_dates_not_begun(untagged, plan) is plan
