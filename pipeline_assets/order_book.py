"""The assets of one root: raw order-book days to setup vectors, each stage one table a day."""

import inspect
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field, field_validator

from kernels.instrument import Instrument
from pipeline_assets.checks import CHECKS, judge
from pipeline_assets.panel import definition_metadata
from pipeline_assets.partitions import trading_days
from pipeline_assets.raw import RAW, raw_dbn
from pipeline_assets.settings import as_roll_rule, roll_rule
from pipeline_assets.stages import STAGES, Stage, TradingDay
from resources.lake import LakeDay


class Contract(dg.ConfigurableResource):
    """Which contract a day keeps: what `MBP10_ROLL` says, unless a run's config does."""

    roll: str = Field(
        default=roll_rule(),
        description="volume: most traded that day; calendar: nearest expiry whose month has not"
        " begun; or an outright symbol such as ESM5",
    )

    @field_validator("roll")
    @classmethod
    def _is_a_rule(cls, roll: str) -> str:
        return as_roll_rule(roll, "roll")

    def of(self, instrument: Instrument) -> Instrument:
        """An instrument with this roll rule."""
        return replace(instrument, roll=self.roll)


def day_of_run(context: dg.OpExecutionContext, instrument: Instrument, day: date) -> TradingDay:
    """A day as a run makes it, by its resources `contract` and `feed`."""
    resources = context.resources
    return TradingDay(resources.contract.of(instrument), day, resources.feed.folder)


def order_book_assets(instrument: Instrument) -> list[dg.AssetsDefinition]:
    """The assets of a root, keyed `<root>/<table>`, e.g. `es/bar5s`."""
    return [raw_dbn(instrument), *(_asset(instrument, stage) for stage in STAGES)]


def _asset(instrument: Instrument, stage: Stage) -> dg.AssetsDefinition:
    root = instrument.root.lower()

    @dg.asset(
        name=stage.table,
        key_prefix=root,
        group_name=root,
        ins={
            table: dg.AssetIn(key_prefix=root, dagster_type=pl.LazyFrame) for table in stage.reads
        },
        deps=[] if stage.reads else [[root, RAW]],
        partitions_def=trading_days,
        description=f"{stage.about}\n\nEvery column: docs/features.md#{stage.table}",
        metadata=definition_metadata(root, stage.table),
        kinds={"parquet", *stage.kinds},
        owners=["team:research"],
        code_version=stage.version,
        check_specs=check_specs(instrument, stage.table),
        required_resource_keys={"contract", "feed", "io_manager"},
    )
    def asset(context: dg.AssetExecutionContext, **inputs: pl.LazyFrame) -> Iterator:
        day = date.fromisoformat(context.partition_key)
        made = stage.make(day_of_run(context, instrument, day), **inputs)
        yield dg.Output(made)
        tables = LakeDay(Path(context.resources.io_manager.base_dir), root, day)
        tables.hold_made(stage.table, made)
        for check, finding in judge(tables, stage.table):
            yield dg.AssetCheckResult(
                check_name=check.name,
                passed=finding.passed,
                severity=check.severity,
                description=finding.message,
                metadata=finding.figures,
            )

    return asset


def check_specs(instrument: Instrument, table: str) -> list[dg.AssetCheckSpec]:
    """The checks of a table, evaluated partition by partition."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                check.name,
                asset=[instrument.root.lower(), table],
                description=inspect.getdoc(check.look),
                blocking=check.is_fatal,
                partitions_def=trading_days,
            )
            for check in CHECKS
            if check.table == table
        ]
