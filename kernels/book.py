"""Ten-level books, many at a time: microprice, depth by band, imbalances.

A tile is a run of consecutive books, level by level, so that each loop here is one pass over
contiguous values and the compiler vectorises it. Nothing allocates.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from numba import njit

from kernels.features import BAND_EDGES, BANDS, BOOK_COLUMNS, LEVELS, SIDE, STATE

ASK, BID = (SIDE.categories.to_list().index(side) for side in "AB")
N_BANDS = len(BANDS)
N_STATE = len(STATE)
MICROPRICE, SPREAD, OBI0, OBI10, CDI = 0, 1, 2, 3, 4
DEPTH = CDI + N_BANDS
IN_BAND = DEPTH + 2
FRAC = IN_BAND + 2 * N_BANDS
"""Places in a state vector, in the order of `features.STATE`; bids before asks."""

AWAY = ((BID, 1.0), (ASK, -1.0))
"""Codes of the sides in the order of their states, and where their levels lie from the microprice:
bids below, at a positive price difference, asks above."""

_EDGES = np.array([-np.inf, *BAND_EDGES, np.inf])
"""Of band k in points: above the k-th, up to the next; then those of what lies beyond."""

kernel = njit(cache=True, nogil=True, error_model="numpy")
"""Decorator of the loops that Python calls: cached, without the GIL, no check of divisors."""

inner = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Decorator of those that only loops call: compiled into each of them, closed to Python."""


class Book(NamedTuple):
    """n books: an array (n,) a level, best first; prices float64, sizes uint32.

    Where there is no level its price is NaN, and its size of no account.
    """

    bid_px: tuple[np.ndarray, ...]
    ask_px: tuple[np.ndarray, ...]
    bid_sz: tuple[np.ndarray, ...]
    ask_sz: tuple[np.ndarray, ...]


def view(column: pl.Series) -> np.ndarray:
    """A column without nulls, not copied and not to be written to."""
    array = column.to_numpy(allow_copy=False)
    array.flags.writeable = False
    return array


def books_of(frame: pl.DataFrame) -> Book:
    """The books of a frame in one chunk, nulls of prices being NaN."""
    return Book(*(tuple(view(frame[name]) for name in BOOK_COLUMNS[what]) for what in Book._fields))


class Touch(NamedTuple):
    """The best levels of a tile of n books: arrays (n,)."""

    bid_px: np.ndarray
    ask_px: np.ndarray
    bid_sz: np.ndarray
    ask_sz: np.ndarray


@inner
def touch_of(book, start, n) -> Touch:
    """The best levels of the n books from `start` on."""
    stop = start + n
    return Touch(
        book.bid_px[0][start:stop],
        book.ask_px[0][start:stop],
        book.bid_sz[0][start:stop],
        book.ask_sz[0][start:stop],
    )


@inner
def microprices(touch, price) -> None:
    """Touch prices weighted by the opposite sizes into `price` (n,), NaN unless both have size."""
    bid, ask, bid_size, ask_size = touch
    for i in range(price.size):
        b, a = float(bid_size[i]), float(ask_size[i])
        price[i] = (ask[i] * b + bid[i] * a) / (b + a) if (b > 0.0) & (a > 0.0) else np.nan


@inner
def band_of(distance, point) -> int:
    """Index of the band a distance (price units) lies in; N_BANDS if in none or NaN."""
    band = 0
    for edge in range(1, N_BANDS + 1):
        band += not distance <= _EDGES[edge] * point
    return band


@inner
def _count_up_to(px, price, outward, edge) -> int:
    count = 0
    for i in range(price.size):
        count += outward * (price[i] - px[i]) <= edge
    return count


@inner
def _add(sz, total) -> None:
    for i in range(total.size):
        total[i] += float(sz[i])


@inner
def _add_within(px, sz, price, outward, above, until, total) -> None:
    for i in range(total.size):
        distance = outward * (price[i] - px[i])
        total[i] += float(sz[i]) if (distance > above) & (distance <= until) else 0.0


@inner
def start_depth(beyond, in_band) -> None:
    """No size yet in n books' bands, (N_BANDS, at least n), and beyond them, (n,)."""
    beyond[:] = 0.0
    for band in range(N_BANDS):
        in_band[band][: beyond.size] = 0.0


