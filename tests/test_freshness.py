"""Freshness: a trading day that is not there by 19:30 New York is said to be missing, no other."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from kernels.instrument import INSTRUMENTS, NEW_YORK
from pipeline_assets.definitions import defs
from pipeline_assets.freshness import (
    KEPT_CURRENT_DAYS,
    due_days,
    freshness_check,
    freshness_sensor,
    lake_asset,
    trading_day_is_there,
)
from pipeline_assets.order_book import order_book_assets
from pipeline_assets.panel import PanelLake
from pipeline_assets.stages import STAGES
from resources.lake import table_path

ES = INSTRUMENTS["ES"]
CHRISTMAS = date(2025, 12, 25)


def at(moment: str) -> datetime:
    """A moment in New York."""
    return datetime.fromisoformat(moment).replace(tzinfo=NEW_YORK)


def put(lake: Path, day: date) -> None:
    """A day's last table, of which only the name matters here."""
    path = table_path(lake, "ES", "setup_vectors", day)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize(
    ("moment", "due"),
    [
        ("2025-06-05 19:29:59", "2025-06-04"),
        ("2025-06-05 19:30", "2025-06-05"),
        ("2025-06-06 12:00", "2025-06-05"),
        ("2025-06-07 12:00", "2025-06-06"),  # a Saturday
        ("2025-06-08 23:00", "2025-06-06"),  # a Sunday, its evening session open
        ("2025-06-09 19:29", "2025-06-06"),
        ("2025-06-09 19:30", "2025-06-09"),
        ("2025-12-11 19:29", "2025-12-10"),  # winter: the deadline lies in the next UTC day
        ("2025-12-11 19:30", "2025-12-11"),
        ("2025-12-12 19:30", "2025-12-12"),
        ("2025-12-25 19:30", "2025-12-24"),  # Christmas has no session
        ("2025-12-26 19:30", "2025-12-26"),
        ("2025-04-18 19:30", "2025-04-17"),  # Good Friday
        ("2025-03-10 19:30", "2025-03-10"),  # the Monday after clocks went forward
        ("2025-11-03 19:30", "2025-11-03"),  # and back
    ],
)
def test_a_day_is_due_from_half_past_seven(moment: str, due: str) -> None:
    assert due_days(at(moment))[-1] == date.fromisoformat(due)


def test_a_missing_day_shows_from_its_deadline_until_it_comes(tmp_path: Path) -> None:
    put(tmp_path, date(2025, 6, 4))
    early = trading_day_is_there(tmp_path, "ES", at("2025-06-05 19:29"))
    assert early == (True, "2025-06-04 is there", {"days_behind": 0})
    late = trading_day_is_there(tmp_path, "ES", at("2025-06-05 19:30"))
    assert not late.passed
    assert late.figures == {"days_behind": 1}
    for word in (
        "2025-06-05 is not there",
        "19:30",
        "latest that is there is 2025-06-04",
        "materialise",
    ):
        assert word in late.message
    put(tmp_path, date(2025, 6, 5))
    assert trading_day_is_there(tmp_path, "ES", at("2025-06-05 19:31")).passed


def test_a_holiday_is_not_missed(tmp_path: Path) -> None:
    put(tmp_path, CHRISTMAS - timedelta(days=1))
    assert trading_day_is_there(tmp_path, "ES", at("2025-12-25 23:00")).passed
    assert not trading_day_is_there(tmp_path, "ES", at("2025-12-26 19:30")).passed


def test_how_many_days_a_lake_is_behind_is_told(tmp_path: Path) -> None:
    now = at("2025-06-13 20:00")
    put(tmp_path, date(2025, 6, 5))
    assert trading_day_is_there(tmp_path, "ES", now).figures == {"days_behind": 6}


def test_of_a_lake_of_history_nothing_is_expected(tmp_path: Path) -> None:
    now = at("2025-06-05 20:00")
    oldest = due_days(now)[0]
    assert len(due_days(now)) == KEPT_CURRENT_DAYS
    put(tmp_path, oldest - timedelta(days=1))
    none = f"not judged: none of the last {KEPT_CURRENT_DAYS} trading days is there"
    history = (True, f"{none}, ES is not kept current", {})
    assert trading_day_is_there(tmp_path, "ES", now) == history
    put(tmp_path, oldest)
    assert not trading_day_is_there(tmp_path, "ES", now).passed


def test_each_root_is_judged_on_its_own(tmp_path: Path) -> None:
    now = at("2025-06-05 20:00")
    put(tmp_path, date(2025, 6, 4))
    assert not trading_day_is_there(tmp_path, "ES", now).passed
    assert "NQ is not kept current" in trading_day_is_there(tmp_path, "NQ", now).message


@pytest.fixture
def due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> date:
    """The day due by now, which is not in the lake, though the day before is."""
    now = SimpleNamespace(now=lambda zone: at("2025-06-05 20:00").astimezone(zone))
    monkeypatch.setattr("pipeline_assets.freshness.datetime", now)
    put(tmp_path, date(2025, 6, 4))
    return date(2025, 6, 5)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_the_sensor_reports_what_changes(
    tmp_path: Path, instance: dg.DagsterInstance, due: date
) -> None:
    """Evaluated as by the daemon: a root's due day is missing, nothing changes, the day comes."""
    sensor = freshness_sensor(["ES", "NQ"])
    resources = {"io_manager": PanelLake(base_dir=str(tmp_path))}

    def evaluate(cursor: str | None) -> SensorExecutionData:
        context = dg.build_sensor_context(instance, cursor=cursor, resources=resources)
        return sensor.evaluate_tick(context)

    missing = evaluate(None)
    event, _ = missing.asset_events
    assert not event.passed
    assert event.severity == dg.AssetCheckSeverity.ERROR
    assert event.asset_key.path == ["es", "lake"]
    assert f"{due} is not there" in event.description
    again = evaluate(missing.cursor)
    assert not again.asset_events
    assert "nothing has changed" in again.skip_message
    put(tmp_path, due)
    there = evaluate(missing.cursor)
    (event,) = there.asset_events
    assert event.passed
    assert not evaluate(there.cursor).asset_events


def test_the_check_runs_from_the_ui(
    tmp_path: Path, instance: dg.DagsterInstance, due: date
) -> None:
    checks = [freshness_check("ES")]
    job = dg.define_asset_job("fresh", selection=dg.AssetSelection.checks(*checks))
    defs = dg.Definitions(
        assets=[*order_book_assets(ES), lake_asset("ES")],
        asset_checks=checks,
        jobs=[job],
        resources={
            "io_manager": PanelLake(base_dir=str(tmp_path)),
            "contract": object(),
            "feed": object(),
        },
    )
    run = defs.resolve_job_def("fresh").execute_in_process(instance=instance)
    (evaluation,) = run.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    assert f"{due} is not there" in evaluation.description


def test_runs_of_a_day_do_not_look_for_another() -> None:
    graph = defs.resolve_asset_graph()
    everything = dg.AssetSelection.all()
    checked = {key.asset_key.path[1] for key in everything.resolve_checks(graph)}
    assert checked == {stage.table for stage in STAGES}
