"""Ten-level books, many at a time: microprice, depth by band, imbalances.

A tile is a run of consecutive books, level by level, so that each loop here is one pass over
contiguous values and the compiler vectorises it. Nothing allocates.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from kernels.compiling import lean_inner, lean_kernel
from kernels.features import BAND_EDGES, BANDS, BOOK_COLUMNS, LEVELS, SAME_PTS, SIDE, STATE

ASK, BID = (SIDE.categories.to_list().index(side) for side in "AB")
N_BANDS = len(BANDS)
N_STATE = len(STATE)
MICROPRICE, SPREAD, OBI0, OBI10, CDI = 0, 1, 2, 3, 4
DEPTH = CDI + N_BANDS
IN_BAND = DEPTH + 2
FRAC = IN_BAND + 2 * N_BANDS
"""Places in a state vector, in the order of `features.STATE`; bids before asks."""

AWAY = ((BID, 1.0), (ASK, -1.0))
"""Codes of the sides in the order of their states, and the sign that makes microprice less level price
a distance: bids lie below the microprice, asks above."""

_EDGES = np.array([-np.inf, *(edge + SAME_PTS for edge in BAND_EDGES), np.inf])
"""In points: band k lies above edge k and up to edge k + 1; the last one is beyond all bands."""


class Book(NamedTuple):
    """n books: an array (n,) a level, best first; prices float64, sizes uint32.

    A level that is not there has price NaN; its size is ignored.
    """

    bid_px: tuple[np.ndarray, ...]
    ask_px: tuple[np.ndarray, ...]
    bid_sz: tuple[np.ndarray, ...]
    ask_sz: tuple[np.ndarray, ...]


def view(column: pl.Series) -> np.ndarray:
    """A column without nulls as a read-only array, not copied."""
    array = column.to_numpy(allow_copy=False)
    array.flags.writeable = False
    return array


def books_of(frame: pl.DataFrame) -> Book:
    """The books of a frame in one chunk; null prices must be NaN."""
    return Book(*(tuple(view(frame[name]) for name in BOOK_COLUMNS[what]) for what in Book._fields))


class Touch(NamedTuple):
    """The best levels of a tile of n books: arrays (n,)."""

    bid_px: np.ndarray
    ask_px: np.ndarray
    bid_sz: np.ndarray
    ask_sz: np.ndarray


@lean_inner
def touch_of(book: Book, start: int, n: int) -> Touch:
    """The best levels of the n books from `start` on."""
    stop = start + n
    return Touch(
        book.bid_px[0][start:stop],
        book.ask_px[0][start:stop],
        book.bid_sz[0][start:stop],
        book.ask_sz[0][start:stop],
    )


@lean_inner
def microprices(touch: Touch, price: np.ndarray) -> None:
    """Touch prices weighted by the opposite sizes into `price` (n,), NaN unless both have size."""
    bid, ask, bid_size, ask_size = touch
    for i in range(price.size):
        b, a = float(bid_size[i]), float(ask_size[i])
        price[i] = (ask[i] * b + bid[i] * a) / (b + a) if (b > 0.0) & (a > 0.0) else np.nan


@lean_inner
def band_of(distance: float, point: float) -> int:
    """Index of the band a distance (price units) lies in; N_BANDS if in none or NaN."""
    band = 0
    for edge in range(1, N_BANDS + 1):
        band += not distance <= _EDGES[edge] * point  # true of NaN
    return band


@lean_inner
def _count_up_to(px, price, outward, edge) -> int:
    count = 0
    for i in range(price.size):
        count += outward * (price[i] - px[i]) <= edge
    return count


@lean_inner
def _add(sz, total) -> None:
    for i in range(total.size):
        total[i] += float(sz[i])


@lean_inner
def _add_within(px, sz, price, outward, above, until, total) -> None:
    for i in range(total.size):
        distance = outward * (price[i] - px[i])
        total[i] += float(sz[i]) if (distance > above) & (distance <= until) else 0.0


class Depth(NamedTuple):
    """What rests on each side of n books.

    size: (FRAC - DEPTH, >= n) float64: bid total, ask total, then bid bands, ask bands.
    beyond: (>= n,) float64, one side's size outside all bands (scratch).
    bands: (2,) int64, bid and ask: one past the last band that holds anything.
    """

    size: np.ndarray
    beyond: np.ndarray
    bands: np.ndarray


def new_depth(n: int) -> Depth:
    """Allocate depth for n books."""
    return Depth(np.zeros((FRAC - DEPTH, n)), np.empty(n), np.empty(2, np.int64))


@lean_inner
def in_bands(depth: Depth, at: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sizes by band of the side `at` of `AWAY`, (N_BANDS, at least n), and in no band, (n,)."""
    first = IN_BAND - DEPTH + at * N_BANDS
    return depth.size[first : first + N_BANDS], depth.beyond[:n]


