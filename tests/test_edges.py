"""What lies on an edge is counted as on it, also where prices are no binary fractions.

Books are drawn in whole ticks, and what must come out is computed of these by fractions, exactly.
"""

import math
import random
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kernels
from kernels.features import (
    BAND_EDGES,
    BANDS,
    BELOW_ABOVE,
    BOOK_COLUMNS,
    LEVELS,
    OUTCOME,
    SIDES,
    TABLES,
    schema,
)
from kernels.instrument import PREMARKET_OPEN
from tests import oracle
from tests.compare import plain_rows
from tests.conftest import DAY
from tests.random_walks import level_row

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
    """Clean ticks, a trade with its book every five seconds."""
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
    constant = {"symbol": "RTYM5", "action": "T", "side": "B", "price": None, "size": 1}
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


PLACES = [-30, -20, -10, -5, 0, 5, 10, 20, 30]
"""Where the price rests, in tenths of a point from the level: at every edge there is."""


def walk_of(rng: random.Random, base: int) -> list[Ladders]:
    """Books around a level at `base`, their microprice at places where it rests for a while."""
    books = []
    while len(books) < 6_000:
        place = rng.choice(PLACES)
        for _ in range(rng.choice([1, 2, 7, 30, 120])):
            best = rng.randint(1, 9)
            books.append(
                {
                    side: [(base + place + out * (1 + 2 * level), best) for level in range(LEVELS)]
                    for side, out in (("bid", -1), ("ask", 1))
                }
            )
    return books


TABLES_AROUND = ["level_episodes", "approach_features", "setup_vectors"]


class Tables(NamedTuple):
    """What is made of bars around one level."""

    episodes: pl.DataFrame
    approach: pl.DataFrame
    vectors: pl.DataFrame


def around(books: list[Ladders], level: float, tick: Fraction) -> Tables:
    """The tables of books whose prices are whole numbers of a tick, of which ten are a point."""
    point = float(10 * tick)
    bars = kernels.bar5s(ticks_of(books, tick), point)
    level = level_row("PM_HIGH", level, bars["bar_ts"][0])
    levels = pl.DataFrame([level], schema=schema("session_levels"))
    episodes = kernels.level_episodes(bars, levels, DAY, point)
    approach = kernels.approach_features(episodes, point)
    return Tables(episodes, approach, kernels.setup_vectors(approach))


@pytest.mark.parametrize("off", [-math.inf, math.inf], ids=["below", "above"])
def test_what_is_made_around_a_level_is_that_of_whole_numbers(off: float) -> None:
    """Prices in ticks, a point being ten, are exact; prices in points, to a tenth, are not.

    A level is a microprice, whose last digit is off a little more.
    """
    base = BOOKS_AROUND["0.1"][0]
    books = walk_of(random.Random(0), base)
    tenths = around(books, math.nextafter(base / 10, off), Fraction(1, 10))
    whole = around(books, base, Fraction(1))
    assert tenths.vectors.height > 20
    assert tenths.vectors["outcome"].n_unique() == len(OUTCOME.categories)
    for name, got, expected in zip(TABLES_AROUND, tenths, whole, strict=True):
        prices = [column.name for column in TABLES[name] if column.unit == "price"]
        expected = expected.with_columns(pl.col(prices) / 10)
        assert_frame_equal(got, expected, rel_tol=1e-9, abs_tol=1e-9)
