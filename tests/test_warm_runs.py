"""Runs fork from a server that has everything loaded, and are else as Dagster's own."""

import shutil
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import psutil
import pytest

from pipeline_assets.fork_server import PRELOAD
from resources.machine import is_alive
from resources.raw_files import day_file
from resources.simulated import simulate_day
from tests.conftest import DAY
from tests.live import Deployment, deployed
from tests.place import REPOSITORY, words, writer_of

EVENTS = 200_000
"""So many that a run is some while at the first table, and can be stopped in it."""
KILLED = date(2025, 6, 6)
"""A day of its own, as its run is tried again while other tests go on."""
RAW_FILES = Path("pipeline_assets", "raw.py")
IMPORT = "from multiprocessing import forkserver"
AS_ON_MACOS = f"{IMPORT}, util\nutil.abstract_sockets_supported = False"
"""Sockets to fork from are files of the temporary folder, from which the system may remove them."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source, to be edited; a run of the raw files records what it is forked from."""
    folder = tmp_path_factory.mktemp("source")
    for package in ("kernels", "pipeline_assets", "resources"):
        shutil.copytree(REPOSITORY / package, folder / package)
    for name, value in {
        "edition": "1",
        "is_warm": f"{PRELOAD[-1]!r} in __import__('sys').modules",
        "server": "__import__('os').getppid()",
    }.items():
        edit(folder / RAW_FILES, '"files": names', f'"{name}": {value}, "files": names')
    edit(folder / "pipeline_assets" / "fork_server.py", IMPORT, AS_ON_MACOS)
    return folder


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Iterator[Deployment]:
    """One deployment of that source, with raw files of days on which a run can be stopped."""
    with deployed(tmp_path_factory.mktemp("live"), source=source) as live:
        for day in (DAY, KILLED):
            simulate_day(day_file(live.raw, "ES", day), day, events=EVENTS)
        yield live


class Run(NamedTuple):
    """A run, its process and the process that this one was forked from."""

    id: str
    process: psutil.Process
    server: psutil.Process


def test_runs_fork_from_one_server_which_keeps_nothing_of_them(live: Deployment) -> None:
    one = begun(live, DAY)
    assert {"multiprocessing.forkserver", PRELOAD[-1]} <= words(one.server)
    assert live.end_of_run(one.id) == "SUCCESS"
    await_reaped(live, one)
    open_files = one.server.num_fds()

    other = begun(live, DAY)
    assert other.server == one.server
    assert live.end_of_run(other.id) == "SUCCESS"
    await_reaped(live, other)
    assert one.server.num_fds() == open_files


def test_cancelled_run_ends_and_so_does_its_process(live: Deployment) -> None:
    run = begun(live, DAY)
    live.cancel(run.id)
    assert live.end_of_run(run.id) == "CANCELED"
    await_reaped(live, run)
    assert live.hidden_files(DAY) == []


def test_killed_run_is_seen_as_such_and_leaves_no_zombie(live: Deployment) -> None:
    run = begun(live, KILLED)
    run.process.kill()
    assert live.end_of_run(run.id) == "FAILURE"
    # The code server looks twice a second and run monitoring every 15 s: either may be the first.
    told = said(live, run.id)
    assert "SIGKILL" in told or f"process {run.process.pid} is gone" in told, told
    await_reaped(live, run)


def test_runs_are_of_the_code_that_the_location_has_loaded(live: Deployment, source: Path) -> None:
    first = recorded_of_a_run(live)
    assert first["edition"] == 1
    assert first["is_warm"]
    edit(source / RAW_FILES, '"edition": 1', '"edition": 2')
    assert recorded_of_a_run(live) == first

    live.reload()
    other = recorded_of_a_run(live)
    assert other["edition"] == 2
    assert other["is_warm"]
    assert other["server"] != first["server"]
    live.eventually(
        "the former server ends", lambda: not is_alive(first["server"], seen=time.time())
    )


def test_run_says_that_its_code_is_broken_and_once_mended_it_is_warm(
    live: Deployment, source: Path
) -> None:
    live.reload()
    edit(source / RAW_FILES, "def deliver", "dfe deliver")
    run = run_of_raw_files(live)
    assert live.end_of_run(run) == "FAILURE"
    assert "SyntaxError" in said(live, run)

    edit(source / RAW_FILES, "dfe deliver", "def deliver")
    assert recorded_of_a_run(live)["is_warm"]


def test_run_starts_though_its_servers_socket_is_gone(live: Deployment) -> None:
    warm = recorded_of_a_run(live)
    assert warm["is_warm"]
    for socket in psutil.Process(warm["server"]).net_connections("unix"):
        Path(socket.laddr).unlink(missing_ok=True)
    assert not recorded_of_a_run(live)["is_warm"]


def begun(live: Deployment, day: date) -> Run:
    """A run of all assets of a day that is at its first table."""
    run = live.launch("trading_day", {"dagster/partition": str(day)})
    (part,) = live.eventually("a table is written", lambda: live.hidden_files(day), every=0.02)
    process = psutil.Process(writer_of(part))
    return Run(run, process, process.parent())


def await_reaped(live: Deployment, run: Run) -> None:
    """Wait until nothing is left of a run's process, a zombie neither."""
    live.eventually("the process is gone", lambda: run.process not in run.server.children())


def run_of_raw_files(live: Deployment) -> str:
    """Queue a run of the asset of `DAY`'s raw files alone; its id."""
    asset = {"path": ["es", "raw_dbn"]}
    return live.launch("trading_day", {"dagster/partition": str(DAY)}, [asset])


def recorded_of_a_run(live: Deployment) -> dict[str, Any]:
    """The metadata that a run of the raw files records."""
    assert live.end_of_run(run_of_raw_files(live)) == "SUCCESS"
    latest = live.instance.get_latest_materialization_event(dg.AssetKey(["es", "raw_dbn"]))
    metadata = latest.asset_materialization.metadata
    return {name: metadata[name].value for name in ("edition", "is_warm", "server")}


def said(live: Deployment, run: str) -> str:
    """What the engine said of a run and of its failure, with its errors."""
    kinds = {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE}
    events = live.instance.all_logs(run, of_type=kinds)
    return "\n".join(
        f"{event.message} {event.dagster_event.event_specific_data}" for event in events
    )


def edit(path: Path, old: str, new: str) -> None:
    """Put something in the place of what stands in a file once."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} in {path}"
    path.write_text(text.replace(old, new))
