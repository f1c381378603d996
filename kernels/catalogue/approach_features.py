"""Columns of `approach_features`: each bar of an episode relative to its level, L."""

from itertools import product

import polars as pl

from kernels.catalogue import level_episodes
from kernels.catalogue.column import Column, Columns, feature
from kernels.catalogue.vocabulary import (
    BELOW_ABOVE,
    F64,
    FLAG,
    I8,
    I32,
    LEVEL_TYPE,
    NEAR_BANDS,
    SIDES,
    THIRDS,
    WINDOWS,
)


def _position() -> Columns:
    def position(stem: str, unit: str, meaning: str, dtype: pl.DataType = F64) -> Column:
        return feature(f"approach_{stem}", unit, "position", meaning, dtype)

    yield position("dist_to_level_pts_eob", "points", "(bar5s_microprice_eob - L) / point")
    yield position("dist_to_level_pts_twa", "points", "(bar5s_microprice_twa - L) / point")
    yield position("abs_dist_to_level_pts_eob", "points", "|bar5s_microprice_eob - L| / point")
    yield position("side_of_level_eob", "sign", "+1 if bar5s_microprice_eob > L, else -1", I8)
    for level_type in LEVEL_TYPE.categories:
        yield position(f"is_{level_type.lower()}", "flag", f"the level is {level_type}", FLAG)
    yield position("level_polarity", "sign", "+1 if the level is a high, -1 if a low", I8)
    yield position(
        "alignment_eob",
        "sign",
        "-bar5s_approach_side_of_level_eob * bar5s_approach_level_polarity:"
        " +1 inside the range the level bounds, -1 beyond it; at L +1 for a high, -1 for a low",
        I8,
    )


DERIVATIVES = {
    "dist": ("bar5s_approach_dist_to_level_pts_eob", "points"),
    "obi0": ("bar5s_state_obi0_eob", "ratio"),
    "obi10": ("bar5s_state_obi10_eob", "ratio"),
    "cdi01": ("bar5s_state_cdi_p0_1_eob", "ratio"),
    "cdi12": ("bar5s_state_cdi_p1_2_eob", "ratio"),
    "dbid10": ("bar5s_depth_bid10_qty_eob", "contracts"),
    "dask10": ("bar5s_depth_ask10_qty_eob", "contracts"),
    "dbelow01": ("bar5s_depth_below_p0_1_qty_eob", "contracts"),
    "dabove01": ("bar5s_depth_above_p0_1_qty_eob", "contracts"),
    "wbidz": ("bar5s_wall_bid_maxz_eob", "z"),
    "waskz": ("bar5s_wall_ask_maxz_eob", "z"),
}
"""Series whose first and second derivatives over `WINDOWS` are features: column and unit."""


def _derivatives() -> Columns:
    for (name, (column, unit)), order, w in product(DERIVATIVES.items(), (1, 2), WINDOWS):
        x = column if order == 1 else f"bar5s_deriv_{name}_d1_w{w}"
        yield feature(
            f"deriv_{name}_d{order}_w{w}",
            f"{unit}/bar" if order == 1 else f"{unit}/bar^2",
            "derivative",
            f"(x[t] - x[t-{w}]) / {w}, x = {x}; null until the episode has enough bars",
        )


CUMULATIVES = {
    "trade_vol": "trade_vol_sum",
    "signed_trade_vol": "trade_signed_vol_sum",
    "aggbuy_vol": "trade_aggbuy_vol_sum",
    "aggsell_vol": "trade_aggsell_vol_sum",
    "msg_cnt": "meta_msg_cnt_sum",
    "trade_cnt": "trade_cnt_sum",
    "add_cnt": "meta_add_cnt_sum",
    "cancel_cnt": "meta_cancel_cnt_sum",
}
"""Running sums from an episode's first bar: `bar5s_cumul_{key}` of `bar5s_{value}`."""


def _cumulatives() -> Columns:
    def cumulative(stem: str, unit: str, meaning: str) -> Column:
        return feature(f"cumul_{stem}", unit, "cumulative", meaning)

    def running(name: str, unit: str) -> Column:
        of = f"bar5s_{CUMULATIVES[name]}"
        return cumulative(name, unit, f"sum of {of} from the episode's first bar to this one")

    volumes, counts = list(CUMULATIVES)[:4], list(CUMULATIVES)[4:]
    bands = ", ".join(NEAR_BANDS)
    for name in volumes:
        yield running(name, "contracts")
    yield cumulative(
        "signed_trade_vol_rate", "contracts/bar", "bar5s_cumul_signed_trade_vol / bars so far"
    )
    for side in SIDES:
        of = f"bar5s_cumul_flow_net_{side}_{{band}}"
        yield cumulative(
            f"flow_net_{side}", "contracts", f"net {side} flow so far: sum of {of} over {bands}"
        )
    imbalance = "bar5s_cumul_flow_net_bid - bar5s_cumul_flow_net_ask"
    yield cumulative("flow_imbal", "contracts", imbalance)
    yield cumulative("flow_imbal_rate", "contracts/bar", "bar5s_cumul_flow_imbal / bars so far")
    for side, band in product(SIDES, NEAR_BANDS):
        yield cumulative(
            f"flow_net_{side}_{band}",
            "contracts",
            f"sum of bar5s_flow_net_vol_{side}_{band}_sum from the episode's first bar to this one",
        )
    for name in counts:
        yield running(name, "count")


