"""What the bulk job's config asks for, and what of it makes no sense."""

import re
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.bulk import Backfill, _made, chosen_days
from pipeline_assets.checks import CHECKS
from pipeline_assets.checks.finding import Finding
from pipeline_assets.raw import asset_key
from pipeline_assets.recording import evaluations
from resources.lake import table_path


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "say which dates, either by"),
        ({"start": "2025-06-02"}, "a range of dates needs both `start` and `end`"),
        ({"end": "2025-06-02"}, "a range of dates needs both `start` and `end`"),
        ({"start": "2025-06-02", "end": "2025-06-03", "dates": ["2025-06-05"]}, "not by both"),
        ({"start": "2025-06-02", "dates": ["2025-06-05"]}, "not by both"),
        ({"start": "2025-06-05", "end": "2025-06-02"}, "end 2025-06-02 is before start 2025-06-05"),
        ({"start": "2025-06-07", "end": "2025-06-08"}, "no trading day from 2025-06-07"),
        ({"start": "2025-6-2", "end": "2025-06-05"}, "'2025-6-2' is not a date"),
        ({"start": "2025-06-31", "end": "2025-07-04"}, "'2025-06-31' is not a date"),
        ({"dates": ["2025-06-05", "2025-06-07"]}, "no trading day: 2025-06-07 (Saturday)"),
        ({"dates": ["2009-06-05"]}, "days: 2009-06-05; trading days are those from 2010-06-07"),
        ({"dates": ["2025-06-05"], "stages": ["bars"]}, "not stages: bars; stages are raw_dbn, cl"),
        ({"dates": ["2025-06-05"], "roots": ["SI"]}, "not roots: SI; roots are ES"),
        ({"dates": ["2025-06-05"], "stages": []}, "`roots` or `stages` is empty; name some"),
        ({"dates": ["2025-06-05"], "roots": []}, "`roots` or `stages` is empty; name some"),
    ],
)
def test_impossible_config_is_refused(config: dict, says: str) -> None:
    with pytest.raises(dg.Failure, match=re.escape(says)):
        chosen_days(Backfill(**config))


def test_days_are_trading_days_in_order() -> None:
    christmas = Backfill(start="2025-12-24", end="2025-12-29")
    assert chosen_days(christmas) == ["2025-12-24", "2025-12-26", "2025-12-29"]
    assert chosen_days(Backfill(dates=["2025-06-05", "2025-06-03"])) == ["2025-06-03", "2025-06-05"]


def test_roots_are_taken_once_each_in_either_case() -> None:
    assert Backfill(roots=["nq", "ES", "es"]).roots == ["NQ", "ES"]


def test_a_day_is_made_once_it_is_recorded(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Its raw files, which are not looked for."""
    for recorded in (set(), {"2025-06-05"}):
        assert _made(instance, tmp_path, "ES", ["2025-06-05"], ["raw_dbn"]) == recorded
        made = dg.AssetMaterialization(["es", "raw_dbn"], partition="2025-06-05")
        instance.report_runless_asset_event(made)


def test_a_day_is_made_once_its_last_checks_are_recorded(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Whoever made it may have been killed before."""
    day, table = date(2025, 6, 5), "setup_vectors"
    path, key = table_path(tmp_path, "ES", table, day), asset_key("ES", table)
    path.parent.mkdir(parents=True)
    path.touch()
    made = dg.AssetMaterialization(key, partition=str(day))
    instance.report_runless_asset_event(made)
    found = [(check, Finding(True, "", {})) for check in CHECKS if check.table == table]
    for evaluation in evaluations(instance, key, day, found):
        assert _made(instance, tmp_path, "ES", [str(day)], [table]) == set()
        instance.report_runless_asset_event(evaluation)
    assert _made(instance, tmp_path, "ES", [str(day)], [table]) == {str(day)}
    instance.report_runless_asset_event(made)
    assert _made(instance, tmp_path, "ES", [str(day)], [table]) == set()
