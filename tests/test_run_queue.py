"""The run queue's limits: from the machine and what dates needed, and the bulk lane alone."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.capacity import dates_at_once
from pipeline_assets.run_queue import BULK, RunQueue, root_and_date
from pipeline_assets.stages import STAGES
from resources.machine import OVERRIDE, usable_cores
from tests.place import REPOSITORY, add_run, record_peak

QUEUED, STARTING, STARTED = (
    dg.DagsterRunStatus[name] for name in ("QUEUED", "STARTING", "STARTED")
)
AT_ONCE = 5
FRESHNESS = dg.AssetCheckKey(dg.AssetKey(["es", "lake"]), "trading_day_is_there")


@pytest.mark.parametrize(
    ("runs", "runs_at_once", "bulk_at_once"),
    [
        ([], AT_ONCE, 0),
        ([(STARTED, {}), (QUEUED, {}), (QUEUED, BULK)], AT_ONCE, 0),
        ([(STARTED, {}), (QUEUED, BULK), (QUEUED, {})], 1, 1),
        ([(QUEUED, BULK), (QUEUED, {})], 1, 1),
        ([(STARTED, BULK), (QUEUED, {})], 1, 1),
        ([(STARTING, BULK), (QUEUED, {})], 1, 1),
    ],
    ids=[
        "idle",
        "bulk waits its turn",
        "others end first",
        "bulk begins",
        "nothing beside bulk",
        "nor beside one that begins",
    ],
)
def test_bulk_lane_has_the_machine_to_itself(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    runs: list,
    runs_at_once: int,
    bulk_at_once: int,
) -> None:
    monkeypatch.setenv(OVERRIDE, str(AT_ONCE))
    for status, tags in runs:
        add_run(instance, status, tags)
    config = instance.get_concurrency_config().run_queue_config
    assert isinstance(instance.run_coordinator, RunQueue)
    assert config.max_concurrent_runs == runs_at_once
    a_date, limit = config.tag_concurrency_limits
    assert a_date == {"key": "date", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    assert {limit["key"]: limit["value"]} == BULK
    assert limit["limit"] == bulk_at_once


def test_machine_is_asked_every_time(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at_once in ("2", "7"):
        monkeypatch.setenv(OVERRIDE, at_once)
        config = instance.get_concurrency_config().run_queue_config
        assert config.max_concurrent_runs == int(at_once)


def test_recorded_peaks_decide(instance: dg.DagsterInstance) -> None:
    tables = [stage.table for stage in STAGES]

    record_peak(instance, "setup_vectors", 1, date(2025, 6, 2))
    assert dates_at_once(instance, ["ES"], tables) == usable_cores()
    record_peak(instance, "bar5s", 10**15, date(2025, 6, 3))
    assert dates_at_once(instance, ["ES"], tables) == 1
    assert dates_at_once(instance, ["ES"], ["setup_vectors"]) == usable_cores()
    for day in (4, 5, 6):
        record_peak(instance, "bar5s", 1, date(2025, 6, day))
    assert dates_at_once(instance, ["ES"], tables) == usable_cores()


def test_the_largest_raw_file_counts_until_a_peak_is_recorded(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MBP10_RAW", str(tmp_path))
    (tmp_path / "ES").mkdir()
    for name, size in (("20250603.dbn", 3), ("20250604.dbn.zst", 5), (".20250605.dbn.zst", 9)):
        (tmp_path / "ES" / name).write_bytes(bytes(size))
    asked = []
    monkeypatch.setattr(
        "pipeline_assets.capacity.dates_on_this_machine", lambda *given: asked.append(given)
    )
    dates_at_once(instance, ["ES"], ["bar5s"])
    record_peak(instance, "bar5s", 7, date(2025, 6, 3))
    dates_at_once(instance, ["ES"], ["bar5s"])
    assert asked == [([], [tmp_path / "ES" / "20250604.dbn.zst"]), ([7], [])]


def test_what_is_no_file_in_the_raw_folder_does_not_count(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MBP10_RAW", str(tmp_path))
    (tmp_path / "ES" / "20250603.dbn.zst").mkdir(parents=True)
    (tmp_path / "ES" / "20250604.dbn.zst").symlink_to(tmp_path / "nowhere")
    assert dates_at_once(instance, ["ES"], []) >= 1


def test_senseless_override_is_told_as_the_definitions_load() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import pipeline_assets.definitions"],
        env=os.environ | {OVERRIDE: "0"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert f"ValueError: {OVERRIDE} is '0'; set it to a whole number" in run.stderr


def test_runs_are_tagged_with_root_and_date() -> None:
    assets = frozenset({dg.AssetKey(["es", "bar5s"]), dg.AssetKey(["nq", "bar5s"])})
    of_day = dg.DagsterRun(
        "job", run_id="1", asset_selection=assets, tags={"dagster/partition": "2025-06-05"}
    )
    assert root_and_date(of_day) == {"root": "ES,NQ", "date": "2025-06-05"}
    of_checks = dg.DagsterRun("job", run_id="2", asset_check_selection=frozenset({FRESHNESS}))
    assert root_and_date(of_checks) == {}


def test_a_run_of_all_assets_is_of_all_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no selection, as one that `dagster job launch` asks for."""
    monkeypatch.setenv("MBP10_ROOTS", "NQ,ES")
    of_all = dg.DagsterRun("trading_day", run_id="1", tags={"dagster/partition": "2025-06-05"})
    assert root_and_date(of_all) == {"root": "ES,NQ", "date": "2025-06-05"}


@pytest.mark.parametrize(
    ("config", "span"),
    [
        (
            {"start": "2025-06-02", "end": "2025-06-30", "roots": ["es", "ES"]},
            "2025-06-02..2025-06-30",
        ),
        ({"dates": ["2025-06-05", "2025-06-03", "2025-06-04"]}, "2025-06-03..2025-06-05"),
        ({"dates": ["2025-06-05"]}, "2025-06-05"),
    ],
)
def test_bulk_runs_are_tagged_with_first_and_last_date(config: dict, span: str) -> None:
    run = dg.DagsterRun("bulk", run_id="1", run_config=config, tags=BULK)
    assert root_and_date(run) == {"root": "ES", "date": span}
