"""Order flow: band and size change of each event, an add, cancel or modify on a known side."""

from typing import NamedTuple

import numpy as np

from kernels.book import BID, N_BANDS, band_of
from kernels.compiling import lean_inner
from kernels.features import ACTION, FLOW_SUMS

ADD, CANCEL, MODIFY, CLEAR, TRADE = (ACTION.categories.to_list().index(a) for a in "ACMRT")
_ADDED, _REMOVED, _FIRST_COUNT = range(3)
"""Places in a band's flow sums; the counts of adds, cancels and modifies follow by action code."""

FLOW_OF_SIDE = N_BANDS * len(FLOW_SUMS)
_NOWHERE = 2 * FLOW_OF_SIDE
FLOW = _NOWHERE + _FIRST_COUNT + len(ACTION.categories)
"""Length of a bar's flow sums, by side code, band and kind; then a discard slot for non-events."""


class Ticks(NamedTuple):
    """n consecutive ticks: ts int64 ns, codes uint8, price float64, size uint32."""

    ts: np.ndarray
    action: np.ndarray
    side: np.ndarray
    price: np.ndarray
    size: np.ndarray


@lean_inner
def places_of_events(ticks: Ticks, price: np.ndarray, point: float, place: np.ndarray) -> None:
    """Where in a bar's flow sums each event belongs, by its distance from the microprice before it.

    price: (n,), NaN before the first two-sided book. place: (n,) int64.
    """
    for i in range(place.size):
        side = ticks.side[i]
        outward = 1.0 if side == BID else -1.0
        band = band_of(outward * (price[i] - ticks.price[i]), point)
        is_flow = (ticks.action[i] <= MODIFY) & (side <= BID) & (band < N_BANDS)
        place[i] = side * FLOW_OF_SIDE + band * len(FLOW_SUMS) if is_flow else _NOWHERE


@lean_inner
def events_of_side(ticks: Ticks, side: int, event: np.ndarray) -> None:
    """Price of each event of a side, by its code, into `event`, (n,) float64; NaN for other ticks."""
    for i in range(event.size):
        price = ticks.price[i]
        is_event = (ticks.action[i] <= MODIFY) & (ticks.side[i] == side)
        event[i] = price if is_event else np.nan


@lean_inner
def add_sizes_at(event: np.ndarray, px: np.ndarray, sz: np.ndarray, size: np.ndarray) -> None:
    """Add to `size`, (n,) uint32, a level's sizes where its price is the event's.

    The prices of a side differ, so at most one of its levels is added.
    """
    for i in range(size.size):
        size[i] += sz[i] if px[i] == event[i] else np.uint32(0)


@lean_inner
def count(
    ticks: Ticks,
    place: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    actions: np.ndarray,
    traded: np.ndarray,
    flow: np.ndarray,
) -> None:
    """Add ticks to one bar's counts by action, traded size by side, and flow sums."""
    for i in range(place.size):
        action, at = ticks.action[i], place[i]
        change = np.int64(after[i]) - np.int64(before[i])
        actions[action] += 1
        traded[ticks.side[i]] += ticks.size[i] if action == TRADE else 0
        flow[at + _ADDED] += max(change, 0)
        flow[at + _REMOVED] += max(-change, 0)
        flow[at + _FIRST_COUNT + action] += 1
