"""The bulk lane beside the asset lane, on a real deployment: same tables, same record, one run.

The tests share a deployment and follow one another: a backfill with a corrupt file among its days,
its re-execution once the file is replaced, processes killed and the dates taken up again.
"""

import os
import re
import signal
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.event_api import PartitionKeyFilter

from kernels.features import TABLES
from kernels.instrument import INSTRUMENTS
from pipeline_assets.bulk import Backfill
from pipeline_assets.checks import CHECKS, Check
from pipeline_assets.jobs import CHAIN
from pipeline_assets.order_book import order_book_assets
from pipeline_assets.process_per_date import DATES_AT_ONCE
from resources.lake import table_path
from resources.machine import usable_cores
from resources.raw_files import day_file
from resources.simulated import simulate_day
from tests.compare import TOLERANCE
from tests.conftest import wired
from tests.lane import Lane, latest
from tests.live import PROCESSES, REPOSITORY_SELECTOR, deployed

DAYS = [date(2025, 6, day) for day in (3, 4, 5)]
CORRUPT = DAYS[1]
SAME = DAYS[:2]
"""The days that the asset lane makes too."""
LONG = date(2025, 6, 6)
"""A day that takes a while, for processes to be killed in."""

PREFILLED = """query ($selector: PipelineSelector!) { runConfigSchemaOrError(selector: $selector)
    { ... on RunConfigSchema { rootDefaultYaml } } }"""
STALENESS = """query ($key: AssetKeyInput!, $day: String!) { assetNodeOrError(assetKey: $key)
    { ... on AssetNode { staleStatus(partition: $day) staleCauses(partition: $day) { reason } } } }"""


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """A deployment whose raw files are there, one of them cut off."""
    with deployed(tmp_path_factory.mktemp("bulk")) as live:
        for day in DAYS:
            simulate_day(day_file(live.raw, "ES", day), day, events=3_000)
        simulate_day(day_file(live.raw, "ES", LONG), LONG, events=300_000)
        whole = day_file(live.raw, "ES", CORRUPT).read_bytes()
        day_file(live.raw, "ES", CORRUPT).write_bytes(whole[: len(whole) // 2])
        yield Lane(live)


@pytest.fixture(scope="module")
def failed(lane: Lane) -> str:
    """The run of all days, of which one cannot be done."""
    run, status = lane.run(start=str(DAYS[0]), end=str(DAYS[-1]))
    assert status == "FAILURE"
    assert 1 <= int(lane.instance.get_run_by_id(run).tags[DATES_AT_ONCE]) <= usable_cores()
    return run


@pytest.fixture(scope="module")
def healed(lane: Lane, failed: str) -> str:
    """Its re-execution, the file being whole again."""
    simulate_day(day_file(lane.live.raw, "ES", CORRUPT), CORRUPT, events=3_000)
    run = lane.relaunch_from_failure(failed)
    assert lane.live.end_of_run(run) == "SUCCESS"
    return run


@pytest.fixture(scope="module")
def asset_lane(
    lane: Lane, healed: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dg.DagsterInstance, Path]:
    """The asset lane's instance and lake: a run of all assets for each of its days."""
    folder = tmp_path_factory.mktemp("assets")
    instance = dg.DagsterInstance.local_temp(str(folder))
    for day in SAME:
        dg.materialize(
            order_book_assets(INSTRUMENTS["ES"]),
            instance=instance,
            partition_key=str(day),
            resources=wired(lane.live.raw, folder / "lake"),
        )
    return instance, folder / "lake"


def test_the_launchpad_shows_every_field(lane: Lane) -> None:
    selector = REPOSITORY_SELECTOR | {"pipelineName": "bulk"}
    prefilled = lane.live.query(PREFILLED, selector=selector)["rootDefaultYaml"]
    assert set(re.findall(r"^\w+", prefilled, re.MULTILINE)) == Backfill.model_fields.keys()


def test_one_bad_date_fails_alone_and_says_why(lane: Lane, failed: str) -> None:
    results = lane.results(failed)
    assert [results.pop(str(day)) for day in DAYS if day != CORRUPT] == ["done", "done"]
    (reason,) = results.values()
    assert day_file(lane.live.raw, "ES", CORRUPT).name in reason
    (step,) = (
        event.step_key
        for event in lane.instance.all_logs(failed, of_type=dg.DagsterEventType.STEP_FAILURE)
    )
    assert step == "one_date[ES_2025_06_04]"


def test_re_execution_from_failure_takes_the_failed_date_only(lane: Lane, healed: str) -> None:
    assert lane.results(healed) == {str(CORRUPT): "done"}


def test_tables_are_those_of_the_asset_lane(lane: Lane, asset_lane: tuple) -> None:
    _, lake = asset_lane
    for table in TABLES:
        for day in SAME:
            ours, theirs = (table_path(of, "ES", table, day) for of in (lane.live.lake, lake))
            assert ours.read_bytes() == theirs.read_bytes(), ours


def test_record_is_that_of_the_asset_lane(lane: Lane, asset_lane: tuple) -> None:
    instance, _ = asset_lane
    for asset in CHAIN:
        for day in SAME:
            ours, theirs = lane.latest(asset, day), latest(instance, asset, day)
            assert _metadata(ours.asset_materialization) == _metadata(theirs.asset_materialization)
            assert _versions(ours) == _versions(theirs)
            assert _pointers(ours).keys() == _pointers(theirs).keys()


def test_checks_are_recorded_as_by_the_asset_lane(lane: Lane, asset_lane: tuple) -> None:
    """Of the day before which both lanes had made the same one."""
    instance, _ = asset_lane
    for check in CHECKS:
        ours, theirs = (_evaluation(of, check, CORRUPT) for of in (lane.instance, instance))
        assert ours == theirs, check.name


def _evaluation(instance: dg.DagsterInstance, check: Check, day: date) -> tuple:
    """What is recorded of a check of a day, but for the materialisation it is of."""
    (record,) = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(["es", check.table]), check.name),
        limit=1,
        partition_filter=PartitionKeyFilter(key=str(day)),
    )
    it = record.evaluation
    return it.passed, it.severity, it.description, it.blocking, _metadata(it)


