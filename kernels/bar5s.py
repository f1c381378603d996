"""Ticks to 5-second bars: one pass over the day, in bounded memory.

The tick loop keeps a state from batch to batch: the book that holds now, the time up to which it
has been integrated, the bar that is open. Everything that is a function of a bar's sums or of its
last book is computed afterwards, once a bar.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl
from numba import njit

from kernels import book as bk
from kernels.book import Book, band_of, book_state, is_two_sided, microprice, primitive, size_change
from kernels.end_of_bar import end_of_bar
from kernels.features import (
    ACTION,
    BANDS,
    BELOW_ABOVE,
    BOOK_COLUMNS,
    FLOW_SUMS,
    LEVELS,
    MESSAGE_COUNTS,
    SIDE,
    SIDES,
    STATE,
    TRADE_SUMS,
    conform,
    schema,
)

BAR_NS = 5_000_000_000
_BLOCK = 519
_BATCH = 131_072

ADD, CANCEL, MODIFY, CLEAR, TRADE = (ACTION.categories.to_list().index(a) for a in "ACMRT")
ASK, BID = (SIDE.categories.to_list().index(side) for side in "AB")

_SUMS = (
    *(f"meta_{kind}_cnt_sum" for kind in MESSAGE_COUNTS),
    *(f"trade_{kind}_sum" for kind in TRADE_SUMS),
)
"""Columns of `Bars.sums`."""
_MSG_CNT, _CLEAR_CNT, _ADD_CNT, _CANCEL_CNT, _MODIFY_CNT, _TRADE_CNT = range(6)
_TRADES, _VOLUME, _BUY, _SELL = range(6, 10)
_ADDED, _REMOVED, _ADDS, _CANCELS, _MODIFIES = range(5)

_NAN_FOR_NULL = pl.selectors.float().fill_null(float("nan"))
_TICK_COLUMNS = ["ts_event", "action", "side", "depth", "price", "size"]


class Ticks(NamedTuple):
    """A batch of n ticks beside their `Book`: ts int64 ns, codes and depth uint8, price float64, size uint32."""

    ts: np.ndarray
    action: np.ndarray
    side: np.ndarray
    depth: np.ndarray
    price: np.ndarray
    size: np.ndarray


class Bars(NamedTuple):
    """What the tick loop gives for each of n bars.

    twa: (n, N_STATE) float64 time-weighted averages, NaN before the first two-sided book.
    sums: (n, len(_SUMS)) float64.
    bid_flow, ask_flow: (n, N_BANDS * len(FLOW_SUMS)) float64, by band and kind.
    book_row: (n,) int64 row, in the present batch, of the bar's last two-sided book; -1 if none.
    """

    twa: np.ndarray
    sums: np.ndarray
    bid_flow: np.ndarray
    ask_flow: np.ndarray
    book_row: np.ndarray


class BookColumns(NamedTuple):
    """The books of a batch as they come: ten float64 (price) or uint32 (size) arrays a field."""

    bid_px: tuple[np.ndarray, ...]
    ask_px: tuple[np.ndarray, ...]
    bid_sz: tuple[np.ndarray, ...]
    ask_sz: tuple[np.ndarray, ...]


class Walk(NamedTuple):
    """What the tick loop carries from block to block.

    book: `Book` of _BLOCK + 1 columns, the block at hand; column 0 is the tick before it.
    before: (_BLOCK,) float64, microprice of the state as each tick of the block arrives, or NaN.
    state: (N_STATE,) float64, the features of the book that holds; microprice always up to date.
    integral: (N_STATE,) float64, ns x value over the open bar.
    clock: (5,) int64: open bar; ns up to which it is integrated, -1 before the first two-sided
        book; ns since when a state exists in it; column of the held book if `state` awaits it,
        or -1; column of the block's last book.
    """

    book: Book
    before: np.ndarray
    state: np.ndarray
    integral: np.ndarray
    clock: np.ndarray


_BAR, _NOW, _SINCE, _PENDING, _LAST = range(5)


@primitive
def _settle(walk, point) -> None:
    """Work out the state of the held book, if that is still to do."""
    if walk.clock[_PENDING] >= 0:
        book_state(walk.book, walk.clock[_PENDING], point, walk.state)
        walk.clock[_PENDING] = -1


@primitive
def _accumulate(weight, x, total) -> None:
    for k in range(x.size):
        total[k] += weight * x[k]


@primitive
def _hold(walk, point, until) -> None:
    """Let the held book's state last until `until` (ns), working it out if it does last."""
    held = until - walk.clock[_NOW]
    if held > 0:
        _settle(walk, point)
        _accumulate(float(held), walk.state, walk.integral)
        walk.clock[_NOW] = until


