"""Columns of `setup_vectors`, one episode per row, and the dimensions of its vector."""

from collections.abc import Iterator
from dataclasses import asdict

import polars as pl

from kernels.catalogue import approach_features, level_episodes, session_levels
from kernels.catalogue.column import Column, Dimension
from kernels.catalogue.vocabulary import F64, I32, NEAR_BANDS, SIDES, THIRDS, WINDOWS

MISSING_WALL_PTS = 10.0
"""The distance given for a wall where there is none."""

SETUP_IMBALANCES = {
    "obi0": "bar5s_state_obi0_eob",
    "obi10": "bar5s_state_obi10_eob",
    "cdi01": "bar5s_state_cdi_p0_1_eob",
    "lvl_depth_imbal": "bar5s_lvl_depth_imbal_eob",
}
SETUP_VOLUMES = {"trade_vol": "bar5s_trade_vol_sum", "signed_vol": "bar5s_trade_signed_vol_sum"}
"""Columns summarised over the setup window, by name in the vector."""

RECENT_CHANGES = {
    "dist": "bar5s_approach_dist_to_level_pts_eob",
    "obi0": "bar5s_state_obi0_eob",
    "obi10": "bar5s_state_obi10_eob",
    "cdi01": "bar5s_state_cdi_p0_1_eob",
    "bid_depth": "bar5s_depth_bid10_qty_eob",
    "ask_depth": "bar5s_depth_ask10_qty_eob",
}
RECENT_SUMS = {
    "trade_vol": "bar5s_trade_vol_sum",
    "signed_vol": "bar5s_trade_signed_vol_sum",
    "flow_toward": "bar5s_lvl_flow_toward_net_sum",
    "flow_away": "bar5s_lvl_flow_away_net_sum",
    "aggbuy_vol": "bar5s_trade_aggbuy_vol_sum",
    "aggsell_vol": "bar5s_trade_aggsell_vol_sum",
}
"""Columns compared and summed over the last bars up to the trigger, likewise."""

Dimensions = Iterator[Dimension]

_APPROACH = {column.name: column for column in approach_features.COLUMNS}

_AT_TRIGGER = (
    "bar5s_approach_dist_to_level_pts_eob",
    "bar5s_approach_side_of_level_eob",
    "bar5s_approach_alignment_eob",
    "bar5s_approach_level_polarity",
    "is_standard_approach",
    "bar5s_state_obi0_eob",
    "bar5s_state_obi10_eob",
    "bar5s_state_spread_pts_eob",
    *(f"bar5s_state_cdi_{band}_eob" for band in NEAR_BANDS),
    "bar5s_lvl_depth_imbal_eob",
    *(f"bar5s_lvl_cdi_{band}_eob" for band in NEAR_BANDS[:2]),
    "bar5s_depth_bid10_qty_eob",
    "bar5s_depth_ask10_qty_eob",
    "bar5s_lvl_depth_above_qty_eob",
    "bar5s_lvl_depth_below_qty_eob",
    *(
        f"bar5s_wall_{side}_{what}_eob"
        for what in ("maxz", "maxz_levelidx", "nearest_strong_dist_pts", "nearest_strong_levelidx")
        for side in SIDES
    ),
    "bar5s_cumul_signed_trade_vol",
    "bar5s_cumul_flow_imbal",
    "bar5s_cumul_flow_net_bid",
    "bar5s_cumul_flow_net_ask",
    "bar5s_lvl_flow_toward_net_sum",
    "bar5s_lvl_flow_away_net_sum",
    "bar5s_lvl_flow_toward_away_imbal_sum",
    "bar5s_trade_signed_vol_sum",
    "bar5s_trade_aggbuy_vol_sum",
    "bar5s_trade_aggsell_vol_sum",
)


def _derivative_names() -> Iterator[str]:
    imbalances = ("obi0", "obi10", "cdi01", "cdi12")
    depths = ("dbid10", "dask10", "dbelow01", "dabove01")
    walls = ("wbidz", "waskz")
    for names, order, windows in (
        (("dist",), 1, WINDOWS),
        (("dist",), 2, WINDOWS),
        (imbalances, 1, (12, 36)),
        (imbalances, 2, (12, 36)),
        ((*depths, *walls), 1, (12, 36)),
        (walls, 2, (12, 36)),
    ):
        yield from (f"bar5s_deriv_{name}_d{order}_w{w}" for name in names for w in windows)


def _at_trigger(name: str) -> Dimension:
    null_as = MISSING_WALL_PTS if name.endswith("_strong_dist_pts_eob") else 0.0
    return Dimension(**asdict(_APPROACH[name]), source="trigger bar", null_as=null_as)