@lean_inner
def start_depth(depth: Depth, at: int, n: int) -> None:
    """Zero the depth of side `at`."""
    in_band, beyond = in_bands(depth, at, n)
    depth.bands[at] = 0
    beyond[:] = 0.0
    for band in range(N_BANDS):
        in_band[band][:n] = 0.0


@lean_inner
def add_level(
    px: np.ndarray, sz: np.ndarray, price: np.ndarray, point: float, depth: Depth, at: int
) -> None:
    """Add a level's sizes to their bands of distance from the microprice, or to those beyond.

    px, sz, price: (n,); a size whose px or price is NaN goes to none. at: the side's place in `AWAY`.
    In a tile a level mostly lies in one band; it is then added whole, without looking at each distance.
    """
    n, (_, outward) = price.size, AWAY[at]
    in_band, beyond = in_bands(depth, at, n)
    low = high = band_of(outward * (price[0] - px[0]), point)
    below = _count_up_to(px, price, outward, _EDGES[low] * point)
    up_to = _count_up_to(px, price, outward, _EDGES[high + 1] * point)
    if below == 0 and up_to == n:
        if low == N_BANDS:
            _add(sz, beyond)
        else:
            _add(sz, in_band[low][:n])
            depth.bands[at] = max(depth.bands[at], low + 1)
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
    depth.bands[at] = max(depth.bands[at], min(high + 1, N_BANDS))


@lean_inner
def sum_depth(depth: Depth, at: int, n: int) -> None:
    """Sum up a side's size over bands and beyond."""
    in_band, beyond = in_bands(depth, at, n)
    total = depth.size[at][:n]
    for i in range(total.size):
        total[i] = beyond[i]
    for band in range(depth.bands[at]):
        for i in range(n):
            total[i] += in_band[band][i]


@lean_inner
def _ratios(numerator, denominator, ratio) -> None:
    for i in range(ratio.size):
        ratio[i] = numerator[i] / denominator[i] if denominator[i] != 0.0 else 0.0


@lean_inner
def _imbalances(bid, ask, imbalance) -> None:
    for i in range(imbalance.size):
        total = float(bid[i]) + float(ask[i])
        imbalance[i] = (float(bid[i]) - float(ask[i])) / total if total != 0.0 else 0.0


@lean_inner
def _fill_nan(value, to) -> None:
    for i in range(to.size):
        to[i] = 0.0 if np.isnan(value[i]) else value[i]


@lean_inner
def _spreads(bid, ask, point, spread) -> None:
    for i in range(spread.size):
        spread[i] = (ask[i] - bid[i]) / point
    _fill_nan(spread, spread)


@lean_inner
def side_of(book: Book, side: int) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Prices and sizes of a side's levels, by its code."""
    return (book.bid_px, book.bid_sz) if side == BID else (book.ask_px, book.ask_sz)


@lean_inner
def state(
    k: int, touch: Touch, price: np.ndarray, point: float, depth: Depth, value: np.ndarray
) -> None:
    """State k (its place in `STATE`) of n books into `value` (n,), float64.

    Meant for two-sided books; for others it is merely finite, as `average` gives them no weight.

    price: (n,) float64, the microprices.
    """
    n, size, bands = price.size, depth.size, depth.bands
    if k >= FRAC:
        at, band = divmod(k - FRAC, N_BANDS)
        if band < bands[at]:
            _ratios(size[k - FRAC + IN_BAND - DEPTH][:n], size[at][:n], value)
        else:
            value[:] = 0.0
    elif k >= DEPTH:
        _fill_nan(size[k - DEPTH], value)
    elif k >= CDI:
        band = k - CDI
        if band < max(bands[0], bands[1]):
            below, above = size[IN_BAND - DEPTH + band], size[IN_BAND - DEPTH + N_BANDS + band]
            _imbalances(below[:n], above[:n], value)
        else:
            value[:] = 0.0
    elif k == OBI10:
        _imbalances(size[0][:n], size[1][:n], value)
    elif k == OBI0:
        _imbalances(touch.bid_sz, touch.ask_sz, value)
    elif k == SPREAD:
        _spreads(touch.bid_px, touch.ask_px, point, value)
    else:
        _fill_nan(price, value)


@lean_kernel
def states_at_own_price(
    book: Book, start: int, price: np.ndarray, point: float, depth: Depth, states: np.ndarray
) -> None:
    """Every state feature of the n books from `start` on, at their own microprices.

    price: (n,) float64, the microprices, NaN unless two-sided. point: price of one point, in price
    units. depth: of n books, scratch. states: (N_STATE, n) float64.
    """
    n = price.size
    stop, touch = start + n, touch_of(book, start, n)
    microprices(touch, price)
    for at, (side, _) in enumerate(AWAY):
        px, sz = side_of(book, side)
        start_depth(depth, at, n)
        for level in range(LEVELS):
            add_level(px[level][start:stop], sz[level][start:stop], price, point, depth, at)
        sum_depth(depth, at, n)
    for k in range(N_STATE):
        state(k, touch, price, point, depth, states[k])
