"""Databases of the event log stay open, and what is recorded is there for every other process."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from pipeline_assets.event_log import keep_databases_open

TICKS = dg.AssetKey(["es", "clean_ticks"])
CONNECT_TO = sqlite3.connect
CONNECT, HAS_TABLE = SqliteEventLogStorage._connect, SqliteEventLogStorage.has_table


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An instance's folder, while databases are kept open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteEventLogStorage, "_connect", CONNECT)
        patch.setattr(SqliteEventLogStorage, "has_table", HAS_TABLE)
        keep_databases_open()
        yield tmp_path


def record(home: Path, days: list[str]) -> None:
    """Record the ticks of days in an instance of one's own."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for day in days:
            event = dg.AssetMaterialization(TICKS, partition=day, metadata={"day": day})
            instance.report_runless_asset_event(event)


@pytest.fixture
def another(home: Path) -> Iterator[dg.DagsterInstance]:
    """The same instance, opened once more, with connections of its own."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def test_nothing_is_opened_after_the_first_events(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def connect(database: str, **options: Any) -> sqlite3.Connection:
        opened.append(Path(database).name)
        return CONNECT_TO(database, **options)

    def record_of(day: str) -> None:
        instance.report_runless_asset_event(dg.AssetMaterialization(TICKS, partition=day))
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=TICKS, check_name="order", passed=True, partition=day)
        )

    monkeypatch.setattr("sqlite3.dbapi2.connect", connect)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        record_of("2025-06-02")
        assert {".db", "index.db"} <= set(opened)
        opened.clear()
        record_of("2025-06-03")
        assert not opened


def test_writers_at_once_lose_nothing(home: Path, another: dg.DagsterInstance) -> None:
    """Each with connections of its own, as the processes of dates have."""
    days = [f"2025-06-{day:02}" for day in range(1, 25)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(record, [home] * 4, [days[start::4] for start in range(4)]))
    assert another.get_materialized_partitions(TICKS) == set(days)


def test_what_one_has_recorded_another_sees_at_once(
    home: Path, another: dg.DagsterInstance
) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for day in ("2025-06-03", "2025-06-04"):
            instance.report_runless_asset_event(dg.AssetMaterialization(TICKS, partition=day))
            assert day in another.get_materialized_partitions(TICKS)
            assert another.all_logs("")[-1].asset_materialization.partition == day
