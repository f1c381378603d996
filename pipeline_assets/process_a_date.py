"""The bulk lane's executor: each date in a process of its own, as many at once as fit the machine."""

import json
import multiprocessing
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import Any
from weakref import WeakSet

import dagster as dg
import polars as pl
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.handle import ResolvedFromDynamicStepHandle
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import IExecutionStep
from dagster._core.execution.retries import RetryMode
from dagster._core.executor import child_process_executor
from dagster._core.executor.multiprocess import MultiprocessExecutor
from dagster._core.storage.tags import RESUME_RETRY_TAG
from dagster._core.system_config.objects import ResolvedRunConfig

from pipeline_assets.fork_server import PRELOAD
from resources.machine import usable_cores

DATES_AT_ONCE = "mbp10/dates_at_once"
"""The run's tag that says how many."""
DATES = "dates"
"""What the summary of a run is called in the metadata of its event."""
POLARS_THREADS = "POLARS_MAX_THREADS"

LOOK_SECONDS = 0.1
"""How often the run looks whether a date's process is still there, if none of them says anything."""

_take_within_a_tick = child_process_executor._poll_for_event


class ProcessADate(dg.Executor):
    """Dagster's multiprocess executor, sized at launch, whose run ends with a summary of its dates.

    Processes are forked from a server that has everything loaded and runs nothing itself.
    `dates_at_once` tells from the instance and the run's config how many dates fit.
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
        """Execute the plan; the summary is there even if processes crash or the run is ended.

        Materialisations, recorded by the date's own process, are not passed on: Dagster gathers a
        run's events, and the pictures of a year would fill its memory.
        """
        at_once = self._dates_at_once(plan_context.instance, plan_context.run_config)
        plan_context = _tagged(plan_context, {DATES_AT_ONCE: str(at_once)})
        execution_plan = _with_dates_not_begun(plan_context, execution_plan)
        wait_for_any_date()
        processes = MultiprocessExecutor(
            retries=self.retries,
            max_concurrent=at_once,
            start_method="forkserver",
            explicit_forkserver_preload=PRELOAD,
        )
        summary = Summary()
        try:
            for event in processes.execute(plan_context, execution_plan):
                summary.note(event)
                if not event.is_step_materialization:
                    yield event
        finally:
            dg.DagsterEvent.engine_event(
                plan_context, str(summary), EngineEventData({DATES: summary.table()})
            )


def _with_dates_not_begun(
    plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
) -> ExecutionPlan:
    """The plan of a run; if it takes up one that was ended, with every date which that left undone.

    Dagster takes up the dates that failed or were interrupted, but none that had not begun.
    """
    if plan_context.dagster_run.tags.get(RESUME_RETRY_TAG) != "true":
        return execution_plan
    left, past = _dates(execution_plan.steps), execution_plan.known_state.parent_state
    while past is not None:
        left -= {output.step_key for output in past.produced_outputs}
        has_planned = any(output.mapping_key for output in past.produced_outputs)
        past = None if has_planned else past.parent_state
    job = plan_context.job.get_definition()
    config = ResolvedRunConfig.build(job, run_config=plan_context.run_config)
    taken_up = dict.fromkeys([*sorted(left), *execution_plan.step_keys_to_execute])
    return execution_plan.build_subset_plan([*taken_up], job, config)


def _dates(steps: Iterable[IExecutionStep]) -> set[str]:
    """The keys of those steps that are of a date."""
    return {step.key for step in steps if isinstance(step.handle, ResolvedFromDynamicStepHandle)}


def wait_for_any_date() -> None:
    """Have this process, a run's, wait for the events of all its dates at once.

    Dagster waits 20 ms for one of the first date, then 20 ms for one of the next.
    """
    queues: WeakSet[Queue] = WeakSet()

    def take(process: BaseProcess, queue: Queue) -> Any:
        queues.add(queue)
        readers = [queue._reader for queue in queues]
        connection.wait([reader for reader in readers if not reader.closed], LOOK_SECONDS)
        return _take_within_a_tick(process, queue)

    child_process_executor._poll_for_event = take
    child_process_executor.TICK = 0


def _tagged(
    plan_context: PlanOrchestrationContext, tags: Mapping[str, str]
) -> PlanOrchestrationContext:
    """Tag a run; the context in which its processes know the tags without looking them up."""
    run = plan_context.dagster_run
    plan_context.instance.add_run_tags(run.run_id, tags)
    plan_data = plan_context.plan_data._replace(dagster_run=run.with_tags({**run.tags, **tags}))
    return PlanOrchestrationContext(
        plan_data,
        plan_context.log,
        plan_context.executor,
        plan_context.output_capture,
        plan_context.resume_from_failure,
    )


@dataclass
class DateResult:
    """What became of a root's date: `done`, or why not."""

    root: str
    date: str
    rows: int = 0
    seconds: float = 0
    result: str = "interrupted"
    crash: str | None = None
    started: float = field(default_factory=time.monotonic)

    def end(self, result: str) -> None:
        """The date's process has ended."""
        self.seconds, self.result = time.monotonic() - self.started, result


