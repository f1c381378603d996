"""The bulk lane: one run takes many dates through the stages in memory, each in its own process.

    python -m pipeline_assets.backfill --start 2025-01-01 --end 2025-12-31

Partitions are recorded as in a run of the assets, the asset lane. A date that fails ends only its own
step; the run ends with a table of what became of each date. Started again, the job makes what is
missing; so does *Re-execute from failure*, if the run was launched in the UI.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field, field_validator

from kernels.features import TABLES
from kernels.instrument import INSTRUMENTS
from pipeline_assets.capacity import dates_at_once
from pipeline_assets.checks import CHECKS, judge
from pipeline_assets.jobs import CHAIN
from pipeline_assets.order_book import day_of_run
from pipeline_assets.panel import describe
from pipeline_assets.partitions import trading_days, why_closed
from pipeline_assets.process_per_date import ProcessPerDate, end_with_the_run, share_cores
from pipeline_assets.progress import date_of_key, key_of_date, terminal
from pipeline_assets.raw import RAW, asset_key, deliver
from pipeline_assets.recording import evaluations, materialisation
from pipeline_assets.run_queue import BULK
from pipeline_assets.settings import all_roots
from pipeline_assets.stages import make_tables
from resources.lake import LakeDay, table_path

ROOTS = all_roots()

_NO_LIMIT = {"dagster/max_runtime": "0"}
"""Many years take more than a day, the time after which run monitoring ends a run."""
_RETRIED_WHOLE = {"dagster/retry_strategy": "ALL_STEPS"}
"""A lost run is planned again: from failure, Dagster would leave out dates at the second retry."""


class Backfill(dg.Config):
    """Which dates the run takes, and through which stages."""

    start: str = Field(
        default="", description="First date, YYYY-MM-DD. With `end`, instead of `dates`."
    )
    end: str = Field(default="", description="Last date, included.")
    dates: list[str] = Field(
        default=[], description="Trading days, YYYY-MM-DD, instead of `start` and `end`."
    )
    roots: list[str] = Field(default=ROOTS, description="Roots, of those that MBP10_ROOTS names.")
    stages: list[str] = Field(
        default=CHAIN,
        description=f"What to make for each date, out of {', '.join(CHAIN)}. Inputs that are not in this"
        " list are read from the raw folder and the lake.",
    )
    only_missing: bool = Field(
        default=True,
        description="Skip dates whose tables are all in the lake and recorded, each after its inputs,"
        " with the last one's checks; raw files are not looked for. Off: make every date.",
    )

    @field_validator("roots")
    @classmethod
    def _as_they_are_written(cls, roots: list[str]) -> list[str]:
        """Each root once, in capitals, as in `MBP10_ROOTS`."""
        return list(dict.fromkeys(root.upper() for root in roots))


@dg.op(out=dg.DynamicOut(dg.Nothing, is_required=False), required_resource_keys={"io_manager"})
def plan(context: dg.OpExecutionContext, config: Backfill) -> Iterator[dg.DynamicOutput]:
    """The dates to take: the trading days asked for, except those that need not be made."""
    end_with_the_run()
    days, lake = chosen_days(config), Path(context.resources.io_manager.base_dir)
    for root in config.roots:
        made = (
            _made(context.instance, lake, root, days, config.stages) if config.only_missing else ()
        )
        to_do = [day for day in days if day not in made]
        context.log.info(f"{root}: {len(to_do)} of {len(days)} dates to do")
        for day in to_do:
            yield dg.DynamicOutput(None, mapping_key=key_of_date(root, day))


def chosen_days(config: Backfill) -> list[str]:
    """The trading days asked for, in order.

    Raises:
        dg.Failure: if there is none, or the config makes no sense.
    """
    if not (config.roots and config.stages):
        raise dg.Failure("`roots` or `stages` is empty; name some, or leave it unset for all")
    _refuse_others("stages", config.stages, CHAIN)
    _refuse_others("roots", config.roots, ROOTS)
    by_range = config.start or config.end
    if not (by_range or config.dates):
        raise dg.Failure("say which dates, either by `start` and `end` or by `dates`")
    if by_range and config.dates:
        raise dg.Failure("say which dates either by `start` and `end` or by `dates`, not by both")
    if by_range and not (config.start and config.end):
        raise dg.Failure("a range of dates needs both `start` and `end`")
    for day in filter(None, [config.start, config.end, *config.dates]):
        if not _is_date(day):
            raise dg.Failure(f"{day!r} is not a date; write it YYYY-MM-DD")
    known = trading_days.get_partition_keys()
    if config.dates:
        closed = {day: why for day in config.dates if (why := why_closed(date.fromisoformat(day)))}
        if closed:
            raise dg.Failure(
                f"no trading day: {', '.join(f'{d} ({why})' for d, why in closed.items())}"
            )
        _refuse_others("trading days", config.dates, known)
        return sorted(set(config.dates))
    if config.end < config.start:
        raise dg.Failure(f"end {config.end} is before start {config.start}; swap them")
    days = [day for day in known if config.start <= day <= config.end]
    if not days:
        raise dg.Failure(
            f"no trading day from {config.start} to {config.end}; there are some from {known[0]} to"
            f" {known[-1]}"
        )
    return days


def _is_date(text: str) -> bool:
    try:
        return str(date.fromisoformat(text)) == text
    except ValueError:
        return False


def _refuse_others(what: str, named: list[str], known: list[str]) -> None:
    others = [name for name in named if name not in known]
    if others:
        there_are = ", ".join(known) if len(known) < 20 else f"those from {known[0]} to {known[-1]}"
        raise dg.Failure(f"not {what}: {', '.join(others)}; {what} are {there_are}")


def _made(
    instance: dg.DagsterInstance, lake: Path, root: str, days: list[str], stages: list[str]
) -> set[str]:
    """The days that need not be made.

    Every stage is recorded as materialised, none before its inputs, the last one was checked, and every
    table is in the lake.
    """
    events, kind = instance.event_log_storage, dg.DagsterEventType.ASSET_MATERIALIZATION
    upstream = CHAIN[: 1 + max(map(CHAIN.index, stages))]
    last = upstream[-1]
    checks = [
        dg.AssetCheckKey(asset_key(root, last), check.name)
        for check in CHECKS
        if check.table == last
    ]
    checked = Counter(
        info.partition_key
        for info in events.get_asset_check_partition_info(checks)
        if info.is_current
    )
    recorded = {
        stage: events.get_latest_storage_id_by_partition(asset_key(root, stage), kind)
        for stage in upstream
    }

    def is_made(day: str) -> bool:
        order = [recorded[stage][day] for stage in upstream if day in recorded[stage]]
        tables = [table_path(lake, root, stage, day) for stage in stages if stage in TABLES]
        return (
            order == sorted(order)
            and all(day in recorded[stage] for stage in stages)
            and checked[day] == len(checks)
            and all(path.exists() for path in tables)
        )

    return set(filter(is_made, days))


@dg.op(
    ins={"planned": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    required_resource_keys={"contract", "feed", "io_manager"},
)
def one_date(context: dg.OpExecutionContext, config: Backfill) -> Iterator:
    """A date's raw files and tables, each recorded as soon as it is there."""
    end_with_the_run()
    share_cores(context.instance.get_run_by_id(context.run_id))
    root, label = date_of_key(context.get_mapping_key())
    tables = LakeDay(Path(context.resources.io_manager.base_dir), root, date.fromisoformat(label))
    if RAW in config.stages:
        yield _delivered(context, root, tables.day)
    day = day_of_run(context, INSTRUMENTS[root], tables.day)
    for table, seconds in make_tables(day, tables, config.stages):
        yield from _recorded(context, table, tables, seconds)
    yield dg.Output(None)


