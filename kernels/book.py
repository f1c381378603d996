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

_EDGES = np.array(BAND_EDGES)

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
    for edge in range(N_BANDS):
        band += not distance <= _EDGES[edge] * point
    return band


@inner
def _existing(px, sz, size) -> None:
    for i in range(size.size):
        contracts = float(sz[i])
        size[i] = contracts if px[i] == px[i] else 0.0


@inner
def _distances(px, price, outward, distance) -> None:
    for i in range(price.size):
        distance[i] = outward * (price[i] - px[i])


@inner
def _count_within(distance, edge) -> int:
    count = 0
    for i in range(distance.size):
        count += distance[i] <= edge
    return count


@inner
def _add(size, total) -> None:
    for i in range(total.size):
        total[i] += size[i]


@inner
def _add_where(size, distance, above, until, total) -> None:
    for i in range(total.size):
        contracts = size[i]
        total[i] += contracts if (distance[i] > above) & (distance[i] <= until) else 0.0


@inner
def _depth_by_band(px, sz, start, price, outward, point, scratch, total, in_band) -> None:
    """A side's ten-level size, and its size in each band of distance from the microprice.

    px, sz: the side's levels, of which the n books from `start` on are meant. price: (n,). outward:
    +1 for bids, which lie below the microprice, -1 for asks. total: (n,). in_band: (N_BANDS, at
    least n). In a tile a level lies mostly in one band, so only the bands that its distances reach
    are gone through.
    """
    n = price.size
    size, distance = scratch[0][:n], scratch[1][:n]
    total[:] = 0.0
    for band in range(N_BANDS):
        in_band[band][:n] = 0.0
    for level in range(LEVELS):
        prices = px[level][start : start + n]
        _existing(prices, sz[level][start : start + n], size)
        _add(size, total)
        _distances(prices, price, outward, distance)
        within, above = 0, -np.inf
        for band in range(N_BANDS):
            edge = _EDGES[band] * point
            nearer, within = within, _count_within(distance, edge)
            if within - nearer == n:
                _add(size, in_band[band][:n])
            elif within > nearer:
                _add_where(size, distance, above, edge, in_band[band][:n])
            if within == n:
                break
            above = edge


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
def book_states(book, start, price, point, scratch, states) -> None:
    """Every state feature of the n books from `start` on; finite for any, meant for two-sided ones.

    price: (n,) float64, the microprices, NaN before the first. point: price of one point, in price
    units. scratch: (2, at least n) float64. states: (N_STATE, at least n) float64.
    """
    n = price.size
    touch = touch_of(book, start, n)
    for side in range(2):
        px, sz = (book.bid_px, book.bid_sz) if side == 0 else (book.ask_px, book.ask_sz)
        outward, first = 1.0 - 2.0 * side, IN_BAND + side * N_BANDS
        total, in_band = states[DEPTH + side][:n], states[first : first + N_BANDS]
        _depth_by_band(px, sz, start, price, outward, point, scratch, total, in_band)
        for band in range(N_BANDS):
            _ratios(in_band[band][:n], total, states[FRAC + side * N_BANDS + band][:n])
    _finite(price, states[MICROPRICE][:n])
    _spreads(touch.bid_px, touch.ask_px, point, states[SPREAD][:n])
    _imbalances(touch.bid_sz, touch.ask_sz, states[OBI0][:n])
    _imbalances(states[DEPTH][:n], states[DEPTH + 1][:n], states[OBI10][:n])
    for band in range(N_BANDS):
        below, above = states[IN_BAND + band][:n], states[IN_BAND + N_BANDS + band][:n]
        _imbalances(below, above, states[CDI + band][:n])


@kernel
def states_at_own_price(book, start, price, point, scratch, states) -> None:
    """`book_states` at the books' own microprices, which are put into `price`."""
    microprices(touch_of(book, start, price.size), price)
    book_states(book, start, price, point, scratch, states)
