"""The figures of a day's tables that are worth following from day to day.

Keys are flat and stable: a figure of an empty table is there, and null. Counts and sizes are int,
shares and averages float.
"""

from collections.abc import Mapping

import polars as pl

from kernels.features import LEVEL_TYPE, OUTCOME
from resources.lake import LakeDay

Figure = str | int | float | None


def figures(tables: LakeDay, table: str) -> Mapping[str, Figure]:
    """What is worth following of a written table: its facts and what its rows say.

    Raises:
        TableMissing: if the lake has no such table of that day.
    """
    facts = {name.replace("/", "_"): value for name, value in tables.facts(table).items()}
    return facts | (_OF_TABLE[table](tables) if table in _OF_TABLE else {})


def _bar5s(tables: LakeDay) -> dict[str, Figure]:
    messages, spread = (pl.col("bar5s_meta_msg_cnt_sum"), pl.col("bar5s_state_spread_pts_twa"))
    bars = tables.scan("bar5s").select(
        ticks=messages.sum().cast(pl.Int64),
        empty_bar_share=(messages == 0).mean(),
        spread_pts_mean=spread.mean(),
        spread_pts_median=spread.median(),
        traded_volume=pl.col("bar5s_trade_vol_sum").sum().cast(pl.Int64),
        trades=pl.col("bar5s_trade_cnt_sum").sum().cast(pl.Int64),
    )
    return bars.collect().row(0, named=True)


def _session_levels(tables: LakeDay) -> dict[str, Figure]:
    prices = dict(
        tables.scan("session_levels").select("level_type", "level_price").collect().rows()
    )
    return {f"level_{name.lower()}": prices.get(name) for name in LEVEL_TYPE.categories}


def _level_episodes(tables: LakeDay) -> dict[str, Figure]:
    is_level = {
        f"triggers_{name.lower()}": (pl.col("level_type") == name).sum()
        for name in LEVEL_TYPE.categories
    }
    is_outcome = {
        f"outcome_{name.lower()}": (pl.col("outcome") == name).sum() for name in OUTCOME.categories
    }
    episodes = tables.scan("level_episodes").filter("is_trigger_bar")
    counts = episodes.select(
        episodes=pl.len(),
        **is_level,
        **is_outcome,
        outcome_none=pl.col("outcome").is_null().sum(),
        truncated_lookback=pl.col("is_truncated_lookback").sum(),
        truncated_forward=pl.col("is_truncated_forward").sum(),
    )
    return counts.collect().row(0, named=True)


_OF_TABLE = {"bar5s": _bar5s, "session_levels": _session_levels, "level_episodes": _level_episodes}
