"""The assets of one root: raw order-book days to setup vectors, each stage one table a day."""

import inspect
from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

import kernels
from kernels.instrument import Instrument
from pipeline_assets.partitions import trading_days
from resources.dbn import scan_dbn
from resources.feed import raw_files


class RawFolder(dg.ConfigurableResource):
    """The folder of raw files, `<folder>/<root>/*YYYYMMDD*.dbn[.zst]`."""

    folder: str


class Contract(dg.Config):
    """Which contract of the root a day keeps."""

    roll: str = Field(
        default="volume",
        description="volume: most traded that day; calendar: nearest expiry whose month has not"
        " begun; or an outright symbol such as ESM5",
    )


def order_book_assets(instrument: Instrument) -> list[dg.AssetsDefinition]:
    """The six assets of a root, keyed `<root>/<table>`, e.g. `es/bar5s`."""
    root, point = instrument.root.lower(), instrument.point
    upstream = dg.AssetIn(key_prefix=root)

    def stage(kernel: Callable, *kinds: str, version: str) -> Callable:
        return partial(
            dg.asset,
            key_prefix=root,
            group_name=root,
            partitions_def=trading_days,
            description=inspect.getdoc(kernel),
            kinds={"parquet", "polars", *kinds},
            owners=["team:research"],
            code_version=version,
        )

    @stage(kernels.clean_ticks, version="1")()
    def clean_ticks(
        context: dg.AssetExecutionContext, config: Contract, raw: RawFolder
    ) -> pl.LazyFrame:
        day = _day(context)
        files = raw_files(Path(raw.folder), instrument.root, day)
        records = pl.concat([scan_dbn(path) for path in files])
        kept = Instrument(instrument.root, point, config.roll)
        try:
            ticks, contract, dropped = kernels.clean_ticks(records, kept, day)
        except kernels.UnusableDay as error:
            names = ", ".join(map(str, files))
            raise kernels.UnusableDay(f"{instrument.root} {day}, {names}: {error}.") from error
        context.add_output_metadata(
            {"files": [str(path) for path in files], "contract": contract}
            | {f"dropped/{reason}": count for reason, count in dropped.items()}
        )
        return ticks

    @stage(kernels.bar5s, "numba", version="1")(ins={"clean_ticks": upstream})
    def bar5s(clean_ticks: pl.LazyFrame) -> pl.DataFrame:
        return kernels.bar5s(clean_ticks, point)

    @stage(kernels.session_levels, version="1")(ins={"bar5s": upstream})
    def session_levels(context: dg.AssetExecutionContext, bar5s: pl.DataFrame) -> pl.DataFrame:
        levels = kernels.session_levels(bar5s, _day(context))
        context.add_output_metadata(
            {
                f"level/{level}": price
                for level, price in levels.select("level_type", "level_price").iter_rows()
                if price is not None
            }
        )
        return levels

    @stage(kernels.level_episodes, "numba", version="1")(
        ins={"bar5s": upstream, "session_levels": upstream}
    )
    def level_episodes(
        context: dg.AssetExecutionContext, bar5s: pl.DataFrame, session_levels: pl.DataFrame
    ) -> pl.DataFrame:
        return kernels.level_episodes(bar5s, session_levels, _day(context), point)

    @stage(kernels.approach_features, version="1")(ins={"level_episodes": upstream})
    def approach_features(level_episodes: pl.DataFrame) -> pl.DataFrame:
        return kernels.approach_features(level_episodes, point)

    @stage(kernels.setup_vectors, version="1")(ins={"approach_features": upstream})
    def setup_vectors(
        context: dg.AssetExecutionContext, approach_features: pl.DataFrame
    ) -> pl.DataFrame:
        vectors = kernels.setup_vectors(approach_features)
        outcomes = Counter(vectors["outcome"].fill_null("past the data"))
        context.add_output_metadata({f"outcome/{name}": count for name, count in outcomes.items()})
        return vectors

    return [clean_ticks, bar5s, session_levels, level_episodes, approach_features, setup_vectors]


def _day(context: dg.AssetExecutionContext) -> date:
    return date.fromisoformat(context.partition_key)
