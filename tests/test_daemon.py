"""Backfills, the schedule and the sensor, run by the real daemon and asked for over GraphQL."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import dagster as dg
import psutil
import pytest
from sqlalchemy.exc import OperationalError

from kernels.instrument import NEW_YORK
from pipeline_assets.run_queue import BULK
from resources.lake import table_path
from resources.machine import usable_memory
from resources.raw_files import day_file
from resources.simulated import simulate_day
from tests.live import REPOSITORY_SELECTOR, Deployment, deployed
from tests.place import record_peak, writer_of


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One deployment for the tests of this file; each has days of its own."""
    with deployed(tmp_path_factory.mktemp("live")) as live:
        yield live


def test_backfill_survives_kill_of_daemon(live: Deployment) -> None:
    days = [date(2025, 6, 3), date(2025, 6, 4), date(2025, 6, 5)]
    for day in days:
        deliver(live, day)
    backfill = live.backfill(days)
    mine = {"dagster/backfill": backfill}
    daemon, instance, status = live.process("daemon"), live.instance, dg.DagsterRunStatus

    def is_killed_between_launches() -> bool:
        """As runs go on, and none is about to be launched, which would wait to be given up."""
        daemon.suspend()
        found = set()
        with suppress(OperationalError):  # it stands still in closing the database, which locks it
            found = {run.status for run in instance.get_runs(dg.RunsFilter(tags=mine))}
        if status.STARTED in found and status.STARTING not in found:
            live.kill("daemon")
            return True
        daemon.resume()
        return False

    live.eventually("the daemon is killed", is_killed_between_launches, every=0.1)
    assert {run["status"] for run in live.runs(mine)} != {"SUCCESS"}
    live.start("daemon")
    live.eventually(
        "its runs are done", lambda: {run["status"] for run in live.runs(mine)} == {"SUCCESS"}
    )
    live.kill("daemon")
    live.start("daemon")

    assert live.end_of_backfill(backfill) == "COMPLETED_SUCCESS"
    dates = [str(day) for day in days]
    assert sorted(run["tags"]["dagster/partition"] for run in live.runs(mine)) == dates
    for key in live.asset_keys():
        assert sorted(live.materialised("/".join(key))) == dates
    assert all(live.has_whole_day(day) for day in days)
    assert stale_assets(live, days[0]) == []


def test_killed_run_leaves_no_partial_table_and_is_tried_again(live: Deployment) -> None:
    day = date(2025, 6, 10)
    deliver(live, day, events=200_000)
    run = live.launch("trading_day", {"dagster/partition": str(day)})
    (part,) = live.eventually("a table is being written", live.hidden_files, every=0.02)
    os.kill(writer_of(part), signal.SIGKILL)

    assert live.end_of_run(run) == "FAILURE"
    assert part.exists()
    assert not table_path(live.lake, "ES", "clean_ticks", day).exists()

    (retry,) = live.eventually(
        "the run is tried again", lambda: live.runs({"dagster/parent_run_id": run})
    )
    assert live.end_of_run(retry["runId"]) == "SUCCESS"
    assert live.has_whole_day(day)
    assert live.hidden_files() == []


