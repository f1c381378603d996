"""The catalogue: every column of every table, in order, with dtype, unit, family and meaning.

Column order, dtypes, empty tables, table schemas in the UI, the features page and the tests come
from here; nothing else lists columns. Missing is null, never NaN.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TypeVar

import polars as pl

LEVELS = 10
BANDS = ("p0_1", "p1_2", "p2_3", "p3_5", "p5_10")
BAND_EDGES = (1.0, 2.0, 3.0, 5.0, 10.0)
"""Upper edge of each band: distance from the microprice (or level) in points, inclusive."""
NEAR_BANDS = BANDS[:3]
"""Bands that ten ES levels reach; episodes carry only these."""

SIDES = ("bid", "ask")
BOOK_COLUMNS = {
    f"{side}_{what}": [f"{side}_{what}_{level:02d}" for level in range(LEVELS)]
    for what, side in product(("px", "sz", "ct"), SIDES)
}
"""Book columns of a tick by side and kind, best level first."""
BELOW_ABOVE = ("below", "above")
WINDOWS = (3, 12, 36, 72)
"""Derivative windows, in bars of 5 s."""

ACTION = pl.Enum(["A", "C", "M", "R", "T", "F", "N"])
SIDE = pl.Enum(["A", "B", "N"])
LEVEL_TYPE = pl.Enum(["PM_HIGH", "PM_LOW", "OR_HIGH", "OR_LOW"])
OUTCOME = pl.Enum(["STRONG_BREAK", "WEAK_BREAK", "CHOP", "WEAK_BOUNCE", "STRONG_BOUNCE"])
INSTANT = pl.Datetime("ns", "UTC")

F64, I32, I8, FLAG = pl.Float64(), pl.Int32(), pl.Int8(), pl.Boolean()


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it is called, how it is stored and what it says."""

    name: str
    dtype: pl.DataType
    unit: str
    family: str
    meaning: str


Columns = Iterator[Column]
Feature = Callable[..., Column]
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


def _clean_ticks() -> Columns:
    def column(name: str, dtype: pl.DataType, unit: str, meaning: str) -> Column:
        return Column(name, dtype, unit, "tick", meaning)

    yield column(
        "ts_event", INSTANT, "ns UTC", "exchange's time of the event; with sequence the sort order"
    )
    yield column("ts_recv", INSTANT, "ns UTC", "capture time at Databento's gateway")
    yield column("sequence", pl.UInt32(), "", "venue's message sequence number")
    yield column(
        "action", ACTION, "", "A add, C cancel, M modify, R clear, T trade, F fill, N none"
    )
    yield column(
        "side",
        SIDE,
        "",
        "A/C/M: resting side (B bid, A ask); T: aggressor (B buyer, A seller); N unknown",
    )
    yield column("depth", pl.UInt8(), "level", "book level the event touched, 0 = best")
    yield column("price", F64, "price", "event price; null where undefined")
    yield column("size", pl.UInt32(), "contracts", "event size")
    yield column("flags", pl.UInt8(), "bits", "Databento record flags")
    yield column("is_last", FLAG, "", "flags & 0x80: last record of its event")
    yield column("is_snapshot", FLAG, "", "flags & 0x20: from a snapshot")
    yield column("is_bad_ts", FLAG, "", "flags & 0x08: ts_recv is unreliable")
    yield column("is_bad_book", FLAG, "", "flags & 0x04: the book may be bad")
    yield column("publisher_id", pl.UInt16(), "", "Databento publisher")
    yield column("instrument_id", pl.UInt32(), "", "venue's numeric instrument id")
    yield column("symbol", pl.String(), "", "outright contract, from the file's symbology")
    for level in range(LEVELS):
        for side in SIDES:
            yield column(
                f"{side}_px_{level:02d}",
                F64,
                "price",
                f"{side} price of level {level}, after the event; null: no level",
            )
        for side in SIDES:
            yield column(
                f"{side}_sz_{level:02d}", pl.UInt32(), "contracts", f"{side} size of level {level}"
            )
        for side in SIDES:
            yield column(
                f"{side}_ct_{level:02d}",
                pl.UInt32(),
                "orders",
                f"{side} order count of level {level}",
            )


