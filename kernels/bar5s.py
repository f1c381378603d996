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
from kernels.book import Book, band_of, book_state, is_two_sided
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
_BLOCK = 512
_BATCH = 131_072

ADD, CANCEL, MODIFY, CLEAR, TRADE = (ACTION.categories.to_list().index(a) for a in "ACMRT")
ASK, BID = (SIDE.categories.to_list().index(side) for side in "AB")

_SUMS = (
    *(f"meta_{kind}_cnt_sum" for kind in MESSAGE_COUNTS),
    *(f"trade_{kind}_sum" for kind in TRADE_SUMS),
    *(f"flow_{kind}_{side}_{band}_sum" for side, band, kind in product(SIDES, BANDS, FLOW_SUMS)),
)
"""What the tick loop sums up, in the order of the columns of `Bars.sums`."""
_MSG_CNT, _CLEAR_CNT, _ADD_CNT, _CANCEL_CNT, _MODIFY_CNT, _TRADE_CNT = range(6)
_TRADES, _VOLUME, _BUY, _SELL, _FLOW = range(6, 11)
_ADDED, _REMOVED, _ADDS, _CANCELS, _MODIFIES = range(5)

_NAN_FOR_NULL = pl.selectors.float().fill_null(float("nan"))
_TICK_COLUMNS = ["ts_event", "action", "side", "price", "size"]


class Ticks(NamedTuple):
    """A batch of n ticks beside their `Book`: ts int64 ns, codes uint8, price float64, size uint32."""

    ts: np.ndarray
    action: np.ndarray
    side: np.ndarray
    price: np.ndarray
    size: np.ndarray


class Bars(NamedTuple):
    """What the tick loop gives for each of n bars.

    twa: (n, N_STATE) float64 time-weighted averages, NaN before the first two-sided book.
    sums: (n, len(_SUMS)) float64.
    book_row: (n,) int64 row, in the present batch, of the bar's last two-sided book; -1 if none.
    """

    twa: np.ndarray
    sums: np.ndarray
    book_row: np.ndarray


class Walk(NamedTuple):
    """What the tick loop carries from tick to tick and from batch to batch.

    state: (N_STATE, _BLOCK + 1) float64; column 0 is the state that holds as a block begins.
    integral: (N_STATE,) float64, ns x value, of the open bar.
    clock: int64 [open bar, ns up to which it is integrated, ns since when a state exists in it];
        the last two -1 before the first two-sided book.
    last_px, last_sz: (2, LEVELS) float64, the previous tick's book, bids then asks.
    """

    state: np.ndarray
    integral: np.ndarray
    clock: np.ndarray
    last_px: np.ndarray
    last_sz: np.ndarray


@njit(cache=True, nogil=True)
def _integrate(walk, column, until) -> None:
    """Let the state in `column` hold from the walk's clock until `until` (ns)."""
    held = float(until - walk.clock[1])
    if held > 0.0:
        for k in range(walk.integral.size):
            walk.integral[k] += held * walk.state[k, column]
    walk.clock[1] = until


@njit(cache=True, nogil=True)
def _close_bar(walk, column, first_bar, next_bar, bars) -> None:
    """Write the open bar's averages and those of the empty bars up to `next_bar`, and open that."""
    if walk.clock[1] >= 0:
        bar = walk.clock[0]
        end = (first_bar + bar + 1) * BAR_NS
        _integrate(walk, column, end)
        for k in range(walk.integral.size):
            bars.twa[bar, k] = walk.integral[k] / (end - walk.clock[2])
            walk.integral[k] = 0.0
        for empty in range(bar + 1, next_bar):
            bars.twa[empty] = walk.state[:, column]
        walk.clock[1] = walk.clock[2] = (first_bar + next_bar) * BAR_NS
    walk.clock[0] = next_bar


