"""Random streams of ticks: books that follow one another in any order."""

from datetime import time
from itertools import accumulate
from typing import NamedTuple

import polars as pl
from hypothesis import strategies as st

from kernels.features import ACTION, schema
from tests import oracle
from tests.conftest import DAY
from tests.oracle import BAR_NS, LEVELS, SIDES, TICK_LADDER

MIDNIGHT_NS = oracle.new_york_ns(DAY, time())
PRICE_UNITS = 1_000_000_000


class Grid(NamedTuple):
    """Prices of an instrument: k ticks from a base, in 1e-9; books are built in strides of ticks."""

    point: float
    tick: int
    stride: int
    base: int = 595_013

    def price(self, ticks: int) -> float:
        return (self.base + ticks) * self.tick / PRICE_UNITS


GRIDS = [
    Grid(1.0, 250_000_000, stride=1),
    Grid(1.0, 10_000_000, stride=25),
    Grid(0.25, 250_000_000, stride=1),
    Grid(0.25, 10_000_000, stride=5),
    Grid(10.0, 2_500_000_000, stride=1),
    Grid(10.0, 10_000_000, stride=250),
]
"""Points of 1 and others, ticks that binary fractions can and cannot express."""

TAIL, ALONE, ALL = "tail", "alone", "all"
SIZES = st.sampled_from([0, 1, 1, 2, 3, 5, 5, 20, 900, 3_000_000_000])
"""Two of the largest are more than 32 bits hold."""
PAUSES_NS = st.sampled_from(
    [0, 0, 0, 1, 999, 700_000_000, 2_500_000_000, BAR_NS, 130 * BAR_NS // 5]
)
FIRST_TS = st.sampled_from([0, 1, 2_500_000_000, BAR_NS - 1])


@st.composite
def ladder_sizes(draw: st.DrawFn) -> list[int]:
    """Ten sizes: any, all the same, or one or two walls among equals (two have z = 2 exactly)."""
    walls = draw(st.sampled_from([None, None, None, 0, 1, 2]))
    if walls is None:
        return draw(st.lists(SIZES, min_size=10, max_size=10))
    at = draw(st.sets(st.integers(0, 9), min_size=walls, max_size=walls))
    usual = draw(st.sampled_from([1, 4, 4, 4, 30]))
    return [usual * 8 + 9 if level in at else usual for level in LEVELS]


@st.composite
def ladders(draw: st.DrawFn, stride: int, best: int, outward: int) -> list[tuple]:
    """Ten levels (ticks or None, size, count), best first, from a best price outwards."""
    gap = st.sampled_from([1, stride, stride, stride, 2 * stride, 4 * stride, 9 * stride])
    gaps = draw(st.lists(gap, min_size=9, max_size=9))
    prices: list[int | None] = list(accumulate((outward * g for g in gaps), initial=best))
    missing = draw(st.sampled_from([None, None, None, None, TAIL, ALONE, ALL]))
    first = draw(st.sampled_from([0, 0, 1, 1, 2, 5, 9]))
    if missing is not None:
        gone = {TAIL: range(first, 10), ALONE: [first], ALL: LEVELS}[missing]
        prices = [None if level in gone else px for level, px in enumerate(prices)]
    return list(zip(prices, draw(ladder_sizes()), draw(ladder_sizes()), strict=True))


@st.composite
def books(draw: st.DrawFn, stride: int) -> dict[str, list[tuple]]:
    """A book whose best bid is below its best ask; any of its levels may be missing."""
    bid = draw(st.integers(-6, 6)) * stride
    ask = bid + draw(st.sampled_from([1, stride, 2 * stride, 2 * stride, 8 * stride, 30 * stride]))
    return {"bid": draw(ladders(stride, bid, -1)), "ask": draw(ladders(stride, ask, 1))}


@st.composite
def tick_streams(draw: st.DrawFn) -> tuple[pl.DataFrame, float]:
    """Clean ticks and their point: a few books that follow one another in any order."""
    grid = draw(st.sampled_from(GRIDS))
    pool = draw(st.lists(books(grid.stride), min_size=1, max_size=5))
    places = [px for book in pool for side in SIDES for px, *_ in book[side] if px is not None]
    event_price = st.one_of(
        *([st.sampled_from(places)] * 2 if places else []),
        *(st.integers(-far, far).map(lambda k: k * grid.stride) for far in (5, 14, 60)),
        st.none(),
    )
    event = st.tuples(
        PAUSES_NS,
        st.sampled_from([*"AACCMMT", *ACTION.categories]),
        st.sampled_from("AABBN"),
        event_price,
        st.integers(0, 50),
        st.sampled_from([0, 1, 2, 5, 9, 10, 255]),
        st.sampled_from(pool),
    )
    length = draw(st.integers(1, 40))
    events = draw(st.lists(event, min_size=length, max_size=length))
    ts = MIDNIGHT_NS + draw(FIRST_TS)
    rows = []
    for sequence, (pause, action, side, px, size, depth, book) in enumerate(events):
        ts += pause
        row = dict.fromkeys(schema("clean_ticks"), 0) | {"is_bad_ts": False, "is_bad_book": False}
        row |= {"is_last": True, "is_snapshot": False, "symbol": "ESM5", "sequence": sequence}
        row |= {"ts_event": ts, "ts_recv": ts, "action": action, "side": side, "size": size}
        row |= {"depth": depth, "price": None if px is None else grid.price(px)}
        for ladder_side in SIDES:
            for names, (level_px, *counts) in zip(
                TICK_LADDER[ladder_side], book[ladder_side], strict=True
            ):
                price = None if level_px is None else grid.price(level_px)
                row |= zip(names, (price, *counts), strict=True)
        rows.append(row)
    return pl.DataFrame(rows, schema=schema("clean_ticks")), grid.point
