"""What lies on an edge is counted as on it, also where prices are no binary fractions.

Books are drawn in whole ticks, and what must come out is computed of these by fractions, exactly.
"""

import random
from collections.abc import Callable
from fractions import Fraction

import polars as pl
import pytest

import kernels
from kernels.features import BAND_EDGES, BANDS, BELOW_ABOVE, BOOK_COLUMNS, LEVELS, SIDES, schema
from kernels.instrument import PREMARKET_OPEN
from tests import oracle
from tests.compare import plain_rows
from tests.conftest import DAY

BOOKS_AROUND = {
    "0.01": (591_234, [11, 33, 99]),
    "0.1": (20_001, [1, 1, 2, 5]),
    "0.25": (23_801, [1, 1, 2, 4]),
    "1": (42_017, [1, 1, 2]),
}
"""By tick, in points: a price that books are around, and how far their levels are apart, in ticks."""

Ladders = dict[str, list[tuple[int, int]]]
"""Price in ticks and size of each level by side, best first."""


def book_of(rng: random.Random, base: int, strides: list[int]) -> Ladders:
    """A book, often balanced, so that the microprice lies on a tick or in the middle of two."""
    bid, best = base + rng.randint(-30, 30), rng.randint(1, 9)
    ask, stride = bid + rng.choice([1, 2, 2, 4]), rng.choice(strides)
    sizes = {side: [best, *rng.choices(range(1, 9), k=9)] for side in SIDES}
    if rng.random() < 0.3:
        sizes["ask"][0] = 3 * best
    return {
        side: [(start + out * stride * level, sizes[side][level]) for level in range(LEVELS)]
        for side, start, out in (("bid", bid, -1), ("ask", ask, 1))
    }


def microprice(book: Ladders) -> Fraction:
    """In ticks."""
    (bid, b), (ask, a) = book["bid"][0], book["ask"][0]
    return Fraction(ask * b + bid * a, a + b)


def sizes_in_bands(book: Ladders, tick: Fraction) -> dict[str, int]:
    """What `bar5s` has of the size in each band."""
    total = {f"bar5s_depth_{where}_{band}_qty_eob": 0 for where in BELOW_ABOVE for band in BANDS}
    for side, where, out in zip(SIDES, BELOW_ABOVE, (-1, 1), strict=True):
        for px, size in book[side]:
            distance = out * (px - microprice(book)) * tick
            band = next((b for b, e in zip(BANDS, BAND_EDGES, strict=True) if distance <= e), None)
            if band:
                total[f"bar5s_depth_{where}_{band}_qty_eob"] += size
    return total


def ticks_of(books: list[Ladders], tick: Fraction) -> pl.LazyFrame:
    """Clean ticks, a book every five seconds."""
    columns = {
        name: [book[side][level][place] for book in books]
        for side in SIDES
        for place, what in enumerate(("px", "sz"))
        for level, name in enumerate(BOOK_COLUMNS[f"{side}_{what}"])
    }
    prices = {
        name: [float(px * tick) for px in columns[name]] for name in columns if "_px_" in name
    }
    start = oracle.new_york_ns(DAY, PREMARKET_OPEN)
    times = [start + place * oracle.BAR_NS for place in range(len(books))]
    constant = {"symbol": "RTYM5", "action": "A", "side": "B", "price": None, "size": 0}
    return (
        pl.LazyFrame(columns | prices | {"ts_event": times})
        .with_columns(pl.lit(value).alias(name) for name, value in constant.items())
        .with_columns(
            pl.lit(0).alias(name)
            for name in schema("clean_ticks")
            if name not in {*columns, *constant, "ts_event"}
        )
        .select(pl.col(name).cast(dtype) for name, dtype in schema("clean_ticks").items())
    )


@pytest.mark.parametrize("twin", ["kernel", "oracle"])
@pytest.mark.parametrize("tick", BOOKS_AROUND)
def test_bands_hold_what_exact_arithmetic_puts_there(tick: str, twin: str) -> None:
    rng = random.Random(tick)
    base, strides = BOOKS_AROUND[tick]
    books = [book_of(rng, base, strides) for _ in range(2_000 if twin == "kernel" else 300)]
    expected = [sizes_in_bands(book, Fraction(tick)) for book in books]
    bars = made_by(twin)(ticks_of(books, Fraction(tick)))
    assert bars.select(expected[0].keys()).cast(pl.Int64).to_dicts() == expected
    assert any(
        out * (px - microprice(book)) * Fraction(tick) in BAND_EDGES
        for book in books
        for side, out in zip(SIDES, (-1, 1), strict=True)
        for px, _ in book[side]
    )


def made_by(twin: str) -> Callable[[pl.LazyFrame], pl.DataFrame]:
    """The bars of ticks, by the kernel or by its slow twin."""
    if twin == "kernel":
        return kernels.bar5s
    return lambda ticks: pl.DataFrame(
        oracle.bar5s(plain_rows(ticks.collect()), 1.0), infer_schema_length=None
    )