@njit(cache=True, nogil=True)
def _size_at_price(px, sz, ticks, start, stop, lag, code, size) -> None:
    """Size at each event's price in the book `lag` ticks before, for events of side `code`.

    Added to `size`, whose entry i belongs to tick start + i.
    """
    first = max(start, lag)
    price, side, out = ticks.price[first:stop], ticks.side[first:stop], size[first - start :]
    for level_px, level_sz in zip(px, sz):
        book_px, book_sz = level_px[first - lag : stop - lag], level_sz[first - lag : stop - lag]
        for i in range(price.size):
            matches = (book_px[i] == price[i]) & (side[i] == code)
            out[i] += float(book_sz[i]) if matches else 0.0


@njit(cache=True, nogil=True)
def _size_changes(book, ticks, walk, start, stop, change) -> None:
    """By how much each event changed the size at its price on its side, into `change`."""
    count = stop - start
    before = np.zeros(count)
    change[:count] = 0.0
    _size_at_price(book.bid_px, book.bid_sz, ticks, start, stop, 0, BID, change[:count])
    _size_at_price(book.ask_px, book.ask_sz, ticks, start, stop, 0, ASK, change[:count])
    _size_at_price(book.bid_px, book.bid_sz, ticks, start, stop, 1, BID, before)
    _size_at_price(book.ask_px, book.ask_sz, ticks, start, stop, 1, ASK, before)
    if start == 0 and ticks.side[0] in (ASK, BID):
        side = 0 if ticks.side[0] == BID else 1
        for level in range(LEVELS):
            if walk.last_px[side, level] == ticks.price[0]:
                before[0] += walk.last_sz[side, level]
    for i in range(count):
        change[i] -= before[i]


@njit(cache=True, nogil=True)
def _remember_book(book, row, walk) -> None:
    """Keep a batch's last book for the first tick of the next."""
    level = 0
    for bid_px, ask_px, bid_sz, ask_sz in zip(book.bid_px, book.ask_px, book.bid_sz, book.ask_sz):
        walk.last_px[0, level], walk.last_px[1, level] = bid_px[row], ask_px[row]
        walk.last_sz[0, level], walk.last_sz[1, level] = bid_sz[row], ask_sz[row]
        level += 1


@njit(cache=True, nogil=True)
def _count(tick_action, tick_side, tick_size, sums) -> None:
    """Message counts and trade sums of one tick."""
    sums[_MSG_CNT] += 1.0
    sums[_CLEAR_CNT] += tick_action == CLEAR
    sums[_ADD_CNT] += tick_action == ADD
    sums[_CANCEL_CNT] += tick_action == CANCEL
    sums[_MODIFY_CNT] += tick_action == MODIFY
    if tick_action == TRADE:
        sums[_TRADE_CNT] += 1.0
        sums[_TRADES] += 1.0
        sums[_VOLUME] += tick_size
        sums[_BUY] += tick_size if tick_side == BID else 0.0
        sums[_SELL] += tick_size if tick_side == ASK else 0.0


@njit(cache=True, nogil=True)
def _flow(tick_action, is_bid, band, change, sums) -> None:
    """Order flow of one add, cancel or modify in a band of the microprice before it."""
    at = _FLOW + (band if is_bid else band + bk.N_BANDS) * len(FLOW_SUMS)
    sums[at + _ADDED] += max(change, 0.0)
    sums[at + _REMOVED] += max(-change, 0.0)
    sums[at + _ADDS] += tick_action == ADD
    sums[at + _CANCELS] += tick_action == CANCEL
    sums[at + _MODIFIES] += tick_action == MODIFY