_OF_THE_RUN = ("path", "peak_memory_bytes", "seconds", "ticks_per_second")


def _metadata(event: dg.AssetMaterialization | dg.AssetCheckEvaluation) -> dict[str, Any]:
    """Metadata by name, that which differs from run to run by its type only."""
    return {
        name: type(entry) if name in _OF_THE_RUN else _comparable(entry.value)
        for name, entry in event.metadata.items()
    }


def _comparable(value: Any) -> Any:
    """Floats are figures whose last bit depends on the order in which threads add up."""
    return pytest.approx(value, rel=TOLERANCE) if isinstance(value, float) else value


def _pointers(record: dg.EventLogRecord) -> dict[str, str]:
    tags = record.asset_materialization.tags
    return {name: value for name, value in tags.items() if "event_pointer" in name}


def _versions(record: dg.EventLogRecord) -> dict[str, str]:
    tags = record.asset_materialization.tags
    return {name: value for name, value in tags.items() if "event_pointer" not in name}


def test_partitions_are_up_to_date_in_the_ui(lane: Lane, healed: str) -> None:
    for asset in CHAIN:
        for day in DAYS:
            node = lane.live.query(STALENESS, key={"path": ["es", asset]}, day=str(day))
            assert node == {"staleStatus": "FRESH", "staleCauses": []}, (asset, day)


def test_only_what_is_missing_or_stale_is_made(lane: Lane, healed: str) -> None:
    """What follows from ticks recorded anew, and a table that is gone."""
    day = DAYS[0]
    ticks = lane.latest("clean_ticks", day).asset_materialization
    changed = {name: value for name, value in ticks.tags.items() if name != "dagster/data_version"}
    lane.instance.report_runless_asset_event(
        dg.AssetMaterialization(
            ticks.asset_key, partition=str(day), tags=changed | {"dagster/data_version": "other"}
        )
    )
    node = lane.live.query(STALENESS, key={"path": ["es", "bar5s"]}, day=str(day))
    assert node["staleStatus"] == "STALE"

    table_path(lane.live.lake, "ES", "bar5s", DAYS[2]).unlink()
    run, status = lane.run(dates=[str(day) for day in DAYS])
    assert (status, lane.results(run)) == ("SUCCESS", {str(day): "done", str(DAYS[2]): "done"})