STATE = (
    ("microprice", "price", "p = (ask0*b0 + bid0*a0) / (b0 + a0), b0 and a0 the best sizes"),
    ("state_spread_pts", "points", "(ask0 - bid0) / point"),
    ("state_obi0", "ratio", "(b0 - a0) / (b0 + a0), imbalance of the best sizes"),
    ("state_obi10", "ratio", "(B - A) / (B + A), imbalance of the ten-level sizes"),
    *(
        (f"state_cdi_{band}", "ratio", f"(below - above) / (below + above) sizes of band {band}")
        for band in BANDS
    ),
    ("depth_bid10_qty", "contracts", "B, ten-level bid size"),
    ("depth_ask10_qty", "contracts", "A, ten-level ask size"),
    *(
        (
            f"depth_{where}_{band}_qty",
            "contracts",
            f"{side} size in band {band} {where} the microprice",
        )
        for where, side in zip(BELOW_ABOVE, SIDES, strict=True)
        for band in BANDS
    ),
    *(
        (
            f"depth_{where}_{band}_frac",
            "ratio",
            f"{side} size in band {band} over the ten-level {side} size",
        )
        for where, side in zip(BELOW_ABOVE, SIDES, strict=True)
        for band in BANDS
    ),
)
"""(stem, unit, meaning) of the book-state features, in the order the kernel computes them.

Each becomes `bar5s_{stem}_twa`, its time-weighted average over the bar, and `bar5s_{stem}_eob`,
its value at the bar's end. The state is the latest two-sided book; null before the first.
"""

MESSAGE_COUNTS = ("msg", "clear", "add", "cancel", "modify", "trade")
TRADE_SUMS = ("cnt", "vol", "aggbuy_vol", "aggsell_vol")
FLOW_SUMS = ("add_vol", "rem_vol", "cnt_add", "cnt_cancel", "cnt_modify")

_FLOW_MEANING = {
    "add_vol": ("contracts", "size added: sum of max(delta, 0)"),
    "rem_vol": ("contracts", "size removed: sum of max(-delta, 0)"),
    "net_vol": ("contracts", "add_vol - rem_vol"),
    "cnt_add": ("count", "adds"),
    "cnt_cancel": ("count", "cancels"),
    "cnt_modify": ("count", "modifies"),
    "net_volnorm": ("ratio", "net_vol / max(twa size of the band on that side, 1)"),
}


def _bar5s() -> Columns:
    def feature(stem: str, unit: str, meaning: str, dtype: pl.DataType = F64) -> Column:
        return Column(f"bar5s_{stem}", dtype, unit, stem.split("_")[0], meaning)

    def twa(stem: str, unit: str, meaning: str) -> Column:
        return feature(f"{stem}_twa", unit, f"time-weighted average of {meaning}")

    def eob(stem: str, unit: str, meaning: str, dtype: pl.DataType = F64) -> Column:
        return feature(f"{stem}_eob", unit, f"{meaning}, at the bar's end", dtype)

    yield Column("bar_ts", INSTANT, "ns UTC", "key", "start of the bar, floor(ts_event / 5 s)")
    yield Column("symbol", pl.String(), "", "key", "outright contract")
    yield eob(*STATE[0])
    yield twa(*STATE[0])
    yield eob("midprice", "price", "(ask0 + bid0) / 2")
    for kind in MESSAGE_COUNTS:
        what = "ticks of any action" if kind == "msg" else f"{kind} ticks"
        yield feature(f"meta_{kind}_cnt_sum", "count", what)
    for state in STATE[1:]:
        yield twa(*state)
        yield eob(*state)
    for side in reversed(SIDES):
        for stat in ("max", "mean"):
            yield eob(
                f"ladder_{side}_gap_{stat}_pts",
                "points",
                f"{stat} price gap between adjacent defined {side} levels",
            )
    for what, unit in (
        ("px", "price"),
        ("sz", "contracts"),
        ("ct", "orders"),
        ("sz_frac", "ratio"),
        ("ct_frac", "ratio"),
    ):
        of_total = " over the ten-level total" if what.endswith("frac") else ""
        for side, level in product(SIDES, range(LEVELS)):
            yield eob(
                f"shape_{side}_{what}_l{level:02d}",
                unit,
                f"{side} {_SHAPE[what[:2]]} of level {level}{of_total}",
            )
    for kind in (
        "add_vol",
        "rem_vol",
        "net_vol",
        "cnt_add",
        "cnt_cancel",
        "cnt_modify",
        "net_volnorm",
    ):
        unit, meaning = _FLOW_MEANING[kind]
        for side, band in product(SIDES, BANDS):
            yield feature(
                f"flow_{kind}_{side}_{band}_sum",
                unit,
                f"{meaning}; {side} events in band {band} of the microprice before them",
            )
    yield feature("trade_cnt_sum", "count", "trades")
    yield feature("trade_vol_sum", "contracts", "traded size")
    yield feature("trade_aggbuy_vol_sum", "contracts", "traded size, buyer the aggressor")
    yield feature("trade_aggsell_vol_sum", "contracts", "traded size, seller the aggressor")
    yield feature("trade_signed_vol_sum", "contracts", "aggbuy_vol - aggsell_vol")
    for side in SIDES:
        yield eob(
            f"wall_{side}_maxz",
            "z",
            f"greatest z of log1p(size) over the ten {side} levels (population std)",
        )
    for side in SIDES:
        yield eob(f"wall_{side}_maxz_levelidx", "level", f"first {side} level of that z", I32)
    for side in SIDES:
        yield eob(
            f"wall_{side}_nearest_strong_dist_pts",
            "points",
            f"|px - p| / point of the nearest {side} level with z >= 2; null if none",
        )
    for side in SIDES:
        yield eob(
            f"wall_{side}_nearest_strong_levelidx",
            "level",
            f"nearest {side} level with z >= 2; -1 if none",
            I32,
        )


