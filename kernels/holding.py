"""How long states hold: a tile's ticks by bar, and the averages over time that follow.

A state holds from its tick to the next one with a two-sided book, over empty bars too. A `Walk`
carries them from tile to tile.
"""

from typing import NamedTuple

import numpy as np

from kernels.book import Depth
from kernels.compiling import lean_inner, lean_sum

BAR_NS = 5_000_000_000

BAR, NOW, SINCE = range(3)
"""Places in a walk's clock: the open bar; ns up to which it is integrated, -1 before the first
two-sided book; ns since when a state exists in it."""


class Runs(NamedTuple):
    """A tile's ticks by bar: n runs, each the ticks of one bar; each field (n,).

    bar: int64.
    start: int64, row in the tile.
    last: int64, row of the last two-sided book, -1 if none.
    ended: int64, bar that ends as the run begins, -1 if none does.
    wait: float64 ns from the clock to the run's first two-sided book.
    rest: float64 ns from the clock to the end of bar `ended`.
    width: float64 ns that bar `ended` had a state, 0 if none.
    """

    bar: np.ndarray
    start: np.ndarray
    last: np.ndarray
    ended: np.ndarray
    wait: np.ndarray
    rest: np.ndarray
    width: np.ndarray


class Walk(NamedTuple):
    """What the tick loop carries from tile to tile, then what it knows of the tile's ticks.

    clock: (3,) int64, by the places named above.
    held: (N_STATE,) float64, the state that holds.
    integral: (N_STATE,) float64, ns x state over the open bar.
    price: (TILE + 1,) float64, the microprice that holds before and after each tick, NaN before the
        first two-sided book; the last element is carried.

    microprice: (TILE,) float64, of each book, NaN unless two-sided.
    depth: of each book.
    value: (TILE,) float64, one state feature of each book.
    weight: (TILE,) float64, ns that each state holds before the next one of its run.
    place: (TILE,) int64, of each event in a bar's flow sums.
    event: (TILE,) float64, price of each event.
    before, after: (TILE,) uint32, sizes at that price in the book before and in its own.
    runs: the ticks by bar.
    """

    clock: np.ndarray
    held: np.ndarray
    integral: np.ndarray
    price: np.ndarray
    microprice: np.ndarray
    depth: Depth
    value: np.ndarray
    weight: np.ndarray
    place: np.ndarray
    event: np.ndarray
    before: np.ndarray
    after: np.ndarray
    runs: Runs


def new_runs(n: int) -> Runs:
    """Room for n runs."""
    return Runs(*np.empty((4, n), np.int64), *np.empty((3, n)))


@lean_inner
def begin_run(walk: Walk, run: int, start: int, bar: int, first_bar: int) -> None:
    """Open a run of `bar`'s ticks at tile row `start`; close the open bar if it is another."""
    runs, clock = walk.runs, walk.clock
    runs.bar[run], runs.start[run], runs.last[run], runs.wait[run] = bar, start, -1, 0.0
    runs.ended[run], runs.width[run] = -1, 0.0
    if bar == clock[BAR]:
        return
    runs.ended[run] = clock[BAR]
    if clock[NOW] >= 0:
        end = (first_bar + clock[BAR] + 1) * BAR_NS
        runs.rest[run], runs.width[run] = end - clock[NOW], end - clock[SINCE]
        clock[NOW] = clock[SINCE] = (first_bar + bar) * BAR_NS
    clock[BAR] = bar


@lean_inner
def hold_books(walk: Walk, run: int, ts: np.ndarray) -> None:
    """Weigh each two-sided book of a run by how long it holds; the last one goes on holding.

    ts: (n,) of the run's ticks.
    """
    runs, clock, start = walk.runs, walk.clock, walk.runs.start[run]
    microprice, weight = walk.microprice[start:], walk.weight[start:]
    first, last = _weigh(ts, microprice, weight)
    if last < 0:
        return
    if clock[NOW] >= 0:
        runs.wait[run] = ts[first] - clock[NOW]
    else:
        clock[SINCE] = ts[first]
    clock[NOW], runs.last[run] = ts[last], start + last


@lean_inner
def _weigh(ts, microprice, weight) -> tuple[int, int]:
    """Weigh two-sided books by the time to the next; the rows of the first and last, -1 if none."""
    first = last = -1
    for i in range(ts.size):
        weight[i] = 0.0
        if not np.isnan(microprice[i]):
            if last >= 0:
                weight[last] = ts[i] - ts[last]
            else:
                first = i
            last = i
    return first, last


@lean_inner
def average(k: int, value: np.ndarray, n_runs: int, walk: Walk, twa: np.ndarray) -> None:
    """Integrate state feature k of a tile's books, (n,), over its runs; average the bars that end.

    twa: (bars, N_STATE) float64.
    """
    runs, held, integral = walk.runs, walk.held[k], walk.integral[k]
    for run in range(n_runs):
        if runs.ended[run] >= 0:
            if runs.width[run] > 0.0:
                twa[runs.ended[run], k] = (integral + runs.rest[run] * held) / runs.width[run]
                for empty in range(runs.ended[run] + 1, runs.bar[run]):
                    twa[empty, k] = held
            integral = 0.0
        start, last = runs.start[run], runs.last[run]
        integral += runs.wait[run] * held
        if last >= 0:
            integral += _weighted_sum(walk.weight[start:last], value[start:last])
            held = value[last]
    walk.held[k], walk.integral[k] = held, integral


@lean_sum
def _weighted_sum(weight, value) -> float:
    total = 0.0
    for i in range(weight.size):
        total += weight[i] * value[i]
    return total
