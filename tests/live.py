"""A real deployment for tests: code server, webserver and daemon on an instance of their own.

with deployed(tmp_path) as live:
    simulate_day(day_file(live.raw, "ES", day), day, events=2_000)
    live.end_of_backfill(live.backfill([day]))
"""

import json
import socket
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

from tests.place import LOCATION, PATIENCE, REPOSITORY, Place

REPOSITORY_SELECTOR = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
PROCESSES = ("code", "webserver", "daemon")


class Deployment(Place):
    """A place whose processes are the three that a user has running with `dagster dev`.

    They are `code` (the code server, which starts the runs), `webserver`, at `url`, and `daemon`.
    """

    def __init__(self, folder: Path, roots: str = "ES", source: Path = REPOSITORY) -> None:
        super().__init__(folder, roots, source)
        self._code_port, web_port = _free_ports()
        self.url = f"http://127.0.0.1:{web_port}"
        workspace = folder / "workspace.yaml"
        server = {"host": "127.0.0.1", "port": self._code_port, "location_name": LOCATION}
        workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        self._commands = {
            "code": f"dagster code-server start -m {LOCATION} -h 127.0.0.1 -p {self._code_port}",
            "webserver": f"dagster-webserver -h 127.0.0.1 -p {web_port} -w {workspace}",
            "daemon": f"dagster-daemon run -w {workspace}",
        }

    def start(self, name: str) -> None:
        """Start one of the processes; return once it answers, the daemon at once."""
        self.run(name, self._commands[name])
        if name == "code":
            self.eventually("the code server answers", lambda: _answers(self._code_port))
        if name == "webserver":
            self.eventually("the webserver answers", self._loads)

    def query(self, text: str, **variables: Any) -> Any:
        """The one field that a GraphQL document asks for.

        Raises:
            AssertionError: if the server refuses it, or answers with an error of its own.
        """
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": text, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        (field,) = answer["data"].values()
        return field

    def backfill(self, days: Iterable[date]) -> str:
        """Launch a backfill of all assets; its id."""
        started = self.query(
            """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params)
                { __typename ... on LaunchBackfillSuccess { backfillId }
                  ... on PythonError { message } } }""",
            params={
                "assetSelection": [{"path": key} for key in self.asset_keys()],
                "partitionNames": [str(day) for day in days],
            },
        )
        assert started["__typename"] == "LaunchBackfillSuccess", started
        return started["backfillId"]

    def launch(
        self,
        job: str,
        tags: Mapping[str, str],
        assets: Sequence[Mapping] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Queue a run of a job with these tags, `dagster/partition` its day; its id."""
        started = self.query(
            """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params)
                { __typename ... on LaunchRunSuccess { run { runId } }
                  ... on PythonError { message } } }""",
            params={
                "selector": REPOSITORY_SELECTOR | {"jobName": job, "assetSelection": assets},
                "runConfigData": config or {},
                "executionMetadata": {
                    "tags": [{"key": key, "value": value} for key, value in tags.items()]
                },
            },
        )
        assert started["__typename"] == "LaunchRunSuccess", started
        return started["run"]["runId"]

    def end_of_run(self, run: str) -> str:
        """Await the end of a run; its status, SUCCESS if all is well."""

        def status() -> str | None:
            found = self.query(
                "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run
            )["status"]
            return found if found in ("SUCCESS", "FAILURE", "CANCELED") else None

        return self.eventually(f"run {run} ends", status)

    def end_of_backfill(self, backfill: str) -> str:
        """Await the end of a backfill; its status, COMPLETED_SUCCESS if all is well."""

        def status() -> str | None:
            found = self.query(
                """query ($id: String!) { partitionBackfillOrError(backfillId: $id)
                    { ... on PartitionBackfill { status } } }""",
                id=backfill,
            )["status"]
            return found if found.startswith(("COMPLETED_", "FAILED", "CANCELED")) else None

        return self.eventually(f"backfill {backfill} ends", status)

    def cancel(self, run: str) -> None:
        """Ask for the end of a run, as by *Terminate* in the UI."""
        ended = self.query(
            """mutation ($run: String!) { terminateRun(runId: $run)
                { __typename ... on TerminateRunFailure { message } } }""",
            run=run,
        )
        assert ended["__typename"] == "TerminateRunSuccess", ended

    def reload(self) -> None:
        """Have the code server load the source anew, as by *Reload* in the UI."""
        loaded = self.query(
            """mutation ($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name)
                { __typename ... on WorkspaceLocationEntry
                  { locationOrLoadError { __typename } } } }""",
            name=LOCATION,
        )
        assert loaded["locationOrLoadError"]["__typename"] == "RepositoryLocation", loaded

    def asset_keys(self) -> list[list[str]]:
        """The paths of all assets that a run makes."""
        nodes = self.query("{ assetNodes { assetKey { path } isExecutable } }")
        return [node["assetKey"]["path"] for node in nodes if node["isExecutable"]]

    def turn_on(self, kind: str, name: str) -> None:
        """Switch a `schedule` or `sensor` on, as in the UI."""
        self.query(
            f"""mutation ($selector: {kind.title()}Selector!)
                {{ start{kind.title()}({kind}Selector: $selector) {{ __typename }} }}""",
            selector=REPOSITORY_SELECTOR | {f"{kind}Name": name},
        )

    def state(self, kind: str, name: str) -> dict[str, Any]:
        """The state of a `schedule` or `sensor`: `status`, and a sensor's `lastCursor`."""
        state = self.query(
            f"""query ($selector: {kind.title()}Selector!) {{ {kind}OrError({kind}Selector: $selector)
                {{ ... on {kind.title()} {{ {kind}State {{ status
                   typeSpecificData {{ ... on SensorData {{ lastCursor }} }} }} }} }} }}""",
            selector=REPOSITORY_SELECTOR | {f"{kind}Name": name},
        )[f"{kind}State"]
        return {"status": state["status"], **(state["typeSpecificData"] or {})}

    def dry_run(self, kind: str, name: str, at: float | str | None) -> dict[str, Any]:
        """What a `schedule` asks for at a time, in seconds, or a `sensor` at a cursor.

        It says `runRequests`, each with `runKey`, `tags` and `assetSelection`, and `skipReason`.
        """
        place, place_type = ("timestamp", "Float") if kind == "schedule" else ("cursor", "String")
        asked = self.query(
            f"""mutation ($selector: {kind.title()}Selector!, $at: {place_type})
                {{ {kind}DryRun(selectorData: $selector, {place}: $at) {{ ... on DryRunInstigationTick
                   {{ evaluationResult {{ skipReason error {{ message }} runRequests
                      {{ runKey tags {{ key value }} assetSelection {{ path }} }} }} }} }} }}""",
            selector=REPOSITORY_SELECTOR | {f"{kind}Name": name},
            at=at,
        )["evaluationResult"]
        assert asked["error"] is None, asked["error"]
        requests = [_with_tags(request) for request in asked["runRequests"] or []]
        return {"skipReason": asked["skipReason"], "runRequests": requests}

    def runs(self, tags: Mapping[str, str]) -> list[dict[str, Any]]:
        """The runs with these tags, newest first: `runId`, `status`, `jobName` and `tags`."""
        found = self.query(
            """query ($tags: [ExecutionTag!]) { runsOrError(filter: {tags: $tags})
                { ... on Runs { results { runId status jobName tags { key value } } } } }""",
            tags=[{"key": key, "value": value} for key, value in tags.items()],
        )["results"]
        return [_with_tags(run) for run in found]

    def materialised(self, asset: str) -> dict[str, list[str]]:
        """The runs that materialised an asset, `es/bar5s`, by partition, newest first."""
        events = self.query(
            """query ($key: AssetKeyInput!) { assetOrError(assetKey: $key)
                { ... on Asset { assetMaterializations { partition runId } } } }""",
            key={"path": asset.split("/")},
        )
        runs: dict[str, list[str]] = {}
        for event in events.get("assetMaterializations", []):
            runs.setdefault(event["partition"], []).append(event["runId"])
        return runs

    def _loads(self) -> bool:
        with suppress(OSError):
            return bool(self.query("{ assetNodes { id } }"))
        return False


@contextmanager
def deployed(folder: Path, roots: str = "ES", source: Path = REPOSITORY) -> Iterator[Deployment]:
    """A deployment in a folder, ready to be asked; nothing of it runs after the block."""
    with Deployment(folder, roots, source) as live:
        for name in PROCESSES:
            live.start(name)
        yield live


def _with_tags(found: dict[str, Any]) -> dict[str, Any]:
    return found | {"tags": {tag["key"]: tag["value"] for tag in found["tags"]}}


def _free_ports() -> tuple[int, int]:
    anywhere = ("127.0.0.1", 0)
    with socket.create_server(anywhere) as one, socket.create_server(anywhere) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False