@njit(cache=True, nogil=True, error_model="numpy")
def _close_bar(walk, point, first_bar, next_bar, bars) -> None:
    """Write the averages of the open bar and of the empty ones up to `next_bar`, and open that."""
    if walk.clock[_NOW] >= 0:
        bar = walk.clock[_BAR]
        end = (first_bar + bar + 1) * BAR_NS
        _hold(walk, point, end)
        bars.twa[bar] = walk.integral / (end - walk.clock[_SINCE])
        walk.integral[:] = 0.0
        for empty in range(bar + 1, next_bar):
            bars.twa[empty] = walk.state
        walk.clock[_NOW] = walk.clock[_SINCE] = (first_bar + next_bar) * BAR_NS
    walk.clock[_BAR] = next_bar


@primitive
def _copy_level(px, sz, last, px_to, sz_to) -> None:
    px_to[0], sz_to[0] = px_to[last], sz_to[last]
    room_px, room_sz = px_to[1:], sz_to[1:]
    for i in range(px.size):
        room_px[i] = px[i]
        room_sz[i] = float(sz[i]) if px[i] == px[i] else 0.0


@njit(cache=True, nogil=True)
def _next_block(columns, start, stop, walk) -> None:
    """Books start to stop of a batch into the walk's block, after the last book of the one before."""
    book, last, level = walk.book, walk.clock[_LAST], 0
    for bid_px, bid_sz, ask_px, ask_sz in zip(  # noqa: B905 - Numba has no strict
        columns.bid_px, columns.bid_sz, columns.ask_px, columns.ask_sz
    ):
        _copy_level(
            bid_px[start:stop], bid_sz[start:stop], last, book.bid_px[level], book.bid_sz[level]
        )
        _copy_level(
            ask_px[start:stop], ask_sz[start:stop], last, book.ask_px[level], book.ask_sz[level]
        )
        level += 1
    walk.clock[_LAST] = stop - start


@njit(cache=True, nogil=True, error_model="numpy")
def _hold_books(ts, start, point, first_bar, walk, bars) -> None:
    """Let each two-sided book of the block hold until the next; ts (ns) from row `start`."""
    for i in range(ts.size):
        bar = ts[i] // BAR_NS - first_bar
        if bar != walk.clock[_BAR]:
            _close_bar(walk, point, first_bar, bar, bars)
        walk.before[i] = walk.state[bk.MICROPRICE]
        if is_two_sided(walk.book, i + 1):
            if walk.clock[_NOW] < 0:
                walk.clock[_NOW] = walk.clock[_SINCE] = ts[i]
            _hold(walk, point, ts[i])
            walk.state[bk.MICROPRICE] = microprice(walk.book, i + 1)
            walk.clock[_PENDING] = i + 1
            bars.book_row[bar] = start + i
    _settle(walk, point)


