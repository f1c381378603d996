"""The bulk lane of a deployment: its runs, their dates and their processes."""

from datetime import date
from typing import Any

import dagster as dg
import psutil

from pipeline_assets.progress import DATES
from tests.live import Deployment
from tests.place import writer_of

RELAUNCH = """mutation ($params: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $params)
    { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


class Lane:
    """A deployment seen through its runs of the job `bulk`."""

    def __init__(self, live: Deployment) -> None:
        self.live, self.instance = live, live.instance

    def launch(self, **config: Any) -> str:
        """Queue a run, as the launchpad does; its id."""
        return self.live.launch("bulk", {}, config=config)

    def relaunch_from_failure(self, run: str) -> str:
        """Queue what a run left undone, as the UI's button does; the new run's id."""
        params = {"parentRunId": run, "strategy": "FROM_FAILURE"}
        started = self.live.query(RELAUNCH, params=params)
        assert started["__typename"] == "LaunchRunSuccess", started
        return started["run"]["runId"]

    def run(self, **config: Any) -> tuple[str, str]:
        """Run to the end; the run's id and status."""
        run = self.launch(**config)
        return run, self.live.end_of_run(run)

    def results(self, run: str) -> dict[str, str]:
        """What the run's summary says of each date; there is none if it came to none."""
        summaries = (
            event.dagster_event.engine_event_data.metadata[DATES]
            for event in self.instance.all_logs(run, of_type=dg.DagsterEventType.ENGINE_EVENT)
            if DATES in event.dagster_event.engine_event_data.metadata
        )
        records = (record for summary in summaries for record in summary.records)
        return {record.data["date"]: record.data["result"] for record in records}

    def latest(self, asset: str, day: date) -> dg.EventLogRecord:
        """The latest materialisation of an asset of ES."""
        return latest(self.instance, asset, day)

    def process(self, run: str) -> int:
        """The process of a run."""
        (pid,) = (
            event.dagster_event.engine_event_data.metadata["pid"].value
            for event in self.instance.all_logs(run, of_type=dg.DagsterEventType.ENGINE_EVENT)
            if "parent process (pid" in event.message
        )
        return int(pid)

    def process_writing(self, day: date) -> int:
        """The process that is writing a table of a day, as soon as one does."""

        def pid() -> int | None:
            pids = map(writer_of, self.live.hidden_files(day))
            return next(filter(psutil.pid_exists, pids), None)

        return self.live.eventually(f"a table of {day} is written", pid, every=0.02)

    def retry(self, run: str) -> str:
        """The run that the daemon starts in place of a lost one."""
        (retry,) = self.live.eventually(
            f"run {run} is tried again", lambda: self.live.runs({"dagster/parent_run_id": run})
        )
        return retry["runId"]


def latest(instance: dg.DagsterInstance, asset: str, day: date) -> dg.EventLogRecord:
    """The latest materialisation of an asset of ES."""
    of_day = dg.AssetRecordsFilter(dg.AssetKey(["es", asset]), asset_partitions=[str(day)])
    return instance.fetch_materializations(of_day, limit=1).records[0]