_BEYOND = {
    "above": ("ask", "px > L", "(px - L) / point"),
    "below": ("bid", "px < L", "(L - px) / point"),
}
"""For depth above and below the level: side, which prices, and how far away they are."""


def _level_depth() -> Columns:
    def depth(stem: str, meaning: str) -> Column:
        return feature(f"lvl_depth_{stem}_qty_eob", "contracts", "level-relative", meaning)

    def imbalance(stem: str, band: str, meaning: str) -> Column:
        below, above = (f"bar5s_lvl_depth_{where}_{band}qty_eob" for where in BELOW_ABOVE)
        formula = f"({below} - {above}) / their sum; 0 if both are 0"
        return feature(f"lvl_{stem}_eob", "ratio", "level-relative", f"{meaning}: {formula}")

    for where, (side, prices, _) in _BEYOND.items():
        yield depth(where, f"sum of end-of-bar {side} sizes at {prices}")
    yield depth("at", "sum of end-of-bar sizes of both sides at |px - L| / point <= 0.5")
    yield imbalance("depth_imbal", "", "depth imbalance about the level")
    for band in NEAR_BANDS:
        for where, (side, prices, distance) in _BEYOND.items():
            yield depth(
                f"{where}_{band}",
                f"sum of end-of-bar {side} sizes at {prices}, {distance} in band {band}",
            )
        yield imbalance(f"cdi_{band}", f"{band}_", f"depth imbalance about the level, band {band}")


def _level_flow() -> Columns:
    def flow(stem: str, meaning: str) -> Column:
        return feature(f"lvl_flow_{stem}_sum", "contracts", "level-relative", meaning)

    def net(below: str, above: str) -> str:
        return (
            f"sum of bar5s_flow_net_vol_{below}_{{band}}_sum over {', '.join(NEAR_BANDS)} while"
            f" bar5s_microprice_eob <= L, of bar5s_flow_net_vol_{above}_{{band}}_sum while above"
        )

    yield flow(
        "toward_net",
        f"{net('ask', 'bid')}: orders that price must eat through to reach L;"
        " positive if they grew",
    )
    yield flow(
        "away_net", f"{net('bid', 'ask')}: orders that price leaves behind; positive if they grew"
    )
    yield flow("toward_away_imbal", "bar5s_lvl_flow_toward_net_sum - bar5s_lvl_flow_away_net_sum")


def _setup() -> Columns:
    """One value an episode, over the setup window: its bars up to and including the trigger."""

    def setup(stem: str, unit: str, meaning: str, dtype: pl.DataType = F64) -> Column:
        return feature(f"setup_{stem}", unit, "setup", f"up to the trigger: {meaning}", dtype)

    dist = "bar5s_approach_dist_to_level_pts_eob"
    yield setup("start_dist_pts", "points", f"{dist} at the first bar")
    yield setup("min_dist_pts", "points", f"min of |{dist}|")
    yield setup("max_dist_pts", "points", f"max of |{dist}|")
    yield setup("dist_range_pts", "points", "bar5s_setup_max_dist_pts - bar5s_setup_min_dist_pts")
    yield setup("approach_bars", "bars", f"bars with |{dist}| less than in the bar before", I32)
    yield setup("retreat_bars", "bars", f"bars with |{dist}| greater than in the bar before", I32)
    yield setup("approach_ratio", "ratio", "bar5s_setup_approach_bars / bars")
    for third in THIRDS:
        yield setup(
            f"{third}_velocity",
            "points/bar",
            f"mean of bar5s_deriv_dist_d1_w3 over the {third} third, ignoring nulls; 0 if all are null",
        )
    yield setup(
        "velocity_trend", "points/bar", "bar5s_setup_late_velocity - bar5s_setup_early_velocity"
    )
    for name in ("obi0", "obi10"):
        for stat, meaning in (
            ("start", "{} at the first bar"),
            ("end", "{} at the trigger"),
            ("delta", "{} at the trigger - at the first bar"),
            ("min", "min of {}"),
            ("max", "max of {}"),
        ):
            yield setup(f"{name}_{stat}", "ratio", meaning.format(f"bar5s_state_{name}_eob"))
    yield setup("total_trade_vol", "contracts", "sum of bar5s_trade_vol_sum")
    yield setup("total_signed_vol", "contracts", "sum of bar5s_trade_signed_vol_sum")
    yield setup(
        "trade_imbal_pct",
        "ratio",
        "bar5s_setup_total_signed_vol / bar5s_setup_total_trade_vol, 0 if nothing traded",
    )
    yield setup("flow_imbal_total", "contracts", "bar5s_cumul_flow_imbal at the trigger")
    for side in SIDES:
        yield setup(f"{side}_wall_max_z", "z", f"max of bar5s_wall_{side}_maxz_eob")
    for side in SIDES:
        yield setup(f"{side}_wall_bars", "bars", f"bars with bar5s_wall_{side}_maxz_eob > 2", I32)
    yield setup("wall_imbal", "bars", "bar5s_setup_ask_wall_bars - bar5s_setup_bid_wall_bars", I32)


COLUMNS = (
    *level_episodes.COLUMNS,
    *_position(),
    *_derivatives(),
    *_cumulatives(),
    *_level_depth(),
    *_level_flow(),
    *_setup(),
)
"""Every column, in order."""
