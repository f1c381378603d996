"""The order book of the simulated market: lots and orders by price, changed by MBP-10 records.

A book's prices are indices: whole ticks above its `origin`. Everything here runs inside the kernel
of `simulated_market`.
"""

import numpy as np

from kernels.compiling import inner
from kernels.features import LEVELS
from resources.dbn_records import MBP10_DTYPE, UNDEF_PRICE

LEVEL_DTYPE = np.dtype(
    [("bid_px", "<i8"), ("ask_px", "<i8"), ("bid_sz", "<u4"), ("ask_sz", "<u4")]
    + [("bid_ct", "<u4"), ("ask_ct", "<u4")]
)
RECORD_DTYPE = np.dtype(
    [(name, MBP10_DTYPE[name]) for name in MBP10_DTYPE.names if name[:4] not in ("bid_", "ask_")]
    + [("levels", LEVEL_DTYPE, (LEVELS,))]
)
"""`MBP10_DTYPE` with its ten levels as an array."""

PRICES = 4096
"""Price indices of a book."""
CENTRE = PRICES // 2
"""Price index of the central price."""
BOOK_DTYPE = np.dtype(
    [("instrument_id", "u4"), ("share", "f8"), ("tick", "i8"), ("origin", "i8"), ("follow", "f8")]
    + [("thickness", "f8"), ("best", "i8", (2,)), ("lots", "i4", (2, PRICES))]
    + [("orders", "i4", (2, PRICES))]
)
"""`share` of the market's events; `tick` in 1e-9 points; `origin`: the price in ticks at index 0;
`follow`: its ticks a tick of the fair value is worth; `thickness`: its sizes over the usual ones;
`best`, `lots` and `orders` by side."""

ADD, CANCEL, MODIFY, CLEAR, TRADE = (ord(action) for action in "ACMRT")
BID, ASK = 0, 1
SIDE_CODES = np.frombuffer(b"BA", np.uint8)
SIDE_NONE = ord("N")

KEPT_TICKS = 32
"""Ticks kept populated behind a best price; what lies beyond the tenth level is in no record."""
HOLE_CHANCE = 0.01
USUAL_LOTS = np.array([24.0, 36.0, 42.0, 46.0, 48.0, 50.0, 50.0, 48.0, 46.0, 44.0])
"""Lots of a level by ticks from the best price."""
ORDER_LOTS = np.repeat([1, 2, 3, 5, 10, 20, 50], [52, 18, 10, 10, 6, 3, 1])
LOTS_PER_ORDER = 4


@inner
def uniform(state: np.void) -> float:
    """A draw from [0, 1) by splitmix64 on `state.rng`."""
    state.rng += np.uint64(0x9E3779B97F4A7C15)
    z = state.rng
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.int64(z >> np.uint64(11)) * 2.0**-53


@inner
def randbelow(state: np.void, n: int) -> int:
    """A uniform draw from range(n)."""
    return np.int64(uniform(state) * n)


@inner
def pick(state: np.void, values: np.ndarray) -> int:
    """One of `values`, each equally likely."""
    return values[randbelow(state, values.size)]


@inner
def outward(side: int) -> int:
    """The step, in ticks, away from the other side."""
    return -1 if side == BID else 1


@inner
def usual_lots(book: np.void, ticks: int) -> float:
    """The lots usual on a level that many ticks from the best price."""
    return USUAL_LOTS[min(ticks, USUAL_LOTS.size - 1)] * book.thickness


@inner
def add(book: np.void, record: np.void, side: int, index: int, lots: int) -> None:
    """Add an order."""
    book.lots[side, index] += lots
    book.orders[side, index] += 1
    describe(book, record, ADD, side, index, lots)


@inner
def cancel(
    state: np.void, book: np.void, record: np.void, side: int, index: int, lots: int
) -> None:
    """Remove a whole order of that many lots."""
    describe(book, record, CANCEL, side, index, lots)
    book.lots[side, index] -= lots
    book.orders[side, index] -= 1
    if book.lots[side, book.best[side]] == 0:
        _retreat(state, book, side)


@inner
def resize(book: np.void, record: np.void, side: int, index: int, old: int, new: int) -> None:
    """Change an order's lots; the record's size is the new one."""
    book.lots[side, index] += new - old
    describe(book, record, MODIFY, side, index, new)


@inner
def pick_order(state: np.void, book: np.void, side: int, index: int) -> int:
    """The lots of one of the level's orders, leaving each of the others at least a lot."""
    lots, orders = book.lots[side, index], book.orders[side, index]
    return lots if orders == 1 else min(pick(state, ORDER_LOTS), lots - orders + 1)


@inner
def empty(book: np.void, centre: int) -> None:
    """Remove all orders; the book is to be rebuilt around price index `centre`."""
    book.lots[:] = 0
    book.orders[:] = 0
    book.best[BID] = centre
    book.best[ASK] = centre + 1


@inner
def populate(state: np.void, book: np.void, side: int, ticks: int) -> None:
    """Put usual orders on the level that many ticks from the best price."""
    index = book.best[side] + ticks * outward(side)
    lots = 1 + np.int64(usual_lots(book, ticks) * (0.4 + 1.2 * uniform(state)))
    book.lots[side, index] = lots
    book.orders[side, index] = 1 + lots // LOTS_PER_ORDER


@inner
def populate_deep(state: np.void, book: np.void, side: int) -> None:
    """Populate what is empty from ten ticks behind the best price; a few levels stay empty."""
    for ticks in range(LEVELS, KEPT_TICKS):
        index = book.best[side] + ticks * outward(side)
        if book.lots[side, index] == 0 and uniform(state) >= HOLE_CHANCE:
            populate(state, book, side, ticks)


@inner
def _retreat(state, book, side):
    """Move the best price out to the next level with orders."""
    while book.lots[side, book.best[side]] == 0:
        book.best[side] += outward(side)
    populate_deep(state, book, side)


@inner
def describe(book: np.void, record: np.void, action: int, side: int, index: int, lots: int) -> None:
    """Write what happened to `lots` at price `index` of a side, before the level is gone."""
    record.price = (book.origin + index) * book.tick
    record.size = lots
    record.action = action
    record.side = SIDE_CODES[side]
    record.flags = 0
    record.depth = _depth(book, side, index)


@inner
def _depth(book, side, index):
    """The number of levels better than price `index`."""
    depth, better = 0, book.best[side]
    while better != index:
        depth += book.lots[side, better] > 0
        better += outward(side)
    return depth


@inner
def write_levels(book: np.void, record: np.void) -> None:
    """Write the book's ten best levels of either side."""
    for side in range(2):
        level, index = 0, book.best[side]
        for _ in range(KEPT_TICKS):
            if book.lots[side, index] > 0 and level < LEVELS:
                price = (book.origin + index) * book.tick
                lots, orders = book.lots[side, index], book.orders[side, index]
                write_level(record.levels[level], side, price, lots, orders)
                level += 1
            index += outward(side)
        for missing in range(level, LEVELS):
            write_level(record.levels[missing], side, UNDEF_PRICE, 0, 0)


@inner
def write_level(level: np.void, side: int, price: int, lots: int, orders: int) -> None:
    """Write one side of a level, the price in 1e-9 points."""
    if side == BID:
        level.bid_px, level.bid_sz, level.bid_ct = price, lots, orders
    else:
        level.ask_px, level.ask_sz, level.ask_ct = price, lots, orders
