"""The loop over a day's ticks, in tiles: what holds is integrated over time, what happens is counted.

From tile to tile a `Walk` carries the book that holds, the time up to which it has been integrated
and the open bar. No value depends on where tiles or batches begin.
"""

from typing import NamedTuple

import numpy as np

from kernels.book import (
    ASK,
    BID,
    N_BANDS,
    N_STATE,
    Book,
    band_of,
    book_states,
    is_two_sided,
    kernel,
    microprices,
    size_change,
)
from kernels.features import ACTION, FLOW_SUMS, LEVELS, SIDE

BAR_NS = 5_000_000_000
TILE = 512

ADD, CANCEL, MODIFY, CLEAR, TRADE = (ACTION.categories.to_list().index(a) for a in "ACMRT")
_ADDED, _REMOVED, _FIRST_COUNT = range(3)
"""Places in a band's flow sums; the counts of adds, cancels and modifies follow by action code."""

_LANES = 4
_ROWS = -(-N_STATE // _LANES) * _LANES


class Ticks(NamedTuple):
    """A batch of n ticks: ts int64 ns, codes and depth uint8, price float64, size uint32."""

    ts: np.ndarray
    action: np.ndarray
    side: np.ndarray
    depth: np.ndarray
    price: np.ndarray
    size: np.ndarray


class BookColumns(NamedTuple):
    """The books of a batch as they come: by level, float64 prices and uint32 sizes."""

    bid_px: tuple[np.ndarray, ...]
    ask_px: tuple[np.ndarray, ...]
    bid_sz: tuple[np.ndarray, ...]
    ask_sz: tuple[np.ndarray, ...]


class Bars(NamedTuple):
    """What the tick loop gives for each of n bars.

    twa: (n, N_STATE) float64 time-weighted averages, NaN before the first two-sided book.
    actions: (n, actions) int64, ticks by action code.
    traded: (n, sides) int64, traded size by side code.
    flow: (2, n, N_BANDS * len(FLOW_SUMS)) float64, by resting side's code, band and kind.
    last_book: (n,) int64 row, in the present batch, of the bar's last two-sided book; -1 if none.
    """

    twa: np.ndarray
    actions: np.ndarray
    traded: np.ndarray
    flow: np.ndarray
    last_book: np.ndarray


class Walk(NamedTuple):
    """What the tick loop carries from tile to tile; of each array column -1 is the tick before.

    book: `Book` of TILE + 1 columns.
    price: (TILE + 1,) float64, microprice that holds after each tick, NaN before the first.
    states: (_ROWS, TILE + 1) float64, features of each book; column -1 those that hold.
    weight: (TILE,) float64, ns that each state holds within the open bar.
    integral: (_ROWS,) float64, ns x value over the open bar.
    distance: (TILE,) float64 scratch.
    clock: (3,) int64: open bar; ns up to which it is integrated, -1 before the first two-sided
        book; ns since when a state exists in it.
    """

    book: Book
    price: np.ndarray
    states: np.ndarray
    weight: np.ndarray
    integral: np.ndarray
    distance: np.ndarray
    clock: np.ndarray


_BAR, _NOW, _SINCE = range(3)


def new_bars(n: int) -> Bars:
    """Bars without ticks."""
    return Bars(
        np.full((n, N_STATE), np.nan),
        np.zeros((n, len(ACTION.categories)), np.int64),
        np.zeros((n, len(SIDE.categories)), np.int64),
        np.zeros((2, n, N_BANDS * len(FLOW_SUMS))),
        np.full(n, -1),
    )


def new_walk() -> Walk:
    """The walk before the first tick."""
    shape = (2, LEVELS, TILE + 1)
    return Walk(
        Book(np.full(shape, np.nan), np.zeros(shape)),
        np.full(TILE + 1, np.nan),
        np.zeros((_ROWS, TILE + 1)),
        np.zeros(TILE),
        np.zeros(_ROWS),
        np.empty(TILE),
        np.array([0, -1, -1]),
    )


@kernel
def _copy_level(px, sz, px_to, sz_to) -> None:
    for i in range(px.size):
        px_to[i] = px[i]
        sz_to[i] = float(sz[i]) if px[i] == px[i] else 0.0


@kernel
def _load_books(columns, start, stop, book) -> None:
    """Books start to stop of a batch into the tile."""
    for level in range(LEVELS):
        bid_px, ask_px = columns.bid_px[level][start:stop], columns.ask_px[level][start:stop]
        bid_sz, ask_sz = columns.bid_sz[level][start:stop], columns.ask_sz[level][start:stop]
        _copy_level(bid_px, bid_sz, book.px[BID, level], book.sz[BID, level])
        _copy_level(ask_px, ask_sz, book.px[ASK, level], book.sz[ASK, level])


@kernel
def _hold_prices(book, n, price) -> None:
    """The microprice that holds after each of the tile's ticks: that of the last two-sided book."""
    microprices(book, price[:n])
    for i in range(n):
        if not is_two_sided(book, i):
            price[i] = price[i - 1]


@kernel
def _integrate(weight, states, start, stop, integral) -> None:
    """Add weight x state of columns start to stop, in order, whatever the tile.

    Four features at a time, as an addition takes four cycles and must await the one before.
    """
    for row in range(0, _ROWS, _LANES):
        x0, x1, x2, x3 = states[row], states[row + 1], states[row + 2], states[row + 3]
        sum0, sum1, sum2, sum3 = integral[row : row + _LANES]
        for i in range(start, stop):
            sum0 += weight[i] * x0[i]
            sum1 += weight[i] * x1[i]
            sum2 += weight[i] * x2[i]
            sum3 += weight[i] * x3[i]
        integral[row], integral[row + 1] = sum0, sum1
        integral[row + 2], integral[row + 3] = sum2, sum3


@kernel
def _hold(walk, held, first, until) -> None:
    """Let the state of column `held` last until a time (ns) of the bar that begins at `first`."""
    lasted = float(until - walk.clock[_NOW])
    if held >= first:
        walk.weight[held] = lasted
    else:
        for row in range(_ROWS):
            walk.integral[row] += lasted * walk.states[row, held]
    walk.clock[_NOW] = until


@kernel
def _close_bar(walk, held, first, stop, first_bar, next_bar, bars) -> None:
    """Write the averages of the open bar and of the empty ones up to `next_bar`, and open that.

    held: column of the state that holds. first, stop: the columns of the bar's ticks.
    """
    bar = walk.clock[_BAR]
    if walk.clock[_NOW] >= 0:
        end = (first_bar + bar + 1) * BAR_NS
        _hold(walk, held, first, end)
        _integrate(walk.weight, walk.states, first, stop, walk.integral)
        for k in range(N_STATE):
            bars.twa[bar, k] = walk.integral[k] / (end - walk.clock[_SINCE])
            for empty in range(bar + 1, next_bar):
                bars.twa[empty, k] = walk.states[k, held]
        walk.integral[:] = 0.0
        walk.clock[_NOW] = walk.clock[_SINCE] = (first_bar + next_bar) * BAR_NS
    walk.clock[_BAR] = next_bar


@kernel
def _hold_books(ts, start, first_bar, walk, bars) -> None:
    """Let each two-sided book of the tile hold until the next; ts (ns) from batch row `start`."""
    held, first = -1, 0
    walk.weight[:] = 0.0
    for i in range(ts.size):
        bar = ts[i] // BAR_NS - first_bar
        if bar != walk.clock[_BAR]:
            _close_bar(walk, held, first, i, first_bar, bar, bars)
            first = i
        if is_two_sided(walk.book, i):
            if walk.clock[_NOW] < 0:
                walk.clock[_NOW] = walk.clock[_SINCE] = ts[i]
            _hold(walk, held, first, ts[i])
            held = i
            bars.last_book[bar] = start + i
    _integrate(walk.weight, walk.states, first, ts.size, walk.integral)
    walk.states[:, -1] = walk.states[:, held]


@kernel
def _count(ts, action, side, size, first_bar, bars) -> None:
    """Ticks by action, and traded size by side."""
    for i in range(ts.size):
        bar = ts[i] // BAR_NS - first_bar
        bars.actions[bar, action[i]] += 1
        if action[i] == TRADE:
            bars.traded[bar, side[i]] += size[i]


@kernel
def _sum_flow(ticks, start, n, point, first_bar, walk, bars) -> None:
    """Order flow of the tile's adds, cancels and modifies on a known side."""
    for i in range(n):
        row = start + i
        action, side = ticks.action[row], ticks.side[row]
        if action > MODIFY or side > BID:
            continue
        price = ticks.price[row]
        distance = walk.price[i - 1] - price if side == BID else price - walk.price[i - 1]
        band = band_of(distance, point)
        if band == N_BANDS:
            continue
        change = size_change(walk.book.px[side], walk.book.sz[side], i, price, ticks.depth[row])
        flow = bars.flow[side, ticks.ts[row] // BAR_NS - first_bar]
        at = band * len(FLOW_SUMS)
        flow[at + _ADDED] += max(change, 0.0)
        flow[at + _REMOVED] += max(-change, 0.0)
        flow[at + _FIRST_COUNT + action] += 1.0


@kernel
def walk_batch(ticks, columns, point, first_bar, walk, bars) -> None:
    """The ticks of one batch, tile by tile; `walk` carries over to the next batch.

    point: price of one point, in price units. first_bar: the first bar's start, in bars.
    """
    book = walk.book
    for start in range(0, ticks.ts.size, TILE):
        stop = min(start + TILE, ticks.ts.size)
        n = stop - start
        ts = ticks.ts[start:stop]
        _load_books(columns, start, stop, book)
        _hold_prices(book, n, walk.price)
        book_states(book, walk.price[:n], point, walk.distance[:n], walk.states)
        _hold_books(ts, start, first_bar, walk, bars)
        _count(
            ts,
            ticks.action[start:stop],
            ticks.side[start:stop],
            ticks.size[start:stop],
            first_bar,
            bars,
        )
        _sum_flow(ticks, start, n, point, first_bar, walk, bars)
        book.px[:, :, -1] = book.px[:, :, n - 1]
        book.sz[:, :, -1] = book.sz[:, :, n - 1]
        walk.price[-1] = walk.price[n - 1]


@kernel
def end_walk(walk, first_bar, n_bars, bars) -> None:
    """Write the last bar."""
    _close_bar(walk, -1, 0, 0, first_bar, n_bars, bars)