def _setup(stem: str, unit: str, meaning: str, null_as: float = 0.0) -> Dimension:
    return Dimension(f"setup_{stem}", F64, unit, "setup", meaning, "setup window", null_as)


def _recent(stem: str, unit: str, meaning: str) -> Dimension:
    return Dimension(f"recent_{stem}", F64, unit, "recent", meaning, "last 12 bars", 0.0)


def _setup_imbalances() -> Dimensions:
    for name, column in SETUP_IMBALANCES.items():
        yield _setup(f"{name}_mean", "ratio", f"mean of {column}")
        yield _setup(f"{name}_std", "ratio", f"sample std of {column}")
    yield _setup(
        "lvl_depth_imbal_trend",
        "ratio",
        "bar5s_lvl_depth_imbal_eob at the trigger - at the first bar",
    )


def _setup_flows() -> Dimensions:
    for way in ("toward", "away"):
        yield _setup(f"flow_{way}_total", "contracts", f"sum of bar5s_lvl_flow_{way}_net_sum")
    yield _setup(
        "flow_toward_away_ratio",
        "ratio",
        "setup_flow_toward_total / setup_flow_away_total, 0 if that is 0",
    )


def _setup_volumes() -> Dimensions:
    for name, column in SETUP_VOLUMES.items():
        for third in THIRDS:
            meaning = f"sum of {column} over the {third} third"
            yield _setup(f"{name}_{third}", "contracts", meaning)
        if name == "trade_vol":
            meaning = "setup_trade_vol_late - setup_trade_vol_early"
            yield _setup("trade_vol_trend", "contracts", meaning)


def _setup_walls() -> Dimensions:
    for side in SIDES:
        yield _setup(f"{side}_wall_mean_z", "z", f"mean of bar5s_wall_{side}_maxz_eob")
    for side in SIDES:
        yield _setup(
            f"{side}_wall_closest_dist_min",
            "points",
            f"min of bar5s_wall_{side}_nearest_strong_dist_pts_eob, 10 if none has z >= 2",
            MISSING_WALL_PTS,
        )
    for what, some, none in (("appeared", "last", "first"), ("disappeared", "first", "last")):
        for side in SIDES:
            yield _setup(
                f"{side}_wall_{what}",
                "flag",
                f"bar5s_wall_{side}_maxz_eob > 2 in any of the {some} three bars and none of the {none} three",
            )


def _recents() -> Dimensions:
    where = "at the trigger - 12 bars before (window's first bar if fewer)"
    *changes, bid_depth, ask_depth = (
        _recent(f"{name}_delta", _APPROACH[column].unit, f"{column} {where}")
        for name, column in RECENT_CHANGES.items()
    )
    yield from changes
    yield from (_recent(name, "contracts", f"sum of {of}") for name, of in RECENT_SUMS.items())
    yield from (bid_depth, ask_depth)


def _dimensions() -> Dimensions:
    yield from map(_at_trigger, _AT_TRIGGER)
    yield from map(_at_trigger, _derivative_names())
    yield from (_at_trigger(name) for name in _APPROACH if name.startswith("bar5s_setup_"))
    yield _setup("velocity_std", "points/bar", "sample std of bar5s_deriv_dist_d1_w3")
    yield from _setup_imbalances()
    yield _setup("spread_mean", "points", "mean of bar5s_state_spread_pts_eob")
    yield from _setup_flows()
    yield from _setup_volumes()
    yield from _setup_walls()
    yield from _recents()


VECTOR_DIMS: tuple[Dimension, ...] = tuple(_dimensions())
"""The 147 dimensions of a setup vector: trigger-bar columns, then setup and recent summaries."""

_EPISODE = {column.name: column for column in (*session_levels.COLUMNS, *level_episodes.COLUMNS)}

COLUMNS = (
    *(
        _EPISODE[name]
        for name in (
            "episode_id",
            "date",
            "symbol",
            "level_type",
            "level_price",
            "trigger_bar_ts",
            "approach_direction",
            "is_standard_approach",
            "outcome",
            "outcome_score",
            "is_truncated_lookback",
            "is_truncated_forward",
        )
    ),
    Column("lookback_bars", I32, "bars", "window", "bars of the window before the trigger"),
    Column(
        "vector",
        pl.Array(F64, len(VECTOR_DIMS)),
        "mixed",
        "vector",
        "the 147 dimensions in catalogue order; every value finite",
    ),
)
"""Every column, in order."""
