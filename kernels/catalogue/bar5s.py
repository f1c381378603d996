"""Columns of `bar5s`: what the book was, and what happened, in five seconds."""

from itertools import product

import polars as pl

from kernels.catalogue.column import Column, Columns, feature
from kernels.catalogue.vocabulary import (
    BANDS,
    BELOW_ABOVE,
    F64,
    I32,
    INSTANT,
    LEVELS,
    SIDES,
)

_IN_BAND = {"bid": "with (p - px) / point in band {}", "ask": "with (px - p) / point in band {}"}
"""Which levels of a side lie in a band, p the microprice."""


def _by_band(stem: str, unit: str, meaning: str) -> tuple[tuple[str, str, str, str], ...]:
    """A state of each side and band; {side}, {total} and {levels} of the meaning are filled in."""
    return tuple(
        (
            stem.format(where=where, band=band),
            unit,
            "depth",
            meaning.format(side=side, total=total, levels=_IN_BAND[side].format(band)),
        )
        for (where, side, total), band in product(
            zip(BELOW_ABOVE, SIDES, ("B", "A"), strict=True), BANDS
        )
    )


STATE = (
    (
        "microprice",
        "price",
        "price",
        "p = (ask0*b0 + bid0*a0) / (b0 + a0), each best price weighted by the other side's size",
    ),
    ("state_spread_pts", "points", "spread", "(ask0 - bid0) / point, best ask less best bid"),
    (
        "state_obi0",
        "ratio",
        "imbalance",
        "(b0 - a0) / (b0 + a0), b0 and a0 the sizes at the best bid and ask; +1 all bid, -1 all ask",
    ),
    (
        "state_obi10",
        "ratio",
        "imbalance",
        "(B - A) / (B + A), B and A the bid and ask sizes of all ten levels",
    ),
    *(
        (
            f"state_cdi_{band}",
            "ratio",
            "imbalance",
            "(below - above) / (below + above), bid size below and ask size above the microprice"
            f" in band {band}; 0 if both are 0",
        )
        for band in BANDS
    ),
    ("depth_bid10_qty", "contracts", "depth", "B, bid size of all ten levels"),
    ("depth_ask10_qty", "contracts", "depth", "A, ask size of all ten levels"),
    *_by_band(
        "depth_{where}_{band}_qty", "contracts", "sum of size over the {side} levels {levels}"
    ),
    *_by_band(
        "depth_{where}_{band}_frac",
        "ratio",
        "sum of size over the {side} levels {levels}, as a share of the side's total {total}",
    ),
)
"""(stem, unit, family, meaning) of the book-state features, in the order the kernel computes them.

Each becomes `bar5s_{stem}_twa`, its time-weighted average over the bar, and `bar5s_{stem}_eob`,
its value at the bar's end. The state is the latest two-sided book; null before the first.
"""


def _twa(stem: str, unit: str, family: str, meaning: str) -> Column:
    return feature(f"{stem}_twa", unit, family, f"{meaning}; time-weighted average over the bar")


def _eob(stem: str, unit: str, family: str, meaning: str, dtype: pl.DataType = F64) -> Column:
    return feature(f"{stem}_eob", unit, family, f"{meaning}; at the bar's end", dtype)


MESSAGE_COUNTS = ("msg", "clear", "add", "cancel", "modify", "trade")
FLOW_SUMS = ("add_vol", "rem_vol", "cnt_add", "cnt_cancel", "cnt_modify")
"""In the order of `order_flow`."""


def _messages() -> Columns:
    for kind, letter in zip(MESSAGE_COUNTS, ("", "R", "A", "C", "M", "T"), strict=True):
        what = f"records of action {letter}, {kind}" if letter else "records of any action"
        yield feature(f"meta_{kind}_cnt_sum", "count", "message", f"number of {what}")


def _ladder() -> Columns:
    for side, (stat, of) in product(reversed(SIDES), (("max", "greatest"), ("mean", "mean"))):
        yield _eob(
            f"ladder_{side}_gap_{stat}_pts",
            "points",
            "ladder",
            f"{of} |px - px of the next level| / point over the {side} levels that exist;"
            " null with fewer than two",
        )


