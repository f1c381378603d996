"""Databases of the event log stay open, and what is recorded is there for every other process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from pipeline_assets.event_log import keep_databases_open

TICKS = dg.AssetKey(["es", "clean_ticks"])
CONNECT = SqliteEventLogStorage._connect


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An instance's folder, while databases are kept open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteEventLogStorage, "_connect", CONNECT)
        keep_databases_open()
        yield tmp_path


def record(home: Path, days: list[str]) -> None:
    """Record the ticks of days in an instance of one's own."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for day in days:
            event = dg.AssetMaterialization(TICKS, partition=day, metadata={"day": day})
            instance.report_runless_asset_event(event)


def open_databases(home: Path) -> list[str]:
    """Names of the event log's databases this process has open, one as often as it is open."""
    paths = [Path(file.path) for file in psutil.Process().open_files()]
    return sorted(path.name for path in paths if home / "history" / "runs" == path.parent)


@pytest.fixture
def another(home: Path) -> Iterator[dg.DagsterInstance]:
    """The same instance, opened once more, with connections of its own."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def test_each_database_is_opened_once(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for number in range(5):
            event = dg.AssetMaterialization(TICKS, partition=f"2025-06-0{number + 1}")
            instance.report_runless_asset_event(event)
            databases = [name for name in open_databases(home) if name.endswith(".db")]
            assert databases == [".db", "index.db"]


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
