"""The loop over a day's ticks, in tiles: what holds is integrated over time, what happens is counted.

From tile to tile a `Walk` carries the state that holds, the time up to which it has been integrated
and the open bar. Batches are of whole bars, and tiles end with every 512th tick of the day, so that
sums are added up in one order whatever the batches.
"""

from typing import NamedTuple

import numpy as np

from kernels.book import (
    AWAY,
    N_STATE,
    Book,
    add_level,
    microprices,
    new_depth,
    side_of,
    start_depth,
    state,
    states_at_own_price,
    sum_depth,
    touch_of,
)
from kernels.compiling import lean_inner, lean_kernel
from kernels.features import ACTION, LEVELS, SIDE
from kernels.holding import BAR_NS, NOW, SINCE, Walk, average, begin_run, hold_books, new_runs
from kernels.order_flow import (
    FLOW,
    Ticks,
    add_sizes_at,
    count,
    events_of_side,
    places_of_events,
)
from kernels.prefetch import prefetch

TILE = 512


class Bars(NamedTuple):
    """What the tick loop gives for each of n bars.

    twa: (n, N_STATE) float64 time-weighted averages, NaN before the first two-sided book.
    actions: (n, actions) int64, ticks by action code.
    traded: (n, sides) int64, traded size by side code.
    flow: (n, FLOW) int64, by resting side's code, band and kind.
    last_book: (n,) int64, which of the day's ticks has the bar's last two-sided book; -1 if none.
    """

    twa: np.ndarray
    actions: np.ndarray
    traded: np.ndarray
    flow: np.ndarray
    last_book: np.ndarray


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
        held=np.zeros(N_STATE),
        integral=np.zeros(N_STATE),
        price=np.full(TILE + 1, np.nan),
        microprice=np.empty(TILE),
        depth=new_depth(TILE),
        value=np.empty(TILE),
        weight=np.empty(TILE),
        place=np.empty(TILE, np.int64),
        event=np.empty(TILE),
        before=np.empty(TILE, np.uint32),
        after=np.empty(TILE, np.uint32),
        runs=new_runs(TILE),
    )


def resume(walk: Walk, book: Book, row: int, point: float, bar_ns: int) -> None:
    """Start a new walk at its first bar, in the state of the batch's two-sided book `row`.

    bar_ns: when the bar begins.
    """
    states = np.empty((N_STATE, 1))
    states_at_own_price(book, row, walk.price[-1:], point, walk.depth, states)
    walk.held[:] = states[:, 0]
    walk.clock[NOW] = walk.clock[SINCE] = bar_ns


@lean_inner
def _hold_prices(microprice, price) -> None:
    price[0] = price[-1]
    for i in range(microprice.size):
        price[i + 1] = price[i] if np.isnan(microprice[i]) else microprice[i]
    price[-1] = price[microprice.size]


@lean_inner
def _measure(ticks, book, start, point, walk) -> None:
    """Fill `walk` with a tile's prices, depth and flow; its books are those from `start` on."""
    n = ticks.ts.size
    microprice, price = walk.microprice[:n], walk.price[: n + 1]
    microprices(touch_of(book, start, n), microprice)
    _hold_prices(microprice, walk.price)
    places_of_events(ticks, price[:-1], point, walk.place[:n])
    walk.before[:n], walk.after[:n] = 0, 0
    _measure_side(ticks, book, start, 0, price[1:], point, walk)
    _measure_side(ticks, book, start, 1, price[1:], point, walk)


@lean_inner
def _measure_side(ticks, book, start, at, price, point, walk) -> None:
    """Depth by band of the side `at` of `AWAY`, and its sizes at events' prices, before and after.

    Each level is used while in cache; the next tile's is prefetched in thirds, as more at once
    would stall. Numba specialises this for each constant `at`.
    """
    n, stop, third = price.size, start + price.size, -(-price.size // 3)
    event, before, after = walk.event[:n], walk.before[:n], walk.after[:n]
    side, _ = AWAY[at]
    px, sz = side_of(book, side)
    events_of_side(ticks, side, event)
    start_depth(walk.depth, at, n)
    for level in range(LEVELS):
        prices, sizes = px[level], sz[level]
        prefetch(prices, stop, stop + third)
        prefetch(sizes, stop, stop + third)
        add_level(prices[start:stop], sizes[start:stop], price, point, walk.depth, at)
        prefetch(prices, stop + third, stop + 2 * third)
        prefetch(sizes, stop + third, stop + 2 * third)
        add_sizes_at(event, prices[start - 1 : stop - 1], sizes[start - 1 : stop - 1], before)
        prefetch(prices, stop + 2 * third, stop + 3 * third)
        prefetch(sizes, stop + 2 * third, stop + 3 * third)
        add_sizes_at(event, prices[start:stop], sizes[start:stop], after)
    sum_depth(walk.depth, at, n)


@lean_inner
def _part(ticks, start, stop) -> Ticks:
    return Ticks(
        ticks.ts[start:stop],
        ticks.action[start:stop],
        ticks.side[start:stop],
        ticks.price[start:stop],
        ticks.size[start:stop],
    )


@lean_inner
def _divide(tile, begin, first_bar, walk, bars) -> int:
    """Divide a tile, the day's ticks from `begin` on, into runs, counting events; how many runs."""
    run, start = 0, 0
    while start < tile.ts.size:
        bar = tile.ts[start] // BAR_NS - first_bar
        stop = start + np.searchsorted(tile.ts[start:], (first_bar + bar + 1) * BAR_NS)
        ticks = _part(tile, start, stop)
        begin_run(walk, run, start, bar, first_bar)
        hold_books(walk, run, ticks.ts)
        if walk.runs.last[run] >= 0:
            bars.last_book[bar] = begin + walk.runs.last[run]
        before, after = walk.before[start:stop], walk.after[start:stop]
        sums = bars.actions[bar], bars.traded[bar], bars.flow[bar]
        count(ticks, walk.place[start:stop], before, after, *sums)
        run, start = run + 1, stop
    return run


@lean_kernel
def walk_on(
    batch: Ticks,
    book: Book,
    start: int,
    n_before: int,
    point: float,
    first_bar: int,
    walk: Walk,
    bars: Bars,
) -> None:
    """Process a batch's rows from `start` on, tile by tile, updating `walk` and `bars`.

    start: at least 1, as the row before it is read too. n_before: number of the day's ticks
    before `start`. point: price of one point, in price units. first_bar: number of the first bar,
    counted in bars since the epoch.
    """
    first, stop = start, start - n_before % TILE  # stop: where the day's current tile began
    while start < batch.ts.size:
        stop = min(stop + TILE, batch.ts.size)
        n = stop - start
        tile = _part(batch, start, stop)
        _measure(tile, book, start, point, walk)
        n_runs = _divide(tile, n_before + start - first, first_bar, walk, bars)
        price, touch, value = walk.price[1 : n + 1], touch_of(book, start, n), walk.value[:n]
        for k in range(N_STATE):
            state(k, touch, price, point, walk.depth, value)
            average(k, value, n_runs, walk, bars.twa)
        start = stop


@lean_kernel
def end_walk(first_bar: int, n_bars: int, walk: Walk, bars: Bars) -> None:
    """Write the averages of the open bar and of the empty ones after it."""
    begin_run(walk, 0, 0, n_bars, first_bar)
    for k in range(N_STATE):
        average(k, walk.value, 1, walk, bars.twa)