@njit(cache=True, nogil=True)
def _walk_block(ticks, book, start, stop, point, first_bar, walk, change, bars) -> None:
    """The ticks of one block, in order: states held over time, counts, trades and flow."""
    hold = 0
    for tick in range(start, stop):
        bar = ticks.ts[tick] // BAR_NS - first_bar
        if bar != walk.clock[0]:
            _close_bar(walk, hold, first_bar, bar, bars)
        action, side, price = ticks.action[tick], ticks.side[tick], ticks.price[tick]
        sums = bars.sums[bar]
        _count(action, side, float(ticks.size[tick]), sums)
        is_flow = (action == ADD) | (action == CANCEL) | (action == MODIFY)
        if is_flow and side <= BID and price == price and walk.clock[1] >= 0:
            from_microprice = walk.state[bk.MICROPRICE, hold] - price
            band = band_of(from_microprice if side == BID else -from_microprice, point)
            if band < bk.N_BANDS:
                _flow(action, side == BID, band, change[tick - start], sums)
        if is_two_sided(
            book.bid_px[0][tick], book.ask_px[0][tick], book.bid_sz[0][tick], book.ask_sz[0][tick]
        ):
            if walk.clock[1] < 0:
                walk.clock[1] = walk.clock[2] = ticks.ts[tick]
            _integrate(walk, hold, ticks.ts[tick])
            hold = tick - start + 1
            bars.book_row[bar] = tick
    walk.state[:, 0] = walk.state[:, hold]


@njit(cache=True, nogil=True)
def _walk_batch(ticks, book, point, first_bar, walk, bars) -> None:
    """One batch of ticks into the bars; `walk` carries over to the next batch."""
    change = np.empty(_BLOCK)
    for start in range(0, ticks.ts.size, _BLOCK):
        stop = min(start + _BLOCK, ticks.ts.size)
        book_state(book, start, stop, point, walk.state[:, 1 : stop - start + 1])
        _size_changes(book, ticks, walk, start, stop, change)
        _walk_block(ticks, book, start, stop, point, first_bar, walk, change, bars)
    _remember_book(book, ticks.ts.size - 1, walk)


def _read_batch(batch: pl.DataFrame) -> tuple[Ticks, Book]:
    """NumPy views of a batch's columns; the frame holds NaN for undefined prices."""
    batch = batch.rechunk()

    def column(name: str) -> np.ndarray:
        array = batch[name].to_physical().to_numpy(allow_copy=False)
        array.flags.writeable = False
        return array

    book = Book(*(tuple(column(name) for name in BOOK_COLUMNS[what]) for what in Book._fields))
    return Ticks(*(column(name) for name in _TICK_COLUMNS)), book


def _walk_day(
    ticks: pl.LazyFrame, point: float, first_bar: int, n_bars: int
) -> tuple[Bars, pl.DataFrame]:
    """All batches through the tick loop: the bars' sums and averages, and each bar's last book."""
    bars = Bars(
        np.full((n_bars, bk.N_STATE), np.nan),
        np.zeros((n_bars, len(_SUMS))),
        np.full(n_bars, -1),
    )
    walk = Walk(
        np.full((bk.N_STATE, _BLOCK + 1), np.nan),
        np.zeros(bk.N_STATE),
        np.array([0, -1, -1]),
        np.full((len(SIDES), LEVELS), np.nan),
        np.zeros((len(SIDES), LEVELS)),
    )
    columns = [*_TICK_COLUMNS, *(name for names in BOOK_COLUMNS.values() for name in names)]
    books = []
    for batch in (
        ticks.select(columns).with_columns(_NAN_FOR_NULL).collect_batches(chunk_size=_BATCH)
    ):
        _walk_batch(*_read_batch(batch), point, first_bar, walk, bars)
        updated = np.flatnonzero(bars.book_row >= 0)
        books.append(batch[bars.book_row[updated]].with_columns(bar=pl.Series(updated)))
        bars.book_row[updated] = -1
    _close_bar(walk, 0, first_bar, n_bars, bars)
    grid = pl.DataFrame({"bar": np.arange(n_bars)})
    books = pl.concat(books).unique("bar", keep="last", maintain_order=True)
    return bars, grid.join_asof(books, on="bar").select(pl.col(columns[5:]).fill_nan(None))


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
        .hstack(end_of_bar(books, point))
        .with_columns(_net_flow())
        .with_columns(_normalised_flow())
        .with_columns(
            bar5s_trade_signed_vol_sum=pl.col("bar5s_trade_aggbuy_vol_sum")
            - pl.col("bar5s_trade_aggsell_vol_sum")
        ),
        "bar5s",
    )


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