@inner
def add_level(px, sz, price, outward, point, beyond, in_band) -> None:
    """Add a level's sizes to their bands of distance from the microprice, or to those beyond.

    px, sz, price: (n,). outward: +1 for bids, which lie below the microprice, -1 for asks. In a tile
    a level lies mostly in one band, and then is added to it without looking at each.
    """
    n = price.size
    low = high = band_of(outward * (price[0] - px[0]), point)
    below = _count_up_to(px, price, outward, _EDGES[low] * point)
    up_to = _count_up_to(px, price, outward, _EDGES[high + 1] * point)
    if below == 0 and up_to == n:
        _add(sz, beyond if low == N_BANDS else in_band[low][:n])
        return
    while below > 0:
        low -= 1
        below = _count_up_to(px, price, outward, _EDGES[low] * point)
    while up_to < n and high < N_BANDS:
        high += 1
        up_to = _count_up_to(px, price, outward, _EDGES[high + 1] * point)
    for band in range(low, high + 1):
        above, until = _EDGES[band] * point, _EDGES[band + 1] * point
        to = beyond if band == N_BANDS else in_band[band][:n]
        _add_within(px, sz, price, outward, above, until, to)


@inner
def sum_depth(beyond, in_band, total) -> None:
    """A side's size in all."""
    total[:] = beyond
    for band in range(N_BANDS):
        for i in range(total.size):
            total[i] += in_band[band][i]


@inner
def _ratios(numerator, denominator, ratio) -> None:
    for i in range(ratio.size):
        ratio[i] = numerator[i] / denominator[i] if denominator[i] != 0.0 else 0.0


@inner
def _imbalances(bid, ask, imbalance) -> None:
    for i in range(imbalance.size):
        total = float(bid[i]) + float(ask[i])
        imbalance[i] = (float(bid[i]) - float(ask[i])) / total if total != 0.0 else 0.0


@inner
def _finite(value, to) -> None:
    for i in range(to.size):
        to[i] = value[i] if value[i] == value[i] else 0.0


@inner
def _spreads(bid, ask, point, spread) -> None:
    for i in range(spread.size):
        spread[i] = (ask[i] - bid[i]) / point
    _finite(spread, spread)


@inner
def side_of(book, side):
    """Prices and sizes of a side's levels, by its code."""
    return (book.bid_px, book.bid_sz) if side == BID else (book.ask_px, book.ask_sz)


@inner
def states_of_depth(book, start, price, point, states) -> None:
    """What follows from the depth of the n books from `start` on; finite, meant for two-sided ones.

    price: (n,) float64, the microprices, NaN before the first. states: (N_STATE, at least n)
    float64, in which depth by band and in all is there.
    """
    n = price.size
    touch = touch_of(book, start, n)
    for side in range(2):
        total = states[DEPTH + side][:n]
        for band in range(side * N_BANDS, (side + 1) * N_BANDS):
            _ratios(states[IN_BAND + band][:n], total, states[FRAC + band][:n])
    _finite(price, states[MICROPRICE][:n])
    _spreads(touch.bid_px, touch.ask_px, point, states[SPREAD][:n])
    _imbalances(touch.bid_sz, touch.ask_sz, states[OBI0][:n])
    _imbalances(states[DEPTH][:n], states[DEPTH + 1][:n], states[OBI10][:n])
    for band in range(N_BANDS):
        below, above = states[IN_BAND + band][:n], states[IN_BAND + N_BANDS + band][:n]
        _imbalances(below, above, states[CDI + band][:n])


@kernel
def states_at_own_price(book, start, price, point, scratch, states) -> None:
    """Every state feature of the n books from `start` on, at their own microprices.

    price: (n,) float64, the microprices, NaN unless two-sided. point: price of one point, in price
    units. scratch: (at least n,) float64. states: (N_STATE, at least n) float64.
    """
    n = price.size
    stop, beyond = start + n, scratch[:n]
    microprices(touch_of(book, start, n), price)
    for at, (side, outward) in enumerate(AWAY):
        px, sz = side_of(book, side)
        in_band = states[IN_BAND + at * N_BANDS : IN_BAND + (at + 1) * N_BANDS]
        start_depth(beyond, in_band)
        for level in range(LEVELS):
            prices, sizes = px[level][start:stop], sz[level][start:stop]
            add_level(prices, sizes, price, outward, point, beyond, in_band)
        sum_depth(beyond, in_band, states[DEPTH + at][:n])
    states_of_depth(book, start, price, point, states)
