"""Bars of random streams of ticks against the slow twin, and in batches of any size.

The first test also asserts that the cases it is there for did occur among its examples.
"""

import sys
from collections.abc import Iterator
from datetime import time
from itertools import combinations, pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import kernels
from kernels.end_of_bar import end_of_bar
from kernels.features import ACTION, BOOK_COLUMNS, STATE
from kernels.instrument import new_york
from tests import oracle
from tests.compare import assert_same, parquet_bytes, plain_rows
from tests.conftest import DAY, ticks_of
from tests.oracle import BANDS, BAR_NS, LEVELS, SIDES, TICK_LADDER, Book, State
from tests.random_books import GRIDS, tick_streams
from tests.seeded import SEEDED


def tick_cases(ticks: list[dict], bars: list[dict], point: float) -> Iterator[str]:
    """What is out of the ordinary in a stream of ticks and its bars."""
    yield f"point {point}"
    books = [oracle.read_book(tick, TICK_LADDER) for tick in ticks]
    two_sided = [oracle.is_two_sided(book) for book in books]
    if not two_sided[0]:
        yield "starts without a two-sided book"
    if not any(two_sided):
        yield "no two-sided book at all"
    for tick, book in zip(ticks, books, strict=True):
        yield from book_cases(tick, book)
    for before, after in pairwise(ticks):
        if before["ts_event"] == after["ts_event"]:
            yield "ticks of one instant"
    if any(tick["ts_event"] % BAR_NS == 0 for tick in ticks):
        yield "tick at a bar's start"
    yield from event_cases(ticks, books, point)
    for bar in bars:
        yield from bar_cases(bar)


def book_cases(tick: dict, book: Book) -> Iterator[str]:
    defined = {side: [level.px is not None for level in book[side]] for side in SIDES}
    count = [sum(defined[side]) for side in SIDES]
    if count == [0, 0]:
        yield "both sides empty"
    elif 0 in count:
        yield "one side empty"
    for side in SIDES:
        if 0 < sum(defined[side]) < 10:
            is_tail = defined[side] == sorted(defined[side], reverse=True)
            yield "tail missing" if is_tail else "level missing in the middle"
        if not defined[side][0] and any(defined[side]):
            yield "best level missing before others"
        if defined[side][0] and book[side][0].sz == 0:
            yield "best level of no size"
        for px, sz, _ in TICK_LADDER[side]:
            if tick[px] is None and tick[sz] > 0:
                yield "size without a price"


def event_cases(ticks: list[dict], books: list[Book], point: float) -> Iterator[str]:
    state: State = oracle.NO_STATE
    for tick, book in zip(ticks, books, strict=True):
        yield f"action {tick['action']} side {tick['side']}"
        side = oracle.EVENT_SIDE.get(tick["side"])
        if tick["action"] in oracle.FLOW_ACTIONS and side is not None:
            px, centre = tick["price"], state.values["microprice"]
            if px is None:
                yield "flow without a price"
            elif centre is None:
                yield "flow before the first two-sided book"
            else:
                band = oracle.band_of(side, px, centre, point)
                yield f"flow in band {band}"
                if abs(px - centre) / point in BANDS.values():
                    yield "flow at a band's edge"
                if px not in [level.px for level in book[side]]:
                    yield "flow outside the book"
        if oracle.is_two_sided(book):
            state = oracle.state_of(book, point)


def bar_cases(bar: dict) -> Iterator[str]:
    if bar["bar5s_microprice_eob"] is None:
        yield "bar before the first two-sided book"
        return
    if bar["bar5s_meta_msg_cnt_sum"] == 0:
        yield "bar without a tick"
    for side in SIDES:
        if bar[f"bar5s_wall_{side}_maxz_eob"] == 0:
            yield "equal sizes"
        if abs(bar[f"bar5s_wall_{side}_maxz_eob"] - 2) < 1e-9:
            yield "two equal walls"
        if bar[f"bar5s_wall_{side}_nearest_strong_levelidx_eob"] == -1:
            yield "no wall"
        if bar[f"bar5s_ladder_{side}_gap_max_pts_eob"] is None:
            yield "ladder of one level"


TICK_CASES = {
    *(f"point {grid.point}" for grid in GRIDS),
    *(f"action {action} side {side}" for action in ACTION.categories for side in "ABN"),
    *(f"flow in band {band}" for band in (*BANDS, None)),
    "bar before the first two-sided book",
    "bar without a tick",
    "best level missing before others",
    "best level of no size",
    "both sides empty",
    "equal sizes",
    "flow at a band's edge",
    "flow before the first two-sided book",
    "flow outside the book",
    "flow without a price",
    "ladder of one level",
    "level missing in the middle",
    "no two-sided book at all",
    "no wall",
    "one side empty",
    "size without a price",
    "starts without a two-sided book",
    "tail missing",
    "tick at a bar's start",
    "ticks of one instant",
    "two equal walls",
}


