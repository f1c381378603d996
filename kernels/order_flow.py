"""Events, the adds, cancels and modifies on a known side: their band, and what they do to its size."""

import numpy as np

from kernels.book import ASK, BID, N_BANDS, band_of, inner
from kernels.features import ACTION, FLOW_SUMS, LEVELS

ADD, CANCEL, MODIFY, CLEAR, TRADE = (ACTION.categories.to_list().index(a) for a in "ACMRT")
_ADDED, _REMOVED, _FIRST_COUNT = range(3)
"""Places in a band's flow sums; the counts of adds, cancels and modifies follow by action code."""


@inner
def bands_of_events(ticks, price, point, band) -> None:
    """Band of each event's distance from the microprice `price` before it; N_BANDS if none."""
    for i in range(band.size):
        outward = 1.0 if ticks.side[i] == BID else -1.0
        is_event = (ticks.action[i] <= MODIFY) & (ticks.side[i] <= BID)
        place = band_of(outward * (price[i] - ticks.price[i]), point)
        band[i] = place if is_event else N_BANDS


@inner
def _events_of_side(ticks, side, event) -> None:
    for i in range(event.size):
        price = ticks.price[i]
        is_event = (ticks.action[i] <= MODIFY) & (ticks.side[i] == side)
        event[i] = price if is_event else np.nan


@inner
def _size_at(price, px, size) -> float:
    return float(size) if px == price else 0.0


@inner
def _add_changes(event, px, sz, px_before, sz_before, change) -> None:
    for i in range(change.size):
        change[i] += _size_at(event[i], px[i], sz[i])
        change[i] -= _size_at(event[i], px_before[i], sz_before[i])


@inner
def size_changes(ticks, book, start, px_before, sz_before, event, change) -> None:
    """By how much each of n events changed the size at its price on its side, into `change`.

    book: of which the n books from `start` on are meant. px_before, sz_before: (2, LEVELS), the
    book before by side's code; then the last one. event, change: (n,) float64, the first scratch.
    The prices of a side differ, so that of its levels at most one is added and one subtracted.
    """
    n = change.size
    change[:] = 0.0
    for side in (BID, ASK):
        px, sz = (book.bid_px, book.bid_sz) if side == BID else (book.ask_px, book.ask_sz)
        _events_of_side(ticks, side, event)
        for level in range(LEVELS):
            prices, sizes = px[level][start : start + n], sz[level][start : start + n]
            change[0] += _size_at(event[0], prices[0], sizes[0])
            change[0] -= _size_at(event[0], px_before[side, level], sz_before[side, level])
            _add_changes(event[1:], prices[1:], sizes[1:], prices[:-1], sizes[:-1], change[1:])
            px_before[side, level], sz_before[side, level] = prices[-1], sizes[-1]


@inner
def sum_flow(ticks, band, change, flow) -> None:
    """Add events to the flow sums of one bar, (2, N_BANDS * len(FLOW_SUMS)), by side's code."""
    for i in range(band.size):
        if band[i] == N_BANDS:
            continue
        sums, at = flow[ticks.side[i]], band[i] * len(FLOW_SUMS)
        sums[at + _ADDED] += max(change[i], 0.0)
        sums[at + _REMOVED] += max(-change[i], 0.0)
        sums[at + _FIRST_COUNT + ticks.action[i]] += 1.0
