"""Which raw files the sensor asks a run for, and how often."""

import os
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.partitions import trading_days
from pipeline_assets.raw import RAW, content_version
from pipeline_assets.run_queue import BULK
from pipeline_assets.sensor import DAYS_A_TICK, SETTLED_SECONDS, deliveries
from resources.raw_files import raw_files
from tests.conftest import DAY
from tests.place import add_run

NAME = "glbx-mdp3-20250605.mbp-10.dbn.zst"


class Sensor:
    """The sensor on an instance of its own, ticking over a raw folder."""

    def __init__(self, instance: dg.DagsterInstance, raw: Path) -> None:
        self.instance, self.raw = instance, raw
        self.cursor: str | None = None

    def put(
        self, name: str, content: bytes = b"book", age: float = 3_600, root: str = "ES"
    ) -> Path:
        """Put a file into the folder, last changed so many seconds ago."""
        path = self.raw / root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        changed = time.time() - age
        os.utime(path, (changed, changed))
        return path

    def tick(self) -> list[dg.RunRequest]:
        """What one evaluation asks for."""
        with dg.build_sensor_context(self.instance, cursor=self.cursor) as context:
            result = deliveries(context)
        if isinstance(result, dg.SkipReason):
            assert "the bulk job is" in result.skip_message
            return []
        self.cursor = result.cursor
        assert bool(result.run_requests) != bool(result.skip_reason)
        return list(result.run_requests)

    def days(self) -> list[str]:
        """The days that one evaluation asks for."""
        return [request.partition_key for request in self.tick()]

    def record(self, day: date = DAY) -> None:
        """Record the day's files as materialised."""
        version = content_version(raw_files(self.raw, "ES", day)).value
        tags = {"dagster/data_version": version}
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(["es", RAW], partition=str(day), tags=tags)
        )


@pytest.fixture
def sensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sensor]:
    """The sensor over an empty folder."""
    monkeypatch.setenv("MBP10_RAW", str(tmp_path))
    monkeypatch.setenv("MBP10_ROOTS", "ES,NQ")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Sensor(instance, tmp_path)


def test_without_a_folder_nothing_is_asked_for(sensor: Sensor) -> None:
    assert sensor.tick() == []


def test_a_new_file_is_asked_for_once(sensor: Sensor) -> None:
    sensor.put(NAME)
    (request,) = sensor.tick()
    assert request.partition_key == str(DAY)
    assert request.tags == {"root": "ES", "date": str(DAY)}
    assert {key.path[0] for key in request.asset_selection} == {"es"}
    assert sensor.tick() == []


def test_each_root_has_runs_of_its_own(sensor: Sensor) -> None:
    sensor.put(NAME)
    sensor.put(NAME, root="NQ")
    sensor.put(NAME, root="CL")
    assert [request.tags["root"] for request in sensor.tick()] == ["ES", "NQ"]
    assert sensor.tick() == []


def test_a_link_to_itself_stops_no_other_file(sensor: Sensor) -> None:
    path = sensor.put(NAME)
    loop = path.with_name(NAME.replace("0605", "0606"))
    loop.symlink_to(loop)
    assert sensor.days() == [str(DAY)]


def test_known_content_asks_for_nothing(sensor: Sensor) -> None:
    sensor.put(NAME)
    sensor.record()
    assert sensor.tick() == []
    sensor.put(NAME, age=1_800)
    assert sensor.tick() == []


def test_a_record_without_a_version_is_not_the_content(sensor: Sensor) -> None:
    """Such as one that is reported in the UI."""
    sensor.put(NAME)
    reported = dg.AssetMaterialization(["es", RAW], partition=str(DAY))
    sensor.instance.report_runless_asset_event(reported)
    assert sensor.days() == [str(DAY)]


