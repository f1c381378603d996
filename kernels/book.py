"""Book state from columns of prices and sizes: the same code for every tick and for bars' ends.

Books come as four tuples of ten arrays, one array a level: bid prices, ask prices (float64, NaN
where undefined), bid sizes, ask sizes (uint32). Loops run along the ticks, so each compiles to
SIMD code; a block of ticks is small enough that its scratch stays in cache.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from kernels.features import BAND_EDGES, BANDS, STATE

N_BANDS = len(BANDS)
N_STATE = len(STATE)
MICROPRICE, SPREAD, OBI0, OBI10, CDI = 0, 1, 2, 3, 4
BID10, ASK10 = CDI + N_BANDS, CDI + N_BANDS + 1
BELOW, ABOVE = ASK10 + 1, ASK10 + 1 + N_BANDS
BELOW_FRAC, ABOVE_FRAC = ABOVE + N_BANDS, ABOVE + 2 * N_BANDS
"""Rows of the state matrix, in the order of `features.STATE`."""

EDGE1, EDGE2, EDGE3, EDGE4, EDGE5 = BAND_EDGES


class Book(NamedTuple):
    """Ten levels a side of n books; ten arrays of n each, best level first."""

    bid_px: tuple[np.ndarray, ...]
    ask_px: tuple[np.ndarray, ...]
    bid_sz: tuple[np.ndarray, ...]
    ask_sz: tuple[np.ndarray, ...]


@njit(cache=True, nogil=True)
def ratio(numerator: float, denominator: float) -> float:
    """numerator / denominator, 0 where the denominator is 0."""
    return numerator / denominator if denominator != 0.0 else 0.0


@njit(cache=True, nogil=True)
def is_two_sided(bid_px, ask_px, bid_sz, ask_sz) -> bool:
    """Whether a best bid and a best ask exist, both with size."""
    return bid_px == bid_px and ask_px == ask_px and bid_sz > 0 and ask_sz > 0


@njit(cache=True, nogil=True)
def _touch(bid_px, ask_px, bid_sz, ask_sz, point, state) -> None:
    """Microprice, spread and best-size imbalance of each book, from its best levels."""
    for i in range(bid_px.size):
        bid, ask = float(bid_sz[i]), float(ask_sz[i])
        total = bid + ask
        state[MICROPRICE, i] = (
            (ask_px[i] * bid + bid_px[i] * ask) / total if total > 0.0 else np.nan
        )
        state[SPREAD, i] = (ask_px[i] - bid_px[i]) / point
        state[OBI0, i] = ratio(bid - ask, total)


@njit(cache=True, nogil=True)
def _add_level(px, sz, outward, point, microprice, total, within) -> None:
    """Add a level's size to the side's total and to every band edge it lies within.

    outward is +1 for bids, which lie below the microprice, -1 for asks. Row k of `within` gathers
    the size no farther than band edge k.
    """
    for i in range(px.size):
        distance = outward * (microprice[i] - px[i])
        size = float(sz[i]) if px[i] == px[i] else 0.0
        total[i] += size
        within[0, i] += size if distance <= EDGE1 * point else 0.0
        within[1, i] += size if distance <= EDGE2 * point else 0.0
        within[2, i] += size if distance <= EDGE3 * point else 0.0
        within[3, i] += size if distance <= EDGE4 * point else 0.0
        within[4, i] += size if distance <= EDGE5 * point else 0.0


@njit(cache=True, nogil=True)
def _side_depth(px, sz, start, stop, outward, point, microprice, total, band) -> None:
    """Ten-level size of a side and its size in each band, for books start to stop."""
    total[:] = 0.0
    band[:] = 0.0
    for level_px, level_sz in zip(px, sz):  # noqa: B905
        _add_level(
            level_px[start:stop], level_sz[start:stop], outward, point, microprice, total, band
        )
    for k in range(N_BANDS - 1, 0, -1):
        for i in range(total.size):
            band[k, i] -= band[k - 1, i]


@njit(cache=True, nogil=True)
def book_state(book, start, stop, point, state) -> None:
    """Every state feature of books start to stop, into `state` (N_STATE x (stop - start), float64).

    Only columns of two-sided books (`is_two_sided`) are meaningful. `point` in price units.
    """
    _touch(
        book.bid_px[0][start:stop],
        book.ask_px[0][start:stop],
        book.bid_sz[0][start:stop],
        book.ask_sz[0][start:stop],
        point,
        state,
    )
    microprice, bid10, ask10 = state[MICROPRICE], state[BID10], state[ASK10]
    below, above = state[BELOW:ABOVE], state[ABOVE:BELOW_FRAC]
    _side_depth(book.bid_px, book.bid_sz, start, stop, 1.0, point, microprice, bid10, below)
    _side_depth(book.ask_px, book.ask_sz, start, stop, -1.0, point, microprice, ask10, above)
    for i in range(stop - start):
        state[OBI10, i] = ratio(bid10[i] - ask10[i], bid10[i] + ask10[i])
    for k in range(N_BANDS):
        for i in range(stop - start):
            state[CDI + k, i] = ratio(below[k, i] - above[k, i], below[k, i] + above[k, i])
            state[BELOW_FRAC + k, i] = ratio(below[k, i], bid10[i])
            state[ABOVE_FRAC + k, i] = ratio(above[k, i], ask10[i])


@njit(cache=True, nogil=True)
def band_of(distance, point) -> int:
    """Index of the band a distance (price units) from the microprice lies in, N_BANDS if none."""
    return (
        int(distance > EDGE1 * point)
        + int(distance > EDGE2 * point)
        + int(distance > EDGE3 * point)
        + int(distance > EDGE4 * point)
        + int(distance > EDGE5 * point)
    )