_SHAPE = {
    "px": ("price", "price of {side} level {level}; null: no such level"),
    "sz": ("contracts", "size at {side} level {level}; 0: no such level"),
    "ct": ("orders", "orders at {side} level {level}; 0: no such level"),
    "sz_frac": ("ratio", "size at {side} level {level} / size of the ten {side} levels"),
    "ct_frac": ("ratio", "orders at {side} level {level} / orders of the ten {side} levels"),
}


def _shape() -> Columns:
    for (what, (unit, meaning)), side, level in product(_SHAPE.items(), SIDES, range(LEVELS)):
        yield _eob(
            f"shape_{side}_{what}_l{level:02d}",
            unit,
            "shape",
            meaning.format(side=side, level=level),
        )


_NEARBY = "priced in band {band} from the microprice before each"
_CHANGES = (
    f"over {{side}} adds, cancels, modifies {_NEARBY}, delta = size at its price after - before"
)
_FLOW = {
    "add_vol": ("contracts", f"sum of max(delta, 0) {_CHANGES}"),
    "rem_vol": ("contracts", f"sum of max(-delta, 0) {_CHANGES}"),
    "net_vol": (
        "contracts",
        "bar5s_flow_add_vol_{side}_{band}_sum - bar5s_flow_rem_vol_{side}_{band}_sum",
    ),
    "cnt_add": ("count", f"number of {{side}} adds {_NEARBY}"),
    "cnt_cancel": ("count", f"number of {{side}} cancels {_NEARBY}"),
    "cnt_modify": ("count", f"number of {{side}} modifies {_NEARBY}"),
    "net_volnorm": (
        "ratio",
        "bar5s_flow_net_vol_{side}_{band}_sum / max(bar5s_depth_{where}_{band}_qty_twa, 1)",
    ),
}


def _flow() -> Columns:
    for (kind, (unit, meaning)), (side, where), band in product(
        _FLOW.items(), zip(SIDES, BELOW_ABOVE, strict=True), BANDS
    ):
        yield feature(
            f"flow_{kind}_{side}_{band}_sum",
            unit,
            "flow",
            meaning.format(side=side, where=where, band=band),
        )


def _trades() -> Columns:
    yield feature("trade_cnt_sum", "count", "trade", "number of trades")
    for kind, meaning in (
        ("vol", "sum of size over the trades"),
        ("aggbuy_vol", "sum of size over buyer-initiated trades (side B)"),
        ("aggsell_vol", "sum of size over seller-initiated trades (side A)"),
        ("signed_vol", "bar5s_trade_aggbuy_vol_sum - bar5s_trade_aggsell_vol_sum"),
    ):
        yield feature(f"trade_{kind}_sum", "contracts", "trade", meaning)


_Z = "z = (log1p(size) - mean) / std over the ten {} levels"


def _walls() -> Columns:
    for side in SIDES:
        meaning = f"greatest {_Z.format(side)} (population std; 0 if all are equal)"
        yield _eob(f"wall_{side}_maxz", "z", "wall", meaning)
    for side in SIDES:
        meaning = f"first {side} level whose z is bar5s_wall_{side}_maxz_eob"
        yield _eob(f"wall_{side}_maxz_levelidx", "level", "wall", meaning, I32)
    for side in SIDES:
        meaning = f"|px - p| / point of the level in bar5s_wall_{side}_nearest_strong_levelidx_eob; null: none"
        yield _eob(f"wall_{side}_nearest_strong_dist_pts", "points", "wall", meaning)
    for side in SIDES:
        meaning = f"{side} level nearest the best with z >= 2, z as in bar5s_wall_{side}_maxz_eob; -1: none"
        yield _eob(f"wall_{side}_nearest_strong_levelidx", "level", "wall", meaning, I32)


def _columns() -> Columns:
    yield Column(
        "bar_ts", INSTANT, "ns UTC", "key", "start of the bar, floor(ts_event / 5 s) * 5 s"
    )
    yield Column("symbol", pl.String(), "id", "key", "outright contract")
    yield _eob(*STATE[0])
    yield _twa(*STATE[0])
    yield _eob("midprice", "price", "price", "(ask0 + bid0) / 2, midway between the best prices")
    yield from _messages()
    for state in STATE[1:]:
        yield _twa(*state)
        yield _eob(*state)
    yield from _ladder()
    yield from _shape()
    yield from _flow()
    yield from _trades()
    yield from _walls()


COLUMNS = tuple(_columns())
"""Every column, in order."""
