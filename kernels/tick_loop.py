"""The loop over a day's ticks, in tiles: what holds is integrated over time, what happens is counted.

From tile to tile a `Walk` carries the state that holds, the time up to which it has been integrated
and the open bar. No value depends on where tiles, batches or spans begin.
"""

from typing import NamedTuple

import numpy as np

from kernels.book import (
    AWAY,
    DEPTH,
    IN_BAND,
    N_BANDS,
    N_STATE,
    Book,
    add_level,
    inner,
    kernel,
    microprices,
    side_of,
    start_depth,
    states_at_own_price,
    states_of_depth,
    sum_depth,
    touch_of,
)
from kernels.features import ACTION, LEVELS, SIDE
from kernels.order_flow import FLOW, add_sizes_at, count, events_of_side, places_of_events
from kernels.prefetch import ask_for

BAR_NS = 5_000_000_000
TILE = 512

_LANES = 4
_ROWS = -(-N_STATE // _LANES) * _LANES


class Ticks(NamedTuple):
    """A run of n ticks: ts int64 ns, codes uint8, price float64, size uint32."""

    ts: np.ndarray
    action: np.ndarray
    side: np.ndarray
    price: np.ndarray
    size: np.ndarray


class Bars(NamedTuple):
    """What the tick loop gives for each of n bars.

    twa: (n, N_STATE) float64 time-weighted averages, NaN before the first two-sided book.
    actions: (n, actions) int64, ticks by action code.
    traded: (n, sides) int64, traded size by side code.
    flow: (n, FLOW) int64, by resting side's code, band and kind.
    last_book: (n,) int64 row, in the present batch, of the bar's last two-sided book; -1 if none.
    """

    twa: np.ndarray
    actions: np.ndarray
    traded: np.ndarray
    flow: np.ndarray
    last_book: np.ndarray


class Walk(NamedTuple):
    """What the tick loop carries from tile to tile, then what it knows of the tile's ticks.

    clock: (3,) int64: open bar; ns up to which it is integrated, -1 before the first two-sided
        book; ns since when a state exists in it.
    held: (_ROWS,) float64, the state that holds.
    integral: (_ROWS,) float64, ns x state over the open bar.
    price: (TILE + 1,) float64, the microprice that holds before and after each tick, NaN before the
        first two-sided book; the last element is carried.

    microprice: (TILE,) float64, of each book, NaN unless two-sided.
    states: (_ROWS, TILE) float64, features of each book.
    weight: (TILE,) float64, ns that each state holds within the open bar.
    place: (TILE,) int64, of each event in a bar's flow sums.
    event: (TILE,) float64, price of each event.
    before, after: (TILE,) uint32, sizes at that price in the book before and in its own.
    beyond: (TILE,) float64, size of a side that lies in no band.
    """

    clock: np.ndarray
    held: np.ndarray
    integral: np.ndarray
    price: np.ndarray
    microprice: np.ndarray
    states: np.ndarray
    weight: np.ndarray
    place: np.ndarray
    event: np.ndarray
    before: np.ndarray
    after: np.ndarray
    beyond: np.ndarray


_BAR, _NOW, _SINCE = range(3)


def new_bars(n: int) -> Bars:
    """Bars without ticks."""
    return Bars(
        np.full((n, N_STATE), np.nan),
        np.zeros((n, len(ACTION.categories)), np.int64),
        np.zeros((n, len(SIDE.categories)), np.int64),
        np.zeros((n, FLOW), np.int64),
        np.full(n, -1),
    )


def new_walk() -> Walk:
    """The walk before the first tick."""
    return Walk(
        clock=np.array([0, -1, -1]),
        held=np.zeros(_ROWS),
        integral=np.zeros(_ROWS),
        price=np.full(TILE + 1, np.nan),
        microprice=np.empty(TILE),
        states=np.zeros((_ROWS, TILE)),
        weight=np.empty(TILE),
        place=np.empty(TILE, np.int64),
        event=np.empty(TILE),
        before=np.empty(TILE, np.uint32),
        after=np.empty(TILE, np.uint32),
        beyond=np.empty(TILE),
    )


def resume(walk: Walk, book: Book, row: int, point: float, bar_ns: int, bar: int) -> bool:
    """Let a new walk stand before a batch's row that begins a bar; False if it cannot be known.

    bar_ns: when the bar begins. It is known if a two-sided book precedes the row in the batch.
    """
    touch = [levels[0][:row] for levels in book]
    held = np.flatnonzero(~np.isnan(touch[0] + touch[1]) & (touch[2] > 0) & (touch[3] > 0))
    if not held.size:
        return False
    price = walk.microprice[:1]
    states_at_own_price(book, int(held[-1]), price, point, walk.beyond, walk.states)
    walk.held[:], walk.price[-1] = walk.states[:, 0], price[0]
    walk.clock[_BAR], walk.clock[_NOW], walk.clock[_SINCE] = bar, bar_ns, bar_ns
    return True


@inner
def _hold_prices(microprice, price) -> None:
    price[0] = price[-1]
    for i in range(microprice.size):
        price[i + 1] = microprice[i] if microprice[i] == microprice[i] else price[i]
    price[-1] = price[microprice.size]


@inner
def _measure(ticks, book, start, point, walk) -> None:
    """The states of a tile's books, the n of the batch from `start` on, and what its events do."""
    n = ticks.ts.size
    microprice, price = walk.microprice[:n], walk.price[: n + 1]
    microprices(touch_of(book, start, n), microprice)
    _hold_prices(microprice, walk.price)
    places_of_events(ticks, price[:-1], point, walk.place[:n])
    walk.before[:n], walk.after[:n] = 0, 0
    _measure_side(ticks, book, start, 0, price[1:], point, walk)
    _measure_side(ticks, book, start, 1, price[1:], point, walk)
    states_of_depth(book, start, price[1:], point, walk.states)


@inner
def _measure_side(ticks, book, start, at, price, point, walk) -> None:
    """Depth by band of the side `at` of `AWAY`, and its sizes at events' prices, before and after.

    Each level is gone through while it is near; a third of the next tile's is asked for at a time,
    as more at once would have to be waited for.
    `at` is a constant, for which this is compiled.
    """
    n, stop, third = price.size, start + price.size, -(-price.size // 3)
    event, before, after = walk.event[:n], walk.before[:n], walk.after[:n]
    beyond = walk.beyond[:n]
    in_band = walk.states[IN_BAND + at * N_BANDS : IN_BAND + (at + 1) * N_BANDS]
    side, outward = AWAY[at]
    px, sz = side_of(book, side)
    events_of_side(ticks, side, event)
    start_depth(beyond, in_band)
    for level in range(LEVELS):
        prices, sizes = px[level], sz[level]
        ask_for(prices, stop, stop + third)
        ask_for(sizes, stop, stop + third)
        add_level(prices[start:stop], sizes[start:stop], price, outward, point, beyond, in_band)
        ask_for(prices, stop + third, stop + 2 * third)
        ask_for(sizes, stop + third, stop + 2 * third)
        add_sizes_at(event, prices[start - 1 : stop - 1], sizes[start - 1 : stop - 1], before)
        ask_for(prices, stop + 2 * third, stop + 3 * third)
        ask_for(sizes, stop + 2 * third, stop + 3 * third)
        add_sizes_at(event, prices[start:stop], sizes[start:stop], after)
    sum_depth(beyond, in_band, walk.states[DEPTH + at][:n])


@inner
def _integrate(weight, states, first, integral) -> None:
    """Add weight x state of the columns from `first` on, in order, whatever the tile.

    Four features at a time, as an addition takes four cycles and must await the one before.
    """
    stop = first + weight.size
    for row in range(0, _ROWS, _LANES):
        x0, x1 = states[row][first:stop], states[row + 1][first:stop]
        x2, x3 = states[row + 2][first:stop], states[row + 3][first:stop]
        sum0, sum1 = integral[row], integral[row + 1]
        sum2, sum3 = integral[row + 2], integral[row + 3]
        for i in range(weight.size):
            sum0 += weight[i] * x0[i]
            sum1 += weight[i] * x1[i]
            sum2 += weight[i] * x2[i]
            sum3 += weight[i] * x3[i]
        integral[row], integral[row + 1] = sum0, sum1
        integral[row + 2], integral[row + 3] = sum2, sum3


@inner
def _hold(walk, until) -> None:
    """Let the state that holds last until a time (ns) of the open bar."""
    lasted = float(until - walk.clock[_NOW])
    for row in range(_ROWS):
        walk.integral[row] += lasted * walk.held[row]
    walk.clock[_NOW] = until


@inner
def _hold_books(ts, first, walk) -> int:
    """Let the two-sided books of a run of the open bar's ticks hold, each until the next.

    ts: of the run, which begins at the tile's column `first`. Returns the index in the run of its
    last two-sided book, -1 if none.
    """
    held, weight, microprice = -1, walk.weight, walk.microprice[first:]
    for i in range(ts.size):
        weight[i] = 0.0
        if microprice[i] != microprice[i]:
            continue
        if held >= 0:
            weight[held] = ts[i] - ts[held]
        elif walk.clock[_NOW] >= 0:
            _hold(walk, ts[i])
        else:
            walk.clock[_NOW] = walk.clock[_SINCE] = ts[i]
        held = i
    if held >= 0:
        _integrate(weight[:held], walk.states, first, walk.integral)
        for row in range(_ROWS):
            walk.held[row] = walk.states[row, first + held]
        walk.clock[_NOW] = ts[held]
    return held


@inner
def _open_bar(walk, first_bar, bar, bars) -> None:
    """Write the averages of the open bar and of the empty ones before `bar`, and open that."""
    done = walk.clock[_BAR]
    if walk.clock[_NOW] >= 0:
        end = (first_bar + done + 1) * BAR_NS
        _hold(walk, end)
        for k in range(N_STATE):
            bars.twa[done, k] = walk.integral[k] / (end - walk.clock[_SINCE])
            for empty in range(done + 1, bar):
                bars.twa[empty, k] = walk.held[k]
        walk.integral[:] = 0.0
        walk.clock[_NOW] = walk.clock[_SINCE] = (first_bar + bar) * BAR_NS
    walk.clock[_BAR] = bar


@inner
def _part(ticks, start, stop) -> Ticks:
    return Ticks(
        ticks.ts[start:stop],
        ticks.action[start:stop],
        ticks.side[start:stop],
        ticks.price[start:stop],
        ticks.size[start:stop],
    )


@kernel
def walk_span(batch, book, start, stop, point, first_bar, walk, bars) -> None:
    """Rows start to stop of a batch, tile by tile; `walk` carries over to the next ones.

    start: at least 1, as the row before is looked at too. point: price of one point, in price units. first_bar: the first bar's start, in bars.
    """
    for begin in range(start, stop, TILE):
        tile = _part(batch, begin, min(begin + TILE, stop))
        _measure(tile, book, begin, point, walk)
        left = tile.ts.size
        while left:
            first = tile.ts.size - left
            bar = tile.ts[first] // BAR_NS - first_bar
            until = first + np.searchsorted(tile.ts[first:], (first_bar + bar + 1) * BAR_NS)
            if bar != walk.clock[_BAR]:
                _open_bar(walk, first_bar, bar, bars)
            ticks = _part(tile, first, until)
            held = _hold_books(ticks.ts, first, walk)
            if held >= 0:
                bars.last_book[bar] = begin + first + held
            before, after = walk.before[first:until], walk.after[first:until]
            sums = bars.actions[bar], bars.traded[bar], bars.flow[bar]
            count(ticks, walk.place[first:until], before, after, *sums)
            left = tile.ts.size - until


@kernel
def end_walk(walk, first_bar, next_bar, bars) -> None:
    """Write the open bar, and the empty ones before `next_bar`."""
    _open_bar(walk, first_bar, next_bar, bars)
