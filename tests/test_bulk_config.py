"""What the bulk job's config asks for, and what of it makes no sense."""

import re
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.bulk import Backfill, _made, chosen_days


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
        ({"dates": ["2025-06-05", "2025-06-07"]}, "no session on 2025-06-07 (Saturday)"),
        ({"dates": ["2009-06-05"]}, "not trading days: 2009-06-05; "),
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