def test_lost_run_is_tried_again_though_the_daemon_looks_while_its_end_is_recorded(
    live: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = date(2025, 6, 11)
    deliver(live, day, events=200_000)
    storage = live.instance.run_storage
    record_status = storage.handle_run_event

    def record_late(*event: Any) -> None:
        """Record a run's status when the daemon, which looks every five seconds, has seen why."""
        time.sleep(7)
        record_status(*event)

    run = live.launch("trading_day", {"dagster/partition": str(day)})
    (part,) = live.eventually("a table is being written", live.hidden_files, every=0.02)
    process = psutil.Process(writer_of(part))
    process.suspend()
    with monkeypatch.context() as late:
        late.setattr(storage, "handle_run_event", record_late)
        live.instance.report_run_failed(live.instance.get_run_by_id(run))
    process.kill()

    (retry,) = live.eventually(
        "the run is tried again", lambda: live.runs({"dagster/parent_run_id": run})
    )
    assert live.end_of_run(retry["runId"]) == "SUCCESS"
    assert live.has_whole_day(day)


def test_schedule_across_daylight_saving(live: Deployment) -> None:
    for friday, monday in [("2025-03-07", "2025-03-10"), ("2025-10-31", "2025-11-03")]:
        midnight = datetime.fromisoformat(friday).replace(tzinfo=NEW_YORK)
        ticks = live.query(
            """query ($selector: ScheduleSelector!, $cursor: Float!)
                { scheduleOrError(scheduleSelector: $selector) { ... on Schedule
                  { futureTicks(cursor: $cursor, limit: 8) { results { timestamp } } } } }""",
            selector=REPOSITORY_SELECTOR | {"scheduleName": "evening"},
            cursor=midnight.timestamp(),
        )["futureTicks"]["results"]
        moments = [datetime.fromtimestamp(tick["timestamp"], NEW_YORK) for tick in ticks]
        assert [f"{moment:%Y-%m-%d %H:%M}" for moment in moments] == [
            f"{day} {hour}:30" for day in (friday, monday) for hour in (18, 19, 20, 21)
        ]
        for moment in moments[3:5]:
            (wanted,) = evening(live, moment)["runRequests"]
            assert wanted["tags"]["dagster/partition"] == f"{moment:%Y-%m-%d}"


@pytest.mark.parametrize("lane", ["asset", "bulk"])
def test_dates_of_which_memory_holds_one_never_run_at_once(live: Deployment, lane: str) -> None:
    days = [date(2025, 6, day) for day in (16, 17, 18)]
    for day in days:
        deliver(live, day)
    peak = round(0.9 * usable_memory())
    record_peak(live.instance, "clean_ticks", peak, date(2025, 6, 13))

    spans = in_asset_lane(live, days) if lane == "asset" else in_bulk_lane(live, days)
    assert len(spans) == len(days)
    for before, after in pairwise(sorted(spans)):
        assert before.end <= after.begin, spans
    assert all(table_path(live.lake, "ES", "clean_ticks", day).exists() for day in days)


def test_late_file_is_made_once(live: Deployment) -> None:
    """Of a week in which no other test makes a day: after one, those between would be made up for."""
    day = date(2025, 7, 10)
    at_half_past = [datetime(2025, 7, 10, hour, 30, tzinfo=NEW_YORK) for hour in (18, 19, 20)]
    for kind, name in [("schedule", "evening"), ("sensor", "deliveries")]:
        assert live.state(kind, name)["status"] == "STOPPED"
    live.turn_on("schedule", "evening")
    assert live.state("schedule", "evening")["status"] == "RUNNING"

    (wanted,) = evening(live, at_half_past[0])["runRequests"]
    assert wanted["tags"].items() >= {"root": "ES", "date": str(day)}.items()
    assert sorted(key["path"] for key in wanted["assetSelection"]) == sorted(live.asset_keys())
    run = live.launch("trading_day", wanted["tags"], wanted["assetSelection"])
    assert live.end_of_run(run) == "FAILURE"
    (again,) = evening(live, at_half_past[1])["runRequests"]
    assert again["tags"] == wanted["tags"]

    deliver(live, day)
    live.turn_on("sensor", "deliveries")
    asked_for = {"dagster/sensor_name": "deliveries", "date": str(day)}
    (run,) = live.eventually("the sensor asks for the day", lambda: live.runs(asked_for))
    assert live.end_of_run(run["runId"]) == "SUCCESS"
    assert live.has_whole_day(day)
    tick = evening(live, at_half_past[2])
    assert tick["runRequests"] == []
    assert "done" in tick["skipReason"]

    deliver(live, day)
    assert deliveries(live, day) == []
    deliver(live, day, seed=1)
    (again,) = deliveries(live, day)
    assert again["runKey"] not in run["tags"].values()


def test_runs_of_one_date_follow_one_another(live: Deployment) -> None:
    """Though the machine may carry two: one would read what the other is writing."""
    day = date(2025, 6, 16)
    deliver(live, day)
    runs = [live.launch("trading_day", {"dagster/partition": str(day)}) for _ in range(2)]
    assert {live.end_of_run(run) for run in runs} == {"SUCCESS"}
    kinds = (dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_SUCCESS)
    first, second = sorted(span for run in runs for span in spans_of(live, run, *kinds))
    assert first.end <= second.begin


def test_backfill_and_its_queued_run_wait_for_a_code_server_that_is_gone(live: Deployment) -> None:
    day = date(2025, 6, 13)
    deliver(live, day)
    started = dg.DagsterRunStatus.STARTED
    before_it = dg.DagsterRun("bulk", run_id=str(uuid4()), status=started, tags=BULK)
    live.instance.add_run(before_it)
    backfill = live.backfill([day])
    mine = {"dagster/backfill": backfill}
    live.eventually(
        "its run is queued", lambda: [r["status"] for r in live.runs(mine)] == ["QUEUED"]
    )
    live.kill("code")
    live.eventually("it is missed", lambda: "location that's failing to load" in live.log("daemon"))
    live.instance.report_run_canceled(before_it)
    live.eventually(
        "the queue waits for it", lambda: "Temporarily skipping runs" in live.log("daemon")
    )
    live.start("code")
    assert live.end_of_backfill(backfill) == "COMPLETED_SUCCESS"
    assert [run["status"] for run in live.runs(mine)] == ["SUCCESS"]


class Span(NamedTuple):
    """When the work on a date began and ended, in seconds since 1970."""

    begin: float
    end: float


def in_asset_lane(live: Deployment, days: list[date]) -> list[Span]:
    """Make the ticks of days by a run for each; the spans of the runs' processes."""
    ticks = [{"path": ["es", asset]} for asset in ("raw_dbn", "clean_ticks")]
    runs = [live.launch("trading_day", {"dagster/partition": str(day)}, ticks) for day in days]
    assert {live.end_of_run(run) for run in runs} == {"SUCCESS"}
    kinds = (dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_SUCCESS)
    return [span for run in runs for span in spans_of(live, run, *kinds)]


def in_bulk_lane(live: Deployment, days: list[date]) -> list[Span]:
    """Make all of days by one run of the bulk lane; the spans of its steps, one a date."""
    config = {"dates": list(map(str, days)), "only_missing": False}
    run = live.launch("bulk", {}, config=config)
    assert live.end_of_run(run) == "SUCCESS"
    kinds = (dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS)
    return spans_of(live, run, *kinds)[1:]


def spans_of(
    live: Deployment, run: str, begin: dg.DagsterEventType, end: dg.DagsterEventType
) -> list[Span]:
    """From one kind of event to another in a run, step by step, in order of their beginning."""
    begun, ended = (
        {event.step_key: event.timestamp for event in live.instance.all_logs(run, of_type=kind)}
        for kind in (begin, end)
    )
    return sorted(Span(begun[step], ended[step]) for step in begun)


def evening(live: Deployment, moment: datetime) -> dict[str, Any]:
    """What the schedule asks for at a moment."""
    return live.dry_run("schedule", "evening", moment.timestamp())


def deliveries(live: Deployment, day: date) -> list[dict[str, Any]]:
    """The runs of a day that the sensor asks for now, after what it has seen."""
    cursor = live.state("sensor", "deliveries")["lastCursor"]
    requests = live.dry_run("sensor", "deliveries", cursor)["runRequests"]
    return [request for request in requests if request["tags"]["date"] == str(day)]


def deliver(live: Deployment, day: date, events: int = 3_000, seed: int = 0) -> Path:
    """Put a simulated day into the raw folder, as a copy that keeps its time of change."""
    path = simulate_day(day_file(live.raw, "ES", day), day, events=events, seed=seed)
    minutes_ago = time.time() - 600 - time.monotonic() % 60
    os.utime(path, (minutes_ago, minutes_ago))
    return path


def stale_assets(live: Deployment, day: date) -> list[list[str]]:
    """The assets that Dagster does not hold to be fresh for a day."""
    nodes = live.query(
        """query ($keys: [AssetKeyInput!], $day: String!) { assetNodes(assetKeys: $keys)
            { assetKey { path } staleStatus(partition: $day) } }""",
        keys=[{"path": key} for key in live.asset_keys()],
        day=str(day),
    )
    return [node["assetKey"]["path"] for node in nodes if node["staleStatus"] != "FRESH"]
