"""The bulk lane's executor: a process for each date, as many at once as fit the machine."""

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg
import polars as pl
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor import child_process_executor
from dagster._core.executor.multiprocess import MultiprocessExecutor
from dagster._core.system_config.objects import ResolvedRunConfig

from pipeline_assets.fork_server import PRELOAD
from pipeline_assets.progress import DATES, Summary, is_of_a_date
from resources.machine import usable_cores

DATES_AT_ONCE = "mbp10/dates_at_once"
"""The run's tag that says how many."""
POLARS_THREADS = "POLARS_MAX_THREADS"

POLL_SECONDS = 0.1
"""How often the run checks that the dates' processes are still there while none says anything."""

_take_within_a_tick = child_process_executor._poll_for_event


class ProcessPerDate(dg.Executor):
    """Dagster's multiprocess executor, sized at launch, whose run ends with a summary of its dates.

    Processes are forked from a server that has everything loaded but runs no query and no kernel
    itself. `dates_at_once` tells from the instance and the run's config how many dates fit.
    """

    def __init__(
        self, dates_at_once: Callable[[dg.DagsterInstance, Mapping[str, Any]], int]
    ) -> None:
        self._dates_at_once = dates_at_once

    @property
    def retries(self) -> RetryMode:
        """A date that fails is not tried again within the run."""
        return RetryMode.DISABLED

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Execute the plan; the summary is recorded even if processes crash or the run is ended.

        Materialisations, recorded by the date's own process, are not passed on: Dagster gathers a
        run's events, and the pictures of a year would fill its memory.
        """
        at_once = self._dates_at_once(plan_context.instance, plan_context.run_config)
        plan_context.instance.add_run_tags(plan_context.run_id, {DATES_AT_ONCE: str(at_once)})
        execution_plan = _with_dates_not_begun(plan_context, execution_plan)
        wait_for_any_date()
        processes = MultiprocessExecutor(
            retries=self.retries,
            max_concurrent=at_once,
            start_method="forkserver",
            explicit_forkserver_preload=PRELOAD,
        )
        steps = execution_plan.get_steps_to_execute_in_topo_order()
        summary = Summary(step.handle.mapping_key for step in steps if is_of_a_date(step))
        try:
            for event in processes.execute(plan_context, execution_plan):
                if said := summary.note(event):
                    plan_context.log.info(said)
                if not event.is_step_materialization:
                    yield event
        finally:
            if summary.has_dates():
                dg.DagsterEvent.engine_event(
                    plan_context, str(summary), EngineEventData({DATES: summary.table()})
                )


def _with_dates_not_begun(
    plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
) -> ExecutionPlan:
    """The plan; if the run re-executes another, it includes the dates that one never began.

    Dagster re-executes only those that failed or were interrupted.
    """
    if not plan_context.dagster_run.is_resume_retry:
        return execution_plan
    left = {step.key for step in execution_plan.steps if is_of_a_date(step)}
    past = execution_plan.known_state.parent_state
    while past is not None:
        left -= {output.step_key for output in past.produced_outputs}
        has_planned = any(output.mapping_key for output in past.produced_outputs)
        past = None if has_planned else past.parent_state
    job = plan_context.job.get_definition()
    config = ResolvedRunConfig.build(job, run_config=plan_context.run_config)
    taken_up = dict.fromkeys([*sorted(left), *execution_plan.step_keys_to_execute])
    return execution_plan.build_subset_plan([*taken_up], job, config)


def wait_for_any_date() -> None:
    """Have this process, a run's, wait for the events of all its dates at once.

    Dagster waits 20 ms for one of the first date, then 20 ms for one of the next. And it waits forever
    for the rest of an event that a killed date left half written, as it holds the pipe's other end open.

    Once a date has ended, each other one is asked twice without waiting: Dagster starts the next date
    only after it has asked them all.
    """
    asked: WeakKeyDictionary[Queue, int] = WeakKeyDictionary()

    def take(process: BaseProcess, queue: Queue) -> Any:
        queue._writer.close()
        asked[queue] = asked.get(queue, 0) + 1
        if asked[queue] > 2:
            connection.wait([each._reader for each in asked], POLL_SECONDS)
        try:
            event = _take_within_a_tick(process, queue)
        except (EOFError, OSError):
            process.join()
            return child_process_executor.PROCESS_DEAD_AND_QUEUE_EMPTY
        if isinstance(event, child_process_executor.ChildProcessDoneEvent):
            asked.update(dict.fromkeys(asked, 0))
        return event

    child_process_executor._poll_for_event = take
    child_process_executor.TICK = 0


def end_with_the_run() -> None:
    """Have this process, a step's, end as soon as the run's process, if it is another, is gone.

    It would do its work for nobody: its events have no reader left, and as soon as they fill
    their pipe it would wait for one forever.
    """

    def watch(run: BaseProcess) -> None:
        run.join()
        os._exit(1)

    if run := multiprocessing.parent_process():
        threading.Thread(target=watch, args=(run,), daemon=True).start()


def share_cores(run: dg.DagsterRun) -> None:
    """Give Polars this date's share of the cores, unless the environment says how many threads.

    To be called before Polars is used. `os.environ` would be too late: Polars read it when it was
    imported.
    """
    if POLARS_THREADS not in os.environ:
        threads = str(max(1, usable_cores() // int(run.tags[DATES_AT_ONCE])))
        pl.Config.load(json.dumps({"environment": {POLARS_THREADS: threads}}))