_SHAPE = {"px": "price", "sz": "size", "ct": "order count"}


def _session_levels() -> Columns:
    def column(name: str, dtype: pl.DataType, unit: str, meaning: str) -> Column:
        return Column(name, dtype, unit, "level", meaning)

    yield column("date", pl.Date(), "", "trading day, the UTC day of the file")
    yield column("symbol", pl.String(), "", "outright contract; null on a day with no bar")
    yield column("level_type", LEVEL_TYPE, "", "PM: 05:00-09:30, OR: 09:30-10:00 New York")
    yield column(
        "level_price",
        F64,
        "price",
        "max (HIGH) or min (LOW) of microprice_eob in the window; null without ticks there",
    )
    yield column("polarity", I8, "", "+1 for highs, -1 for lows")
    yield column("formed_from", INSTANT, "ns UTC", "start of the window")
    yield column("formed_to", INSTANT, "ns UTC", "end of the window, exclusive")
    yield column("valid_from", INSTANT, "ns UTC", "first bar start that may trigger")


def _episode_keys() -> Columns:
    def column(name: str, dtype: pl.DataType, unit: str, meaning: str) -> Column:
        return Column(name, dtype, unit, "episode", meaning)

    yield column(
        "episode_id", pl.String(), "", "{date}_{symbol}_{level_type}_{trigger bar start, ns}"
    )
    yield column("level_type", LEVEL_TYPE, "", "which session level")
    yield column("level_price", F64, "price", "L, the level")
    yield column("trigger_bar_ts", INSTANT, "ns UTC", "start of the trigger bar")
    yield column("bar_index_in_episode", I32, "bars", "0 at the window's first bar")
    yield column(
        "bars_to_trigger", I32, "bars", "bar minus trigger bar: negative before, 0 at the trigger"
    )
    yield column("is_pre_trigger", FLAG, "", "before the trigger bar")
    yield column("is_trigger_bar", FLAG, "", "the trigger bar")
    yield column("is_post_trigger", FLAG, "", "after the trigger bar")
    yield column(
        "approach_direction",
        I8,
        "",
        "+1 from below: mean microprice of the 12 bars before < L; else -1",
    )
    yield column(
        "is_standard_approach",
        FLAG,
        "",
        "direction equals polarity: a high from below, a low from above",
    )
    yield column("dist_to_level_pts", F64, "points", "(microprice_eob - L) / point")
    yield column(
        "signed_dist_pts",
        F64,
        "points",
        "dist_to_level_pts * approach_direction: positive beyond the level",
    )
    yield column(
        "outcome",
        OUTCOME,
        "",
        "what followed in 6 minutes (future of the trigger); null past the data's end",
    )
    yield column(
        "outcome_score",
        F64,
        "points",
        "(w1 + w2) / 2 of the outcome windows (future); null past the data's end",
    )
    yield column("is_truncated_lookback", FLAG, "", "fewer than 180 bars before the trigger")
    yield column("is_truncated_forward", FLAG, "", "the window ends with the session (future)")
    yield column("is_extended_forward", FLAG, "", "re-touches moved the window's end (future)")
    yield column("extension_count", I32, "count", "re-touches that moved the window's end (future)")


