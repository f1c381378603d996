"""Who starts runs, and can tell whether they still go on."""

import dagster as dg
import psutil
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

CLOCK_SLACK_SECONDS = 60
"""How far a process's start, counted from the machine's, may be off as clocks are set."""


class RunLauncher(dg.DefaultRunLauncher):
    """Dagster's launcher of runs as local processes, with an eye on these processes.

    Dagster's own knows of a lost process only as long as the code server that started it lives; what
    went down with it would seem to go on, and hold its place in the queue. This one looks for the
    process, also of runs begun in a shell, so all must run on one machine.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring asks this launcher, and fails runs that it gives up."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run is there."""
        for record in self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            event = record.dagster_event
            if event.step_key is None and "pid" in event.engine_event_data.metadata:
                pid = int(event.engine_event_data.metadata["pid"].value)
                if not is_there(pid, record.timestamp):
                    return CheckRunHealthResult(WorkerStatus.FAILED, f"process {pid} is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def is_there(pid: int, seen: float) -> bool:
    """Whether a process is alive that was seen at an instant, not another with its number."""
    try:
        process = psutil.Process(pid)
        is_same = process.create_time() <= seen + CLOCK_SLACK_SECONDS
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
