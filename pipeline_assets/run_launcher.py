"""The launcher of runs, which can tell whether they still go on."""

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from resources.machine import is_alive


class RunLauncher(dg.DefaultRunLauncher):
    """Dagster's launcher of runs as local processes, with an eye on these processes.

    Dagster's own knows of a lost process only as long as the code server that started it lives; a run
    that went down with the server would seem to go on, and keep its place in the queue. This one looks
    for the process, also of runs started in a shell, so all must run on one machine.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring asks this launcher, and fails runs whose process is gone."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run is there."""
        for record in self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            event = record.dagster_event
            if event.step_key is None and "pid" in event.engine_event_data.metadata:
                pid = int(event.engine_event_data.metadata["pid"].value)
                if not is_alive(pid, record.timestamp):
                    return CheckRunHealthResult(WorkerStatus.FAILED, f"process {pid} is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING)