def test_bars_of_random_ticks_equal_the_slow_twins():
    seen: set[str] = set()

    @settings(SEEDED, max_examples=150)
    @given(tick_streams())
    def check(stream: tuple[pl.DataFrame, float]) -> None:
        ticks, point = stream
        rows = plain_rows(ticks)
        bars = oracle.bar5s(rows, point)
        assert_same(kernels.bar5s(ticks.lazy(), point), bars, "bar5s")
        seen.update(tick_cases(rows, bars, point))

    check()
    assert seen >= TICK_CASES, f"never occurred: {TICK_CASES - seen}"


def test_two_equal_walls_are_strong_however_z_is_rounded():
    """Every pair of levels, in sizes of which z comes out a little below 2 for some."""
    walls = [(at, size) for at in combinations(LEVELS, 2) for size in range(2, 13)]
    books = pl.DataFrame(
        {
            name: [size if what.endswith("sz") and level in at else 1 for at, size in walls]
            for what, names in BOOK_COLUMNS.items()
            for level, name in enumerate(names)
        }
    )
    bars = end_of_bar(books, 1.0)
    for side in SIDES:
        assert bars[f"bar5s_wall_{side}_maxz_eob"].min() < 2
        nearest = bars[f"bar5s_wall_{side}_nearest_strong_levelidx_eob"]
        assert nearest.to_list() == [at[0] for at, _ in walls]


def bars_of(ticks: pl.DataFrame, point: float, batch: int, threads: int) -> bytes:
    """The bars, as Parquet, when so many ticks are read at a time and divided among threads."""
    module = sys.modules["kernels.bar5s"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH", batch)
        patch.setattr(pl, "thread_pool_size", lambda: threads)
        return parquet_bytes(kernels.bar5s(ticks.lazy(), point))


@settings(SEEDED, max_examples=40)
@given(tick_streams(), st.integers(1, 12), st.integers(1, 4))
def test_bars_of_random_ticks_depend_on_neither_batch_nor_threads(stream, batch, threads):
    ticks, point = stream
    assert bars_of(ticks, point, batch, threads) == bars_of(ticks, point, 100_000, 1)


@pytest.mark.parametrize("batch", [7, 100, 511, 512, 513, 1024])
@pytest.mark.parametrize("threads", [1, 3, 7])
def test_bars_of_a_busy_hour_depend_on_neither_batch_nor_threads(busy_ticks, batch, threads):
    assert bars_of(busy_ticks, 1.0, batch, threads) == bars_of(busy_ticks, 1.0, 100_000, 1)


@pytest.mark.parametrize("size", [50, 5_000])
def test_ticks_out_of_order_are_refused(size, busy_ticks, monkeypatch):
    """Within a batch and from one to the next; they would make bars of nonsense."""
    monkeypatch.setattr(sys.modules["kernels.bar5s"], "BATCH", size)
    ticks = busy_ticks.lazy().collect().head(1_000)
    swapped = pl.concat([ticks[:500], ticks[550:600], ticks[500:550], ticks[600:]])
    with pytest.raises(
        kernels.UnusableDay, match="not in time order; materialise clean_ticks again"
    ):
        kernels.bar5s(swapped.lazy())


def test_bars_do_not_depend_on_how_many_follow(day_file):
    """Also where they are as many as the columns of a matrix that they come in."""
    ticks = ticks_of(day_file(50_000, False)).lazy()
    ticks = ticks.filter(pl.col("ts_event") >= new_york(DAY, time(9, 30))).head(2_000)
    bars, heights = kernels.bar5s(ticks), set()
    for end in bars["bar_ts"][1 : 2 * len(STATE)]:
        some = kernels.bar5s(ticks.filter(pl.col("ts_event") < end))
        assert_frame_equal(some, bars.head(some.height), check_exact=True)
        heights.add(some.height)
    assert len(STATE) in heights


@pytest.fixture(scope="module")
def busy_ticks(day_file) -> pl.DataFrame:
    """Enough ticks of a dirty day's open to fill several batches of any size tried."""
    ticks = ticks_of(day_file(15_000, True))
    opens = new_york(DAY, time(9, 25))
    return ticks.filter(pl.col("ts_event") >= opens).head(1_500)