class Summary:
    """What became of the dates of a run, gathered from its events."""

    def __init__(self) -> None:
        self._planned: list[str] = []
        self._dates: dict[str, DateResult] = {}

    def note(self, event: dg.DagsterEvent) -> None:
        """Take note of an event, if it is of a date, or plans one."""
        key = getattr(event.step_handle, "mapping_key", None)
        if key is None:
            if event.is_successful_output and event.step_output_data.mapping_key:
                self._planned.append(event.step_output_data.mapping_key)
            return
        if key not in self._dates:
            self._dates[key] = DateResult(*date_of_key(key))
        result, data = self._dates[key], event.event_specific_data
        match event.event_type:
            case dg.DagsterEventType.ASSET_MATERIALIZATION:
                rows = data.materialization.metadata.get("dagster/row_count")
                result.rows += rows.value if rows else 0
            case dg.DagsterEventType.ENGINE_EVENT if data.error:
                result.crash = event.message
            case dg.DagsterEventType.STEP_SUCCESS:
                result.end("done")
            case dg.DagsterEventType.STEP_FAILURE:
                result.end(result.crash or _reason(data))

    def __str__(self) -> str:
        lines = [
            f"{date.date} {date.root:4}{date.rows:12,} rows {date.seconds:8.1f} s  {date.result}"
            for date in self._dates.values()
        ]
        keys = dict.fromkeys([*self._planned, *self._dates])
        done = {key for key, date in self._dates.items() if date.result == "done"}
        left = defaultdict(list)
        for root, day in (date_of_key(key) for key in keys if key not in done):
            left[root].append(day)
        lines += [f"{root}, not done: {' '.join(days)}" for root, days in left.items()]
        return "\n".join([f"{len(done)} of {len(keys)} dates done", *lines])

    def table(self) -> dg.TableMetadataValue:
        """The same as a table, for the UI."""
        records = [
            dg.TableRecord(
                {
                    "date": date.date,
                    "root": date.root,
                    "rows": date.rows,
                    "seconds": round(date.seconds, 2),
                    "result": date.result,
                }
            )
            for date in self._dates.values()
        ]
        columns = {"date": "string", "root": "string", "rows": "int", "seconds": "float"}
        schema = dg.TableSchema(
            [dg.TableColumn(name, kind) for name, kind in (columns | {"result": "string"}).items()]
        )
        return dg.MetadataValue.table(records, schema)


def summary_of(instance: dg.DagsterInstance, run_id: str) -> str:
    """What became of the dates of a run, a line each; nothing if it did not come to any."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    has_table = (it for it in events if DATES in it.dagster_event.engine_event_data.metadata)
    return next((it.dagster_event.message for it in has_table), "")


def end_with_the_run() -> None:
    """Have this process, a date's, end as soon as the run's is gone.

    It would do the date's work for nobody: its events have no reader left, and as soon as they fill
    their pipe it would wait for one for ever.
    """
    run = multiprocessing.parent_process()

    def watch() -> None:
        run.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def share_cores(run: dg.DagsterRun) -> None:
    """Have Polars start as many threads here as leave each of the run's dates its share of the cores.

    The environment has the last word. Nothing may have used Polars before.
    """
    if POLARS_THREADS not in os.environ:
        threads = str(max(1, usable_cores() // int(run.tags[DATES_AT_ONCE])))
        pl.Config.load(json.dumps({"environment": {POLARS_THREADS: threads}}))


def key_of_date(root: str, day: str) -> str:
    """The mapping key of a root's date, `ES_2025_06_05`."""
    return f"{root}_{day}".replace("-", "_")


def date_of_key(key: str) -> tuple[str, str]:
    """The root and date of a mapping key."""
    root, day = key.split("_", 1)
    return root, day.replace("_", "-")


def _reason(failure: Any) -> str:
    """Why a step failed, in the words of what its code raised, Dagster's wrapping taken off."""
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    return (failure.error.cause or failure.error).message.strip()