@njit(cache=True, nogil=True)
def _count(ts, action, side, size, first_bar, sums) -> None:
    """Message counts and trade sums of the block's ticks."""
    for i in range(ts.size):
        row = sums[ts[i] // BAR_NS - first_bar]
        row[_MSG_CNT] += 1.0
        if action[i] == TRADE:
            row[_TRADE_CNT] += 1.0
            row[_TRADES] += 1.0
            row[_VOLUME] += size[i]
            row[_BUY] += size[i] if side[i] == BID else 0
            row[_SELL] += size[i] if side[i] == ASK else 0
        else:
            row[_CLEAR_CNT] += action[i] == CLEAR
            row[_ADD_CNT] += action[i] == ADD
            row[_CANCEL_CNT] += action[i] == CANCEL
            row[_MODIFY_CNT] += action[i] == MODIFY


@njit(cache=True, nogil=True)
def _side_flow(
    ts, action, side, price, depth, code, px, sz, point, first_bar, before, flow
) -> None:
    """Order flow of the block's adds, cancels and modifies on one side.

    code: `BID` or `ASK`; px, sz the side's levels; before the microprice as each tick arrives;
    flow: (n, N_BANDS * len(FLOW_SUMS)) float64, the side's sums by bar.
    """
    outward = 1.0 if code == BID else -1.0
    for i in range(ts.size):
        is_flow = (action[i] == ADD) | (action[i] == CANCEL) | (action[i] == MODIFY)
        if not is_flow or side[i] != code:
            continue
        band = band_of(outward * (before[i] - price[i]), point)
        if band == bk.N_BANDS:
            continue
        change = size_change(px, sz, i + 1, depth[i], price[i])
        row, at = flow[ts[i] // BAR_NS - first_bar], band * len(FLOW_SUMS)
        row[at + _ADDED] += max(change, 0.0)
        row[at + _REMOVED] += max(-change, 0.0)
        row[at + _ADDS] += action[i] == ADD
        row[at + _CANCELS] += action[i] == CANCEL
        row[at + _MODIFIES] += action[i] == MODIFY


@njit(cache=True, nogil=True)
def _walk_batch(ticks, columns, point, first_bar, walk, bars) -> None:
    """The ticks of one batch, block by block; `walk` carries over to the next batch."""
    for start in range(0, ticks.ts.size, _BLOCK):
        stop = min(start + _BLOCK, ticks.ts.size)
        ts, action, side = ticks.ts[start:stop], ticks.action[start:stop], ticks.side[start:stop]
        price, depth = ticks.price[start:stop], ticks.depth[start:stop]
        _next_block(columns, start, stop, walk)
        _hold_books(ts, start, point, first_bar, walk, bars)
        _count(ts, action, side, ticks.size[start:stop], first_bar, bars.sums)
        _side_flow(
            ts,
            action,
            side,
            price,
            depth,
            BID,
            walk.book.bid_px,
            walk.book.bid_sz,
            point,
            first_bar,
            walk.before,
            bars.bid_flow,
        )
        _side_flow(
            ts,
            action,
            side,
            price,
            depth,
            ASK,
            walk.book.ask_px,
            walk.book.ask_sz,
            point,
            first_bar,
            walk.before,
            bars.ask_flow,
        )


def _read_batch(batch: pl.DataFrame) -> tuple[Ticks, BookColumns]:
    """NumPy views of a batch's columns; the frame holds NaN for undefined prices."""
    batch = batch.rechunk()

    def column(name: str) -> np.ndarray:
        array = batch[name].to_physical().to_numpy(allow_copy=False)
        array.flags.writeable = False
        return array

    fields = BookColumns._fields
    book = BookColumns(*(tuple(column(name) for name in BOOK_COLUMNS[what]) for what in fields))
    return Ticks(*(column(name) for name in _TICK_COLUMNS)), book


def _new_walk() -> Walk:
    nothing, no_size = np.full((LEVELS, _BLOCK + 1), np.nan), np.zeros((LEVELS, _BLOCK + 1))
    book = Book(nothing, nothing.copy(), no_size, no_size.copy())
    state, integral = np.full(bk.N_STATE, np.nan), np.zeros(bk.N_STATE)
    return Walk(book, np.empty(_BLOCK), state, integral, np.array([0, -1, -1, -1, 0]))


def _walk_day(
    ticks: pl.LazyFrame, point: float, first_bar: int, n_bars: int
) -> tuple[Bars, pl.DataFrame]:
    """All batches through the tick loop: the bars' sums and averages, and each bar's last book."""
    bars = Bars(
        np.full((n_bars, bk.N_STATE), np.nan),
        np.zeros((n_bars, len(_SUMS))),
        *np.zeros((len(SIDES), n_bars, bk.N_BANDS * len(FLOW_SUMS))),
        np.full(n_bars, -1),
    )
    walk = _new_walk()
    columns = [*_TICK_COLUMNS, *(name for names in BOOK_COLUMNS.values() for name in names)]
    books = []
    for batch in (
        ticks.select(columns).with_columns(_NAN_FOR_NULL).collect_batches(chunk_size=_BATCH)
    ):
        _walk_batch(*_read_batch(batch), point, first_bar, walk, bars)
        updated = np.flatnonzero(bars.book_row >= 0)
        books.append(batch[bars.book_row[updated]].with_columns(bar=pl.Series(updated)))
        bars.book_row[updated] = -1
    _close_bar(walk, point, first_bar, n_bars, bars)
    grid = pl.DataFrame({"bar": np.arange(n_bars)})
    books = pl.concat(books).unique("bar", keep="last", maintain_order=True)
    return bars, grid.join_asof(books, on="bar").select(
        pl.col(columns[len(_TICK_COLUMNS) :]).fill_nan(None)
    )


def bar5s(ticks: pl.LazyFrame, point: float = 1.0) -> pl.DataFrame:
    """5-second bars of one day's clean ticks: 256 features a bar, a gapless grid.

    Args:
        ticks: `clean_ticks`, sorted by (ts_event, sequence); read in batches, so memory does not
            grow with the day.
        point: price of one point, in price units.

    Returns:
        Table `bar5s`, one row a bar from the first tick's to the last tick's; no row for no tick.
    """
    first, last, symbol = (
        ticks.select(
            pl.col("ts_event").first().to_physical() // BAR_NS,
            pl.col("ts_event").last().to_physical().alias("last") // BAR_NS,
            pl.col("symbol").first(),
        )
        .collect()
        .row(0)
    )
    if first is None:
        return pl.DataFrame(schema=schema("bar5s"))
    bars, books = _walk_day(ticks, point, first, last - first + 1)
    return conform(
        pl.select(
            bar_ts=(pl.int_range(first, last + 1, dtype=pl.Int64) * BAR_NS).cast(
                pl.Datetime("ns", "UTC")
            ),
            symbol=pl.lit(symbol),
        )
        .hstack(pl.from_numpy(bars.twa, [f"bar5s_{stem}_twa" for stem, *_ in STATE]).fill_nan(None))
        .hstack(pl.from_numpy(bars.sums, [f"bar5s_{name}" for name in _SUMS]))
        .hstack(pl.from_numpy(bars.bid_flow, _flow_names("bid")))
        .hstack(pl.from_numpy(bars.ask_flow, _flow_names("ask")))
        .hstack(end_of_bar(books, point))
        .with_columns(_net_flow())
        .with_columns(_normalised_flow())
        .with_columns(
            bar5s_trade_signed_vol_sum=pl.col("bar5s_trade_aggbuy_vol_sum")
            - pl.col("bar5s_trade_aggsell_vol_sum")
        ),
        "bar5s",
    )


def _flow_names(side: str) -> list[str]:
    return [f"bar5s_flow_{kind}_{side}_{band}_sum" for band, kind in product(BANDS, FLOW_SUMS)]


def _net_flow() -> Iterator[pl.Expr]:
    for side, band in product(SIDES, BANDS):
        added, removed = (
            pl.col(f"bar5s_flow_{what}_vol_{side}_{band}_sum") for what in ("add", "rem")
        )
        yield (added - removed).alias(f"bar5s_flow_net_vol_{side}_{band}_sum")


def _normalised_flow() -> Iterator[pl.Expr]:
    """Net flow over the band's average size on that side, at least one contract."""
    for (side, where), band in product(zip(SIDES, BELOW_ABOVE, strict=True), BANDS):
        net = pl.col(f"bar5s_flow_net_vol_{side}_{band}_sum")
        size = pl.col(f"bar5s_depth_{where}_{band}_qty_twa").clip(lower_bound=1).fill_null(1)
        yield (net / size).alias(f"bar5s_flow_net_volnorm_{side}_{band}_sum")