def _delivered(context: dg.OpExecutionContext, root: str, day: date) -> dg.AssetMaterialization:
    """The materialisation of the day's raw files, once the feed has brought them."""
    delivery = deliver(context.resources.feed, root, day)
    asset = _asset(context, asset_key(root, RAW))
    return materialisation(context.instance, asset, day, delivery.metadata, delivery.data_version)


def _recorded(
    context: dg.OpExecutionContext, table: str, tables: LakeDay, seconds: float
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """The events of a table just written: its materialisation, then its checks.

    Raises:
        dg.Failure: if a fatal check found something, once all checks are recorded.
    """
    key, day = asset_key(tables.root, table), tables.day
    metadata = describe(tables, table, seconds)
    yield materialisation(context.instance, _asset(context, key), day, metadata)
    found = judge(tables, table)
    yield from evaluations(context.instance, key, day, found)
    faults = [finding.message for check, finding in found if check.is_fatal and not finding.passed]
    if faults:
        raise dg.Failure(f"{tables.root} {day}, {table}: {'; '.join(faults)}")


def _asset(context: dg.OpExecutionContext, key: dg.AssetKey) -> dg.AssetSpec:
    return context.repository_def.assets_defs_by_key[key].get_asset_spec(key)


@dg.config_mapping
def _both_ops(config: Backfill) -> dg.RunConfig:
    return dg.RunConfig(ops={"plan": config, "one_date": config}, loggers={"console": {}})


@dg.executor(name="process_per_date", requirements=dg.multiple_process_executor_requirements())
def process_per_date(_: dg.InitExecutorContext) -> ProcessPerDate:
    """Each date in a process of its own, as many at once as the machine carries."""
    return ProcessPerDate(_dates_at_once)


def _dates_at_once(instance: dg.DagsterInstance, run_config: Mapping[str, Any]) -> int:
    config = Backfill(**run_config)
    return dates_at_once(instance, config.roots, config.stages)


@dg.job(
    config=_both_ops,
    executor_def=process_per_date,
    logger_defs={"console": terminal},
    tags=BULK | _NO_LIMIT | _RETRIED_WHOLE,
)
def bulk() -> None:
    """Make many dates in one run: a year, or what is missing of it.

    Say which, either by `start` and `end`, such as 2025-01-01, or by `dates`.
    """
    plan().map(lambda planned: one_date(planned=planned))