def test_slow_reading_leaves_days_to_the_next_time(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_assets.sensor.SECONDS_A_TICK", -1)
    for name in (NAME, NAME.replace("0605", "0606")):
        sensor.put(name)
    assert [sensor.days() for _ in range(3)] == [["2025-06-05"], ["2025-06-06"], []]


def test_files_that_have_to_wait_are_not_judged_again_and_again(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("pipeline_assets.sensor.DAYS_A_TICK", 1)
    sunday = "glbx-20250608.dbn"
    for name in (NAME, NAME.replace("0605", "0606"), sunday):
        sensor.put(name)
    for days, is_judged in [(["2025-06-05"], False), (["2025-06-06"], False), ([], True)]:
        assert sensor.days() == days
        assert (sunday in capfd.readouterr().err) == is_judged


def test_every_change_of_content_is_another_run(sensor: Sensor) -> None:
    keys = []
    for age, content in enumerate([b"first", b"second", b"first"]):
        sensor.put(NAME, content, age=3_600 - age)
        (request,) = sensor.tick()
        keys.append(request.run_key)
        sensor.record()
    assert len(set(keys)) == 3


def test_lost_cursor_asks_for_the_same_run(sensor: Sensor) -> None:
    sensor.put(NAME)
    (request,) = sensor.tick()
    sensor.cursor = None
    (same,) = sensor.tick()
    assert same.run_key == request.run_key


def test_a_second_file_of_a_day_has_it_made_again(sensor: Sensor) -> None:
    sensor.put(NAME)
    sensor.record()
    sensor.put("late-20250605.dbn")
    assert sensor.days() == [str(DAY)]


def test_files_are_read_only_if_size_or_time_changed(sensor: Sensor) -> None:
    path = sensor.put(NAME)
    sensor.tick()
    before = path.stat()
    path.write_bytes(b"kept")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sensor.tick() == []
    path.write_bytes(b"longer")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sensor.days() == [str(DAY)]


@pytest.mark.parametrize("age", [0, SETTLED_SECONDS / 2, -SETTLED_SECONDS / 2])
def test_file_just_written_has_to_settle(sensor: Sensor, age: float) -> None:
    sensor.put(NAME, age=age)
    assert sensor.tick() == []
    sensor.put(NAME, age=2 * SETTLED_SECONDS)
    assert sensor.days() == [str(DAY)]


def test_file_of_a_clock_far_ahead_does_not_wait_for_it(sensor: Sensor) -> None:
    sensor.put(NAME, age=-3_600)
    assert sensor.days() == [str(DAY)]


def test_file_of_two_days_is_of_both(sensor: Sensor) -> None:
    sensor.put("glbx-20250605-20250606.dbn")
    assert sensor.days() == ["2025-06-05", "2025-06-06"]


@pytest.mark.parametrize(
    "name",
    [f".{NAME}.123.abcd", f".{NAME}", f"{NAME}.part", "20250605.dbn.zst.tmp", "20250605.csv"],
)
def test_partial_and_other_files_are_ignored(
    sensor: Sensor, name: str, capfd: pytest.CaptureFixture
) -> None:
    sensor.put(name)
    assert sensor.tick() == []
    assert sensor.cursor == "{}"
    assert "looked at again" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("book.dbn", "no valid date in its name"),
        ("20250231.dbn", "no valid date in its name"),
        ("glbx-20250608.dbn", "2025-06-08 is no trading day: Sunday"),
        ("glbx-20250418.dbn.zst", "2025-04-18 is no trading day: Good Friday"),
        ("20990605.dbn", "2099-06-05 is no trading day: the calendar does not reach to it"),
    ],
)
def test_file_of_no_trading_day_is_ignored_with_a_word(
    sensor: Sensor, name: str, why: str, capfd: pytest.CaptureFixture
) -> None:
    sensor.put(name)
    assert sensor.tick() == []
    assert f"ES: {name} ignored, {why}" in capfd.readouterr().err
    assert sensor.tick() == []
    assert name not in capfd.readouterr().err


def test_unreadable_file_holds_up_no_other_and_is_looked_at_again(sensor: Sensor) -> None:
    """Though nothing but that it can be read has changed."""
    folder = sensor.raw / "ES" / "20250604.dbn"
    folder.mkdir(parents=True)
    os.utime(folder, (0, 0))
    sensor.put(NAME)
    assert sensor.days() == [str(DAY)]
    size = folder.stat().st_size
    folder.rmdir()
    os.utime(sensor.put("20250604.dbn", bytes(size)), (0, 0))
    assert sensor.days() == ["2025-06-04"]


@pytest.mark.parametrize("status", ["QUEUED", "STARTING", "STARTED", "CANCELING"])
def test_days_wait_for_a_bulk_run_that_may_make_them(sensor: Sensor, status: str) -> None:
    run_id = add_run(sensor.instance, dg.DagsterRunStatus[status], BULK)
    sensor.put(NAME)
    assert sensor.days() == []
    sensor.instance.delete_run(run_id)
    add_run(sensor.instance, dg.DagsterRunStatus.SUCCESS, BULK)
    add_run(sensor.instance, dg.DagsterRunStatus[status], {})
    assert sensor.days() == [str(DAY)]


def test_many_days_come_a_few_at_a_time(sensor: Sensor) -> None:
    days = trading_days.get_partition_keys_in_range(
        dg.PartitionKeyRange("2025-06-02", "2025-07-01")
    )
    for day in ["2025-06-01", *days]:  # a Sunday, which does not count
        sensor.put(f"{day.replace('-', '')}.dbn")
    first = sensor.days()
    assert first == days[:DAYS_A_TICK]
    assert sensor.days() == days[DAYS_A_TICK:]
    assert sensor.days() == []