def test_tables_are_made_from_those_in_the_lake_and_older_ones_of_them_are_missing(
    lane: Lane, healed: str
) -> None:
    day = DAYS[2]
    ticks, episodes = (lane.latest(it, day).storage_id for it in ("clean_ticks", "level_episodes"))
    config = {"stages": ["session_levels", "level_episodes"], "only_missing": False}
    _, status = lane.run(dates=[str(day)], **config)
    assert status == "SUCCESS"
    assert lane.latest("clean_ticks", day).storage_id == ticks
    assert lane.latest("level_episodes", day).storage_id > episodes
    assert lane.results(lane.run(dates=[str(day)], stages=CHAIN[:-2])[0]) == {}
    assert lane.results(lane.run(dates=[str(day)])[0]) == {str(day): "done"}


def test_a_fatal_check_ends_the_date(lane: Lane, healed: str) -> None:
    day, other = date(2025, 6, 9), DAYS[0]
    day_file(lane.live.raw, "ES", day).write_bytes(
        day_file(lane.live.raw, "ES", other).read_bytes()
    )
    run, status = lane.run(dates=[str(day)])
    assert status == "FAILURE"
    assert f"ES {day}, clean_ticks: " in lane.results(run)[str(day)]
    assert not table_path(lane.live.lake, "ES", "clean_ticks", day).exists()
    assert not table_path(lane.live.lake, "ES", "bar5s", day).exists()
    check = dg.AssetCheckKey(dg.AssetKey(["es", "clean_ticks"]), "ticks_are_of_the_day")
    (record,) = lane.instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    assert (record.partition, record.evaluation.passed) == (str(day), False)


def test_what_killed_processes_were_at_is_taken_up_again(lane: Lane, healed: str) -> None:
    """Killed in mid-write: a date's process, then that of the run, at last all there are."""
    ticks = table_path(lane.live.lake, "ES", "clean_ticks", LONG)
    run = lane.launch(dates=[str(DAYS[0]), str(LONG)], only_missing=False)
    os.kill(lane.process_writing(LONG), signal.SIGKILL)
    assert lane.live.end_of_run(run) == "FAILURE"
    results = lane.results(run)
    assert results.pop(str(DAYS[0])) == "done"
    assert results.pop(str(LONG)) == (
        "its process was terminated by signal 9 (SIGKILL); if memory ran out, lower"
        " MBP10_DATES_AT_ONCE"
    )
    assert not ticks.exists()

    second = lane.retry(run)
    writer = lane.process_writing(LONG)
    os.kill(lane.process(second), signal.SIGKILL)
    lane.live.eventually("the date's process is gone", lambda: not psutil.pid_exists(writer))
    assert not ticks.exists()

    third = lane.retry(second)
    lane.process_writing(LONG)
    lane.live.kill_all()
    assert not ticks.exists()
    for name in PROCESSES:
        lane.live.start(name)

    last = lane.retry(third)
    assert lane.live.end_of_run(last) == "SUCCESS"
    assert lane.results(last) == {str(DAYS[0]): "done", str(LONG): "done"}
    assert not [path for path in ticks.parent.iterdir() if path.name.startswith(f".{ticks.name}")]
    nothing_to_do, status = lane.run(dates=[str(LONG)])
    assert (status, lane.results(nothing_to_do)) == ("SUCCESS", {})


def test_dates_that_had_not_begun_are_taken_up_too(lane: Lane, healed: str) -> None:
    """After a run was killed, then after one was terminated, with one date more than fit at once."""
    days = [LONG + timedelta(days=4 + n) for n in (0, 1, 2, 6, 7, 8, 9, 13, 14, 15, 16)]
    days = days[: min(usable_cores(), len(days) - 1) + 1]
    for day in days[:-1]:
        simulate_day(day_file(lane.live.raw, "ES", day), day, events=200_000)
    simulate_day(day_file(lane.live.raw, "ES", days[-1]), days[-1], events=3_000)
    all_done = {str(day): "done" for day in days}

    run = lane.launch(dates=[*all_done])
    lane.process_writing(days[0])
    os.kill(lane.process(run), signal.SIGKILL)
    retry = lane.retry(run)
    assert lane.live.end_of_run(retry) == "SUCCESS"
    assert lane.results(retry) == all_done

    run = lane.launch(dates=[*all_done], only_missing=False)
    lane.process_writing(days[0])
    lane.live.cancel(run)
    assert lane.live.end_of_run(run) == "CANCELED"
    again = lane.relaunch_from_failure(run)
    assert lane.live.end_of_run(again) == "SUCCESS"
    assert lane.results(again) == all_done
