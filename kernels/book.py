"""Ten-level books, many at a time: microprice, depth by band, imbalances, size at a price.

A tile is a run of consecutive books, level by level in rows, so that each loop here is one pass
over contiguous values and the compiler vectorises it. Nothing allocates.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from kernels.features import BAND_EDGES, BANDS, LEVELS, SIDE, STATE

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
"""Decorator of every loop: compiled once and cached, without the GIL, no check of divisors."""


class Book(NamedTuple):
    """The books of a tile: (2, LEVELS, n) float64, side by its code (`ASK`, `BID`), best first.

    Prices are NaN where there is no level, sizes then 0.
    """

    px: np.ndarray
    sz: np.ndarray


@kernel
def is_two_sided(book, i) -> bool:
    """Whether a best bid and a best ask exist, both with size."""
    return (book.sz[BID, 0, i] > 0.0) & (book.sz[ASK, 0, i] > 0.0)


@kernel
def microprices(book, price) -> None:
    """Touch prices weighted by the opposite sizes, of two-sided books, into `price` (n,)."""
    bid, ask = book.px[BID, 0], book.px[ASK, 0]
    bid_size, ask_size = book.sz[BID, 0], book.sz[ASK, 0]
    for i in range(price.size):
        price[i] = (ask[i] * bid_size[i] + bid[i] * ask_size[i]) / (bid_size[i] + ask_size[i])


@kernel
def level_of(px, i, price, guess) -> int:
    """The level at a price, LEVELS if there is none; `guess` is where it likely is."""
    if guess < LEVELS and px[guess, i] == price:
        return guess
    level = 0
    while level < LEVELS and px[level, i] != price:
        level += 1
    return level


@kernel
def size_change(px, sz, i, price, depth) -> float:
    """A side's size at a price in book i less that in the book before; 0 where no level has it.

    px, sz: (LEVELS, n) of the side. depth: the level the record touched, where the search begins.
    """
    now = level_of(px, i, price, depth)
    before = level_of(px, i - 1, price, depth)
    change = sz[now, i] if now < LEVELS else 0.0
    return change - sz[before, i - 1] if before < LEVELS else change


@kernel
def band_of(distance, point) -> int:
    """Index of the band a distance (price units) lies in; N_BANDS if in none or NaN."""
    band = 0
    for edge in range(N_BANDS):
        band += not distance <= _EDGES[edge] * point
    return band


@kernel
def _distances(px, price, outward, distance) -> None:
    for i in range(price.size):
        distance[i] = outward * (price[i] - px[i])


@kernel
def _count_within(distance, edge) -> int:
    count = 0
    for i in range(distance.size):
        count += distance[i] <= edge
    return count


@kernel
def _add(size, total) -> None:
    for i in range(total.size):
        total[i] += size[i]


@kernel
def _add_where(size, distance, above, until, total) -> None:
    for i in range(total.size):
        total[i] += size[i] if (distance[i] > above) & (distance[i] <= until) else 0.0


@kernel
def _depth_by_band(px, sz, price, outward, point, distance, total, in_band) -> None:
    """A side's ten-level size, and its size in each band of distance from the microprice.

    px, sz: (LEVELS, n). outward: +1 for bids, which lie below the microprice, -1 for asks.
    distance: (n,) scratch. total: (n,). in_band: (N_BANDS, n). In a tile a level lies mostly in
    one band, so only the bands that its distances reach are gone through.
    """
    n = price.size
    total[:] = 0.0
    for band in range(N_BANDS):
        in_band[band][:n] = 0.0
    for level in range(LEVELS):
        size = sz[level][:n]
        _add(size, total)
        _distances(px[level][:n], price, outward, distance)
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


@kernel
def _ratios(numerator, denominator, ratio) -> None:
    for i in range(ratio.size):
        ratio[i] = numerator[i] / denominator[i] if denominator[i] != 0.0 else 0.0


@kernel
def _imbalances(bid, ask, imbalance) -> None:
    for i in range(imbalance.size):
        total = bid[i] + ask[i]
        imbalance[i] = (bid[i] - ask[i]) / total if total != 0.0 else 0.0


@kernel
def _finite(value, to) -> None:
    for i in range(to.size):
        to[i] = value[i] if value[i] == value[i] else 0.0


@kernel
def _spreads(bid, ask, point, spread) -> None:
    for i in range(spread.size):
        spread[i] = (ask[i] - bid[i]) / point
    _finite(spread, spread)


@kernel
def book_states(book, price, point, distance, states) -> None:
    """Every state feature of a tile's books; finite for any book, meant for two-sided ones.

    price: (n,) float64, the microprices, NaN before the first. point: price of one point, in price units.
    distance: (n,) scratch. states: (N_STATE, at least n) float64.
    """
    n = price.size
    for side, outward in enumerate((1.0, -1.0)):
        code = BID if side == 0 else ASK
        first = IN_BAND + side * N_BANDS
        total, in_band = states[DEPTH + side][:n], states[first : first + N_BANDS]
        _depth_by_band(
            book.px[code], book.sz[code], price, outward, point, distance, total, in_band
        )
        for band in range(N_BANDS):
            _ratios(in_band[band][:n], total, states[FRAC + side * N_BANDS + band][:n])
    _finite(price, states[MICROPRICE][:n])
    _spreads(book.px[BID, 0][:n], book.px[ASK, 0][:n], point, states[SPREAD][:n])
    _imbalances(book.sz[BID, 0][:n], book.sz[ASK, 0][:n], states[OBI0][:n])
    _imbalances(states[DEPTH][:n], states[DEPTH + 1][:n], states[OBI10][:n])
    for band in range(N_BANDS):
        below, above = states[IN_BAND + band][:n], states[IN_BAND + N_BANDS + band][:n]
        _imbalances(below, above, states[CDI + band][:n])
