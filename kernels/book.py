"""Njit primitives of one ten-level book: microprice, depth by band, imbalances, size at a price.

A `Book` holds many books, and a row picks one; nothing here allocates.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from kernels.features import BAND_EDGES, BANDS, LEVELS, STATE

N_BANDS = len(BANDS)
N_STATE = len(STATE)
MICROPRICE, SPREAD, OBI0, OBI10, CDI = 0, 1, 2, 3, 4
BID10, ASK10 = CDI + N_BANDS, CDI + N_BANDS + 1
BELOW, ABOVE = ASK10 + 1, ASK10 + 1 + N_BANDS
BELOW_FRAC, ABOVE_FRAC = ABOVE + N_BANDS, ABOVE + 2 * N_BANDS
"""Places in a state vector, in the order of `features.STATE`."""

EDGE1, EDGE2, EDGE3, EDGE4, EDGE5 = BAND_EDGES


primitive = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
"""Decorator of what the tick loop calls for every tick: compiled into its caller."""


class Book(NamedTuple):
    """Ten levels a side of n books, best first: four (10, n) arrays.

    Float64: prices NaN where there is no level, sizes then 0.
    """

    bid_px: np.ndarray
    ask_px: np.ndarray
    bid_sz: np.ndarray
    ask_sz: np.ndarray


@primitive
def ratio(numerator: float, denominator: float) -> float:
    """numerator / denominator, 0 where the denominator is 0."""
    return numerator / denominator if denominator != 0.0 else 0.0


@primitive
def is_two_sided(book, row) -> bool:
    """Whether a best bid and a best ask exist, both with size."""
    return book.bid_sz[0, row] > 0.0 and book.ask_sz[0, row] > 0.0


@primitive
def microprice(book, row) -> float:
    """The touch prices weighted by the opposite sizes; of a two-sided book."""
    bid, ask = book.bid_sz[0, row], book.ask_sz[0, row]
    return (book.ask_px[0, row] * bid + book.bid_px[0, row] * ask) / (bid + ask)


@primitive
def level_of(px, row, price, guess) -> int:
    """The level at a price, LEVELS if there is none; `guess` is where it likely is."""
    if guess < LEVELS and px[guess, row] == price:
        return guess
    level = 0
    while level < LEVELS and px[level, row] != price:
        level += 1
    return level


@primitive
def size_change(px, sz, row, depth, price) -> float:
    """A side's size at a price in a book less that in the book before; 0 where no level has it.

    depth: the level the record says it touched, where the search begins.
    """
    now = level_of(px, row, price, depth)
    before = level_of(px, row - 1, price, depth)
    change = sz[now, row] if now < LEVELS else 0.0
    return change - sz[before, row - 1] if before < LEVELS else change


@primitive
def band_of(distance, point) -> int:
    """Index of the band a distance (price units) from the microprice lies in; N_BANDS for none, NaN."""
    return N_BANDS - (
        int(distance <= EDGE1 * point)
        + int(distance <= EDGE2 * point)
        + int(distance <= EDGE3 * point)
        + int(distance <= EDGE4 * point)
        + int(distance <= EDGE5 * point)
    )


@primitive
def side_depth(px, sz, row, centre, outward, point) -> tuple[float, ...]:
    """A side's ten-level size, and its size in each band of distance from a centre price.

    outward is +1 for bids, which lie below the centre, -1 for asks.
    """
    total = in1 = in2 = in3 = in4 = in5 = 0.0
    for level in range(LEVELS):
        price = px[level, row]
        size = sz[level, row]
        distance = outward * (centre - price)
        total += size
        if distance <= EDGE1 * point:
            in1 += size
        elif distance <= EDGE2 * point:
            in2 += size
        elif distance <= EDGE3 * point:
            in3 += size
        elif distance <= EDGE4 * point:
            in4 += size
        elif distance <= EDGE5 * point:
            in5 += size
    return total, in1, in2, in3, in4, in5


@primitive
def book_state(book, row, point, state) -> None:
    """Every state feature of a two-sided book, into `state` (N_STATE, float64).

    point: price of one point, in price units.
    """
    price = microprice(book, row)
    bid, ask = book.bid_sz[0, row], book.ask_sz[0, row]
    below = side_depth(book.bid_px, book.bid_sz, row, price, 1.0, point)
    above = side_depth(book.ask_px, book.ask_sz, row, price, -1.0, point)
    per_bid, per_ask = 1.0 / below[0], 1.0 / above[0]
    state[MICROPRICE] = price
    state[SPREAD] = (book.ask_px[0, row] - book.bid_px[0, row]) / point
    state[OBI0] = (bid - ask) / (bid + ask)
    state[OBI10] = (below[0] - above[0]) / (below[0] + above[0])
    state[BID10], state[ASK10] = below[0], above[0]
    for band in range(N_BANDS):
        bids, asks = below[band + 1], above[band + 1]
        state[CDI + band] = ratio(bids - asks, bids + asks)
        state[BELOW + band], state[ABOVE + band] = bids, asks
        state[BELOW_FRAC + band], state[ABOVE_FRAC + band] = bids * per_bid, asks * per_ask
