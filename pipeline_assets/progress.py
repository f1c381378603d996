"""What a run of the bulk lane says: a line for each date as it ends, and what became of them all.

It prints nothing else on the terminal: its events, dozens a date, are for the UI.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.events import StepFailureData
from dagster._core.execution.plan.handle import ResolvedFromDynamicStepHandle
from dagster._core.execution.plan.step import IExecutionStep
from dagster._core.executor.child_process_executor import ChildProcessCrashException
from dagster._core.log_manager import get_log_record_metadata
from dagster._utils.error import SerializableErrorInfo

DATES = "dates"
"""The name of a run's summary in the metadata of its event."""

OURS = ("kernels.", "resources.", "pipeline_assets.")
"""Packages whose errors need no trace: they say what is wrong with which file, and what to do."""


@dg.logger(description="What the run says itself, and errors that it has no words for.")
def terminal(_: dg.InitLoggerContext) -> logging.Logger:
    """The job's logger, of the run's process and of those of its dates."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Said(datefmt="%H:%M:%S"))
    handler.addFilter(_is_for_people)
    logger = logging.Logger("terminal", logging.INFO)
    logger.addHandler(handler)
    return logger


class _Said(logging.Formatter):
    """The time and what was said; for an event, all that Dagster has to say, with the trace."""

    def format(self, record: logging.LogRecord) -> str:
        said = get_log_record_metadata(record)
        text = record.getMessage() if said["dagster_event"] else said["orig_message"]
        return f"{self.formatTime(record, self.datefmt)} {text}"


def _is_for_people(record: logging.LogRecord) -> bool:
    event = get_log_record_metadata(record)["dagster_event"]
    if event is None:
        return record.levelno == logging.INFO
    if event.is_step_failure:
        _, is_enough = _reason(event.step_failure_data)
        return not (is_enough and is_of_a_date(event))
    if event.is_job_failure:
        failure = event.job_failure_data
        is_said = _is(failure.error, dg.DagsterExecutionInterruptedError, dg.DagsterSubprocessError)
        return not (failure.first_step_failure_event or is_said)
    return False


def is_of_a_date(step: dg.DagsterEvent | IExecutionStep) -> bool:
    """Whether a step, or an event's step, is a date's; else it is the plan."""
    handle = step.step_handle if isinstance(step, dg.DagsterEvent) else step.handle
    return isinstance(handle, ResolvedFromDynamicStepHandle)


@dataclass
class DateResult:
    """What became of a root's date: `done`, or why not."""

    root: str
    date: str
    rows: int = 0
    result: str = "interrupted"
    crash: str | None = None
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """What it took, so far if it has not ended."""
        return (self.ended or time.monotonic()) - self.started

    def __str__(self) -> str:
        made = f"{self.rows:12,} rows in all {self.seconds:8.1f} s"
        return f"{self.date} {self.root:4}{made}  {self.result}"


class Summary:
    """What became of the dates of a run, gathered from its events.

    planned: keys of dates already planned when the run begins, as in a re-execution.
    """

    def __init__(self, planned: Iterable[str]) -> None:
        self._planned = list(planned)
        self._dates: dict[str, DateResult] = {}

    def note(self, event: dg.DagsterEvent) -> str | None:
        """Take note of an event, if it is of a date, or plans one.

        Returns:
            The line to print for the date, if it has ended.
        """
        key = getattr(event.step_handle, "mapping_key", None)
        if key is None:
            if event.is_successful_output and event.step_output_data.mapping_key:
                self._planned.append(event.step_output_data.mapping_key)
            return None
        if key not in self._dates:
            self._dates[key] = DateResult(*date_of_key(key))
        result, data = self._dates[key], event.event_specific_data
        match event.event_type:
            case dg.DagsterEventType.ASSET_MATERIALIZATION:
                rows = data.materialization.metadata.get("dagster/row_count")
                result.rows += rows.value if rows else 0
            case dg.DagsterEventType.ENGINE_EVENT if data.error:
                result.crash = _crash(event.message)
            case dg.DagsterEventType.STEP_SUCCESS:
                return self._end(result, "done")
            case dg.DagsterEventType.STEP_FAILURE:
                return self._end(result, result.crash or _reason(data)[0])
        return None

    def _end(self, date: DateResult, result: str) -> str:
        date.ended, date.result = time.monotonic(), result
        ended = sum(each.ended is not None for each in self._dates.values())
        return f"{ended}/{len(self._keys())}  {date}"

    def _keys(self) -> list[str]:
        return [*dict.fromkeys([*self._planned, *self._dates])]

    def has_dates(self) -> bool:
        """Whether there was any date to do."""
        return bool(self._keys())

    def __str__(self) -> str:
        keys = self._keys()
        done = {key for key, date in self._dates.items() if date.result == "done"}
        lines = [str(date) for key, date in self._dates.items() if key not in done]
        left = defaultdict(list)
        for root, day in (date_of_key(key) for key in keys if key not in done):
            left[root].append(day)
        lines += [f"{root}, not done: {' '.join(days)}" for root, days in left.items()]
        return "\n".join([f"{len(done)} of {len(keys)} dates done", *lines])

    def table(self) -> dg.TableMetadataValue:
        """All dates as a table, for the UI."""
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
        kinds = {"date": "string", "root": "string", "rows": "int", "seconds": "float"}
        kinds["result"] = "string"
        schema = dg.TableSchema([dg.TableColumn(*column) for column in kinds.items()])
        return dg.MetadataValue.table(records, schema)


def summary_of(instance: dg.DagsterInstance, run_id: str) -> str:
    """How many dates of a run were done, and why others were not; "" if it took none."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    has_table = (it for it in events if DATES in it.dagster_event.engine_event_data.metadata)
    return next((it.dagster_event.message for it in has_table), "")


def key_of_date(root: str, day: str) -> str:
    """The mapping key of a root's date, `ES_2025_06_05`."""
    return f"{root}_{day}".replace("-", "_")


def date_of_key(key: str) -> tuple[str, str]:
    """The root and date of a mapping key."""
    root, day = key.split("_", 1)
    return root, day.replace("_", "-")


def _crash(message: str) -> str:
    """How a date's process ended, by Dagster's message `... step one_date[...] was terminated ...`."""
    how = message.partition("] ")[2].partition(". ")[0].rstrip(".")
    may_be_memory = "SIGKILL" in how or "SIGABRT" in how
    advice = "; if memory ran out, lower MBP10_DATES_AT_ONCE" if may_be_memory else ""
    return f"its process {how}{advice}" if how else message


def _reason(failure: StepFailureData) -> tuple[str, bool]:
    """Why a step failed, without Dagster's wrapping, and whether that is enough without a trace."""
    error = failure.error.cause or failure.error
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description, True
    if dg.DagsterExecutionInterruptedError.__name__ in failure.error.to_string():
        return "interrupted", True  # Polars may have made an error of its own of it
    kind, _, words = error.message.strip().partition(": ")
    if kind.startswith(OURS):
        return words, True
    return error.message.strip(), _is(error, ChildProcessCrashException)


def _is(error: SerializableErrorInfo | None, *kinds: type[Exception]) -> bool:
    return error is not None and error.cls_name in {kind.__name__ for kind in kinds}
