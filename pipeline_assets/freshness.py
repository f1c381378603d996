"""Freshness: reports a trading day whose vectors are not in the lake by 19:30 New York.

Dagster's own freshness policies and checks do not fit these partitions: a cron policy knows neither
holidays nor which day was materialised, and the partition check takes the UTC day of the deadline,
which in winter is the next trading day's. So a check knows the calendar, and a sensor evaluates it
without a run. It is a check of the lake as a whole, an asset no run makes: the runs that make a day
have nothing to say of it.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path

import dagster as dg

from kernels.instrument import new_york
from pipeline_assets.checks import Finding
from pipeline_assets.partitions import trading_days
from pipeline_assets.raw import asset_key
from pipeline_assets.stages import STAGES
from resources.lake import LakeDay

DEADLINE = time(19, 30)
"""New York time by which a trading day is to be there: an hour after its evening run."""
KEPT_CURRENT_DAYS = 20
"""A lake that has none of this many trading days is history: nothing new is expected of it."""
EVALUATED_EVERY_SECONDS = 300

_LAKE, _LAST_TABLE = "lake", STAGES[-1].table
_CHECK = "trading_day_is_there"


def due_days(now: datetime) -> list[date]:
    """The latest `KEPT_CURRENT_DAYS` trading days whose deadline has passed, oldest first."""
    known = trading_days.get_partition_keys(current_time=now)
    passed = [day for day in map(date.fromisoformat, known) if new_york(day, DEADLINE) <= now]
    return passed[-KEPT_CURRENT_DAYS:]


def trading_day_is_there(lake: Path, root: str, now: datetime) -> Finding:
    """Whether the latest trading day that was due is in the lake.

    Args:
        now: any instant with a time zone.
    """
    due = due_days(now)
    is_there = [LakeDay(lake, root, day).path(_LAST_TABLE).exists() for day in due]
    behind = next((n for n, there in enumerate(reversed(is_there)) if there), len(due))
    figures = {"days_behind": behind}
    if behind == 0:
        return Finding(True, f"{due[-1]} is there", figures)
    if behind == len(due):
        none = f"not judged: none of the last {len(due)} trading days is there"
        return Finding(True, f"{none}, {root} is not kept current", {})
    return Finding(
        False,
        f"{due[-1]} is not there, though due by {DEADLINE:%H:%M} New York; the latest that is there"
        f" is {due[-1 - behind]}: see whether the evening run failed or never started, and"
        f" materialise what is missing",
        figures,
    )


def lake_asset(root: str) -> dg.AssetSpec:
    """The lake of a root, `es/lake`, which has the check."""
    return dg.AssetSpec(
        asset_key(root, _LAKE),
        deps=[asset_key(root, _LAST_TABLE)],
        description=f"Every day of {root} in the lake. Its check fails if the latest"
        f" trading day is missing after {DEADLINE:%H:%M} New York.",
        group_name=root.lower(),
        kinds={"parquet"},
        owners=["team:research"],
    )


def freshness_check(root: str) -> dg.AssetChecksDefinition:
    """The check of a root, to be evaluated at any time in the UI."""

    @dg.asset_check(
        asset=asset_key(root, _LAKE),
        name=_CHECK,
        description=f"The latest trading day is in the lake by {DEADLINE:%H:%M} New York; holidays are"
        " not trading days.",
        required_resource_keys={"io_manager"},
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        lake = Path(context.resources.io_manager.base_dir)
        finding = trading_day_is_there(lake, root, datetime.now(UTC))
        return dg.AssetCheckResult(
            passed=finding.passed, description=finding.message, metadata=finding.figures
        )

    return check


def freshness_sensor(roots: Sequence[str]) -> dg.SensorDefinition:
    """Evaluates every root's check all day long, and reports what has changed, without a run."""

    @dg.sensor(
        name="freshness",
        minimum_interval_seconds=EVALUATED_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"io_manager"},
        description=f"Reports a trading day that is not there by {DEADLINE:%H:%M} New York, and its"
        " arrival.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        lake, now = Path(context.resources.io_manager.base_dir), datetime.now(UTC)
        found = {root: trading_day_is_there(lake, root, now) for root in roots}
        known = json.loads(context.cursor or "{}")
        news = [root for root in roots if known.get(root) != found[root].message]
        if not news:
            return dg.SkipReason("nothing has changed")
        return dg.SensorResult(
            skip_reason=f"reported: {'; '.join(found[root].message for root in news)}",
            asset_events=[_evaluation(root, found[root]) for root in news],
            cursor=json.dumps({root: finding.message for root, finding in found.items()}),
        )

    return sensor


def _evaluation(root: str, finding: Finding) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(root, _LAKE),
        check_name=_CHECK,
        passed=finding.passed,
        metadata=finding.figures,
        severity=dg.AssetCheckSeverity.ERROR,
        description=finding.message,
    )