def _level_episodes() -> Columns:
    far = BANDS[len(NEAR_BANDS) :]
    bars = list(_bar5s())
    yield from bars[:2]
    yield from _episode_keys()
    yield from (
        column for column in bars[2:] if not any(f"_{band}_" in column.name for band in far)
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


def _approach_features() -> Columns:
    def feature(
        family: str, stem: str, unit: str, meaning: str, dtype: pl.DataType = F64
    ) -> Column:
        return Column(f"bar5s_{family}_{stem}", dtype, unit, family, meaning)

    yield from _level_episodes()
    yield from _position(partial(feature, "approach"))
    for (name, (column, unit)), order, w in product(DERIVATIVES.items(), (1, 2), WINDOWS):
        of = f"of {column}" if order == 1 else f"of deriv_{name}_d1_w{w}"
        yield feature(
            "deriv",
            f"{name}_d{order}_w{w}",
            f"{unit}/bar" if order == 1 else f"{unit}/bar^2",
            f"(x[t] - x[t-{w}]) / {w} {of}; null where history is short",
        )
    yield from _cumulatives(partial(feature, "cumul"))
    yield from _level_relative(partial(feature, "lvl"))
    yield from _setup(partial(feature, "setup"))


def _position(feature: Feature) -> Columns:
    yield feature("dist_to_level_pts_eob", "points", "(microprice_eob - L) / point")
    yield feature("dist_to_level_pts_twa", "points", "(microprice_twa - L) / point")
    yield feature("abs_dist_to_level_pts_eob", "points", "|microprice_eob - L| / point")
    yield feature("side_of_level_eob", "", "+1 if microprice_eob > L else -1", I8)
    for level_type in LEVEL_TYPE.categories:
        yield feature(f"is_{level_type.lower()}", "", f"the level is {level_type}", FLAG)
    yield feature("level_polarity", "", "+1 for highs, -1 for lows", I8)
    yield feature("alignment_eob", "", "-side_of_level * polarity", I8)


def _cumulatives(feature: Feature) -> Columns:
    def running(name: str) -> Column:
        unit = "count" if name.endswith("cnt") else "contracts"
        return feature(
            name, unit, f"running sum of bar5s_{CUMULATIVES[name]} from the episode's first bar"
        )

    names = list(CUMULATIVES)
    yield from map(running, names[:4])
    yield feature("signed_trade_vol_rate", "contracts/bar", "cumul_signed_trade_vol / bars so far")
    for side in SIDES:
        yield feature(
            f"flow_net_{side}",
            "contracts",
            f"running {side} net flow, bands {', '.join(NEAR_BANDS)}",
        )
    yield feature("flow_imbal", "contracts", "cumul_flow_net_bid - cumul_flow_net_ask")
    yield feature("flow_imbal_rate", "contracts/bar", "cumul_flow_imbal / bars so far")
    for side, band in product(SIDES, NEAR_BANDS):
        yield feature(
            f"flow_net_{side}_{band}", "contracts", f"running {side} net flow in band {band}"
        )
    yield from map(running, names[4:])


def _level_relative(feature: Feature) -> Columns:
    yield feature("depth_above_qty_eob", "contracts", "ask size at px > L, end-of-bar ladder")
    yield feature("depth_below_qty_eob", "contracts", "bid size at px < L, end-of-bar ladder")
    yield feature("depth_at_qty_eob", "contracts", "size of both sides with |px - L| <= 0.5 points")
    yield feature("depth_imbal_eob", "ratio", "(below - above) / (below + above)")
    for band in NEAR_BANDS:
        yield feature(
            f"depth_above_{band}_qty_eob",
            "contracts",
            f"ask size above L in distance band {band} from L",
        )
        yield feature(
            f"depth_below_{band}_qty_eob",
            "contracts",
            f"bid size below L in distance band {band} from L",
        )
        yield feature(
            f"cdi_{band}_eob", "ratio", f"(below - above) / (below + above) of band {band} from L"
        )
    yield feature(
        "flow_toward_net_sum",
        "contracts",
        "net near flow of the side price must cross to reach L: ask below L, bid above",
    )
    yield feature("flow_away_net_sum", "contracts", "net near flow of the other side")
    yield feature("flow_toward_away_imbal_sum", "contracts", "toward - away")


def _setup(feature: Feature) -> Columns:
    """One value an episode, over the setup window: its bars up to and including the trigger."""
    yield feature("start_dist_pts", "points", "signed distance at the window's first bar")
    yield feature("min_dist_pts", "points", "least |distance|")
    yield feature("max_dist_pts", "points", "greatest |distance|")
    yield feature("dist_range_pts", "points", "max_dist - min_dist")
    yield feature("approach_bars", "bars", "bars where |distance| fell", I32)
    yield feature("retreat_bars", "bars", "bars where |distance| rose", I32)
    yield feature("approach_ratio", "ratio", "approach_bars / bars of the window")
    for third in THIRDS:
        yield feature(
            f"{third}_velocity",
            "points/bar",
            f"mean deriv_dist_d1_w3 in the {third} third; none: 0",
        )
    yield feature("velocity_trend", "points/bar", "late_velocity - early_velocity")
    for name in ("obi0", "obi10"):
        for stat in ("start", "end", "delta", "min", "max"):
            yield feature(
                f"{name}_{stat}",
                "ratio",
                f"{stat} of state_{name}_eob" + (", end - start" if stat == "delta" else ""),
            )
    yield feature("total_trade_vol", "contracts", "traded size")
    yield feature("total_signed_vol", "contracts", "signed traded size")
    yield feature("trade_imbal_pct", "ratio", "total_signed_vol / total_trade_vol")
    yield feature("flow_imbal_total", "contracts", "cumul_flow_imbal at the trigger")
    for side in SIDES:
        yield feature(f"{side}_wall_max_z", "z", f"greatest wall_{side}_maxz_eob")
    for side in SIDES:
        yield feature(f"{side}_wall_bars", "bars", f"bars with wall_{side}_maxz_eob > 2", I32)
    yield feature("wall_imbal", "bars", "ask_wall_bars - bid_wall_bars", I32)


THIRDS = ("early", "mid", "late")
"""Thirds of the setup window: max(1, n // 3) bars each, the rest to late."""


def _vector_dims() -> Iterator[Column]:
    columns = {column.name: column for column in _approach_features()}

    def at_trigger(name: str) -> Column:
        return columns[name]

    def window(name: str, unit: str, meaning: str) -> Column:
        return Column(name, F64, unit, name.split("_")[0], meaning)

    def derivatives(
        names: tuple[str, ...], order: int, windows: tuple[int, ...]
    ) -> Iterator[Column]:
        return (at_trigger(f"bar5s_deriv_{name}_d{order}_w{w}") for name in names for w in windows)

    yield from map(at_trigger, _TRIGGER_DIMS)
    yield from derivatives(("dist",), 1, WINDOWS)
    yield from derivatives(("dist",), 2, WINDOWS)
    yield from derivatives(("obi0", "obi10", "cdi01", "cdi12"), 1, (12, 36))
    yield from derivatives(("obi0", "obi10", "cdi01", "cdi12"), 2, (12, 36))
    yield from derivatives(
        ("dbid10", "dask10", "dbelow01", "dabove01", "wbidz", "waskz"), 1, (12, 36)
    )
    yield from derivatives(("wbidz", "waskz"), 2, (12, 36))
    yield from (column for name, column in columns.items() if name.startswith("bar5s_setup_"))
    yield window(
        "setup_velocity_std", "points/bar", "sample std of deriv_dist_d1_w3 over the setup window"
    )
    for name in ("obi0", "obi10", "cdi01", "lvl_depth_imbal"):
        yield window(f"setup_{name}_mean", "ratio", f"mean of {name} over the setup window")
        yield window(f"setup_{name}_std", "ratio", f"sample std of {name} over the setup window")
    yield window(
        "setup_lvl_depth_imbal_trend", "ratio", "last - first lvl_depth_imbal of the setup window"
    )
    yield window("setup_spread_mean", "points", "mean spread over the setup window")
    for way in ("toward", "away"):
        yield window(
            f"setup_flow_{way}_total",
            "contracts",
            f"sum of lvl_flow_{way}_net over the setup window",
        )
    yield window("setup_flow_toward_away_ratio", "ratio", "toward total / away total")
    for third in THIRDS:
        yield window(f"setup_trade_vol_{third}", "contracts", f"traded size in the {third} third")
    yield window("setup_trade_vol_trend", "contracts", "late - early traded size")
    for third in THIRDS:
        yield window(
            f"setup_signed_vol_{third}", "contracts", f"signed traded size in the {third} third"
        )
    for side in SIDES:
        yield window(
            f"setup_{side}_wall_mean_z", "z", f"mean wall_{side}_maxz over the setup window"
        )
    for side in SIDES:
        yield window(
            f"setup_{side}_wall_closest_dist_min",
            "points",
            f"least nearest strong {side} distance; a missing wall is 10 points away",
        )
    for what, change in (
        ("appeared", "in the last three bars, not in the first three"),
        ("disappeared", "in the first three bars, not in the last three"),
    ):
        for side in SIDES:
            yield window(f"setup_{side}_wall_{what}", "flag", f"{side} maxz > 2 {change}")
    for name, unit in (
        ("dist", "points"),
        ("obi0", "ratio"),
        ("obi10", "ratio"),
        ("cdi01", "ratio"),
    ):
        yield window(f"recent_{name}_delta", unit, f"{name} at the trigger minus 12 bars before")
    for name in (
        "trade_vol",
        "signed_vol",
        "flow_toward",
        "flow_away",
        "aggbuy_vol",
        "aggsell_vol",
    ):
        yield window(
            f"recent_{name}", "contracts", f"sum of {name} over the last 12 bars to the trigger"
        )
    for side in SIDES:
        yield window(
            f"recent_{side}_depth_delta",
            "contracts",
            f"ten-level {side} size at the trigger minus 12 bars before",
        )


_TRIGGER_DIMS = (
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

VECTOR_DIMS: tuple[Column, ...] = tuple(_vector_dims())
"""The 147 dimensions of a setup vector: trigger-bar columns, then setup and recent summaries."""


def _setup_vectors() -> Columns:
    columns = {column.name: column for column in (*_session_levels(), *_episode_keys())}
    keys = ("episode_id", "date", "symbol", "level_type", "level_price", "trigger_bar_ts")
    labels = (
        "approach_direction",
        "is_standard_approach",
        "outcome",
        "outcome_score",
        "is_truncated_lookback",
        "is_truncated_forward",
    )
    yield from (columns[name] for name in (*keys, *labels))
    yield Column("lookback_bars", I32, "bars", "episode", "bars of the window before the trigger")
    yield Column(
        "vector",
        pl.Array(F64, len(VECTOR_DIMS)),
        "",
        "vector",
        "the 147 dimensions in catalogue order; every value finite",
    )


TABLES: dict[str, tuple[Column, ...]] = {
    "clean_ticks": tuple(_clean_ticks()),
    "bar5s": tuple(_bar5s()),
    "session_levels": tuple(_session_levels()),
    "level_episodes": tuple(_level_episodes()),
    "approach_features": tuple(_approach_features()),
    "setup_vectors": tuple(_setup_vectors()),
}
"""Every table's columns, in order."""


def schema(table: str) -> pl.Schema:
    """Names and dtypes of a table's columns, in order."""
    return pl.Schema({column.name: column.dtype for column in TABLES[table]})


def conform(frame: Frame, table: str) -> Frame:
    """The frame with exactly a table's columns, in order, in the catalogue's dtypes."""
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema(table).items())
