"""What the evening schedule asks for; its ticks by the real server: test_daemon.py."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType

import dagster as dg
import pytest

from kernels.instrument import NEW_YORK
from pipeline_assets.partitions import session_close, trading_days, why_closed
from pipeline_assets.schedule import evening
from tests.conftest import DAY


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance without runs, of two roots."""
    monkeypatch.setenv("MBP10_ROOTS", "ES,NQ")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def asked_for(instance: dg.DagsterInstance, day: date = DAY) -> list[dg.RunRequest] | dg.SkipReason:
    """What the schedule asks for in the evening of a day."""
    moment = datetime(day.year, day.month, day.day, 18, 30, tzinfo=NEW_YORK)
    with dg.build_schedule_context(instance, scheduled_execution_time=moment) as context:
        return evening(context)


def add_run(
    instance: dg.DagsterInstance,
    root: str,
    status: dg.DagsterRunStatus,
    day: date = DAY,
    job: str = "trading_day",
    tags: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A run of a day, as the schedule or the sensor asks for it unless of another job."""
    tags = {"root": root, "date": str(day), **tags}
    run = dg.DagsterRun(job_name=job, status=status, tags=tags)
    instance.add_run(run)


def test_each_root_has_a_run_of_its_own(instance: dg.DagsterInstance) -> None:
    runs = asked_for(instance)
    assert [run.tags["root"] for run in runs] == ["ES", "NQ"]
    assert len({run.run_key for run in runs}) == 2
    for run in runs:
        assert run.partition_key == str(DAY)
        assert {key.path[0] for key in run.asset_selection} == {run.tags["root"].lower()}
        assert {"raw_dbn", "setup_vectors"} <= {key.path[1] for key in run.asset_selection}


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED])
def test_only_what_failed_is_tried_again(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    add_run(instance, "ES", status)
    add_run(instance, "NQ", dg.DagsterRunStatus.FAILURE)
    (run,) = asked_for(instance)
    assert run.tags["root"] == "NQ"
    add_run(instance, "NQ", dg.DagsterRunStatus.STARTED)
    assert "done, under way or was canceled" in asked_for(instance).skip_message


def test_what_dagster_will_retry_has_not_failed_yet(instance: dg.DagsterInstance) -> None:
    add_run(instance, "NQ", dg.DagsterRunStatus.SUCCESS)
    for will_retry in ("true", "false"):
        tags = {"dagster/will_retry": will_retry}
        add_run(instance, "ES", dg.DagsterRunStatus.FAILURE, tags=tags)
        assert isinstance(asked_for(instance), dg.SkipReason) == (will_retry == "true")


def test_a_run_that_a_killed_daemon_left_unqueued_is_asked_for_again(
    instance: dg.DagsterInstance,
) -> None:
    add_run(instance, "ES", dg.DagsterRunStatus.NOT_STARTED)
    assert [run.tags["root"] for run in asked_for(instance)] == ["ES", "NQ"]


def test_a_day_that_another_lane_has_made_is_done(instance: dg.DagsterInstance) -> None:
    """By a run of several roots, as one of the job in the UI is, or by the bulk job."""
    add_run(instance, "NQ,RTY", dg.DagsterRunStatus.SUCCESS)
    add_run(instance, "ES,NQ", dg.DagsterRunStatus.FAILURE)
    assert [run.tags["root"] for run in asked_for(instance)] == ["ES", "NQ"]
    add_run(instance, "ES,NQ", dg.DagsterRunStatus.SUCCESS)
    assert "done, under way or was canceled" in asked_for(instance).skip_message


def test_a_day_with_vectors_is_done_unless_its_run_failed(instance: dg.DagsterInstance) -> None:
    made = dg.AssetMaterialization(["es", "setup_vectors"], partition=str(DAY))
    instance.report_runless_asset_event(made)
    assert [run.tags["root"] for run in asked_for(instance)] == ["NQ"]
    add_run(instance, "ES", dg.DagsterRunStatus.FAILURE)
    assert [run.tags["root"] for run in asked_for(instance)] == ["ES", "NQ"]


def test_a_table_made_by_hand_is_no_run_of_the_day(instance: dg.DagsterInstance) -> None:
    """The run queue tags it with root and date too."""
    add_run(instance, "ES", dg.DagsterRunStatus.SUCCESS, job="__ASSET_JOB")
    assert [run.tags["root"] for run in asked_for(instance)] == ["ES", "NQ"]


def days_asked_for(instance: dg.DagsterInstance, day: date) -> dict[str, list[int]]:
    """Of June, or April, by root."""
    requests = asked_for(instance, day)
    assert len({request.run_key for request in requests}) == len(requests)
    return {
        root: [int(r.partition_key[-2:]) for r in requests if r.tags["root"] == root]
        for root in ("ES", "NQ")
    }


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
def test_days_nobody_was_there_for_are_asked_for(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    add_run(instance, "ES", status, date(2025, 6, 2))
    assert days_asked_for(instance, DAY) == {"ES": [3, 4, 5], "NQ": [5]}
    made_otherwise = dg.AssetMaterialization(["es", "setup_vectors"], partition="2025-06-03")
    instance.report_runless_asset_event(made_otherwise)
    add_run(instance, "NQ", status, date(2025, 6, 3))
    assert days_asked_for(instance, DAY) == {"ES": [4, 5], "NQ": [4, 5]}


def test_days_long_gone_are_left_to_the_bulk_job(instance: dg.DagsterInstance) -> None:
    add_run(instance, "ES", dg.DagsterRunStatus.SUCCESS, date(2025, 5, 27))
    assert days_asked_for(instance, DAY)["ES"] == [5]
    add_run(instance, "ES", dg.DagsterRunStatus.SUCCESS, date(2025, 5, 28))
    assert days_asked_for(instance, DAY)["ES"] == [29, 30, 2, 3, 4, 5]


def test_a_missed_day_is_asked_for_on_a_holiday(instance: dg.DagsterInstance) -> None:
    add_run(instance, "ES", dg.DagsterRunStatus.SUCCESS, date(2025, 4, 16))
    assert days_asked_for(instance, date(2025, 4, 18)) == {"ES": [17], "NQ": []}


@pytest.mark.parametrize(
    ("day", "word"),
    [
        (date(2025, 4, 18), "Good Friday"),
        (date(2025, 12, 25), "Christmas"),
        (date(2025, 1, 9), "special closing"),
        (date(2025, 6, 7), "Saturday"),
    ],
)
def test_a_day_without_a_session_is_skipped_in_words(
    instance: dg.DagsterInstance, day: date, word: str
) -> None:
    assert word in asked_for(instance, day).skip_message


def test_what_is_open_is_a_partition() -> None:
    keys = set(trading_days.get_partition_keys())
    for ordinal in range(date(2024, 1, 1).toordinal(), date(2026, 1, 1).toordinal()):
        day = date.fromordinal(ordinal)
        assert (str(day) in keys) == (why_closed(day) is None)


@pytest.mark.parametrize(
    ("day", "hour"),
    [
        (date(2025, 6, 5), 22),
        (date(2025, 12, 11), 23),
        (date(2025, 7, 4), 17),
        (date(2025, 11, 28), 18),
        (date(2026, 6, 19), 17),
        (date(2027, 6, 18), 17),
        (date(2021, 6, 18), 22),
    ],
    ids=[
        "summer",
        "winter",
        "half day in summer",
        "half day in winter",
        "Juneteenth",
        "Juneteenth, a Saturday",
        "before CME kept Juneteenth",
    ],
)
def test_a_session_closes_by_new_yorks_clock_earlier_on_half_days(day: date, hour: int) -> None:
    assert session_close(day) == datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    "day", ["2025-03-07", "2025-03-10", "2025-10-31", "2025-11-03", "2025-06-05"]
)
def test_a_day_is_a_partition_by_its_evening(day: str) -> None:
    moment = datetime.fromisoformat(f"{day}T18:30").replace(tzinfo=NEW_YORK)
    assert trading_days.get_partition_keys(current_time=moment)[-1] == day
