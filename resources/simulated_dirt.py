"""The flaws of real MBP-10 files, added at small rates to simulated records."""

import numpy as np

from kernels.compiling import inner, kernel
from kernels.features import FLAG_BAD_TS_RECV, FLAG_MAYBE_BAD_BOOK, LEVELS
from resources.dbn_records import UNDEF_PRICE
from resources.simulated_book import (
    ADD,
    ASK,
    BID,
    SIDE_CODES,
    SIDE_NONE,
    TRADE,
    randbelow,
    uniform,
    write_level,
)

FLAWED_SHARE, FLAWED_TRADE_SHARE = 0.003, 0.017
"""Share of records given a flaw; share of trades given one of the flaws of trades."""
LOCKED, CROSSED, UNDEFINED_LEVELS, SIDELESS_ADD, FLAGGED, LATE = range(6)
FLAWS = 6
SIDELESS_TRADE, FILL, UNTYPED_TRADE = range(3)
TRADE_FLAWS = 3

ACTION_FILL, ACTION_NONE = ord("F"), ord("N")
MOST_LATE_NS, MOST_VERY_LATE_NS = 5_000_000, 2_000_000_000
VERY_LATE_ONE_IN = 20

DIRT_DTYPE = np.dtype([("rng", "u8"), ("midnight_ns", "i8")])


def open_dirt(midnight_ns: int, seed: int) -> np.ndarray:
    """The state of `add_flaws` for a day that starts at `midnight_ns` (UTC)."""
    return np.array([(seed, midnight_ns)], DIRT_DTYPE)


@kernel
def add_flaws(dirt: np.ndarray, block: np.ndarray) -> None:
    """Put flaws into a few of the block's records (RECORD_DTYPE) in place."""
    for i in range(block.size):
        draw = uniform(dirt[0])
        if draw < FLAWED_SHARE:
            _flaw_record(dirt[0], block[i], randbelow(dirt[0], FLAWS))
        elif draw < FLAWED_SHARE + FLAWED_TRADE_SHARE and block[i].action == TRADE:
            _flaw_trade(block[i], randbelow(dirt[0], TRADE_FLAWS))


@inner
def _flaw_record(dirt, record, flaw):
    if flaw == LOCKED:
        _raise_bid(record.levels[0], 0)
    elif flaw == CROSSED:
        _raise_bid(record.levels[0], 1)
    elif flaw == UNDEFINED_LEVELS:
        _undefine_levels(dirt, record.levels)
    elif flaw == SIDELESS_ADD and record.action == ADD:
        record.side = SIDE_NONE
    elif flaw == FLAGGED:
        record.flags |= FLAG_BAD_TS_RECV if randbelow(dirt, 2) == 0 else FLAG_MAYBE_BAD_BOOK
    elif flaw == LATE:
        _delay(dirt, record)


@inner
def _flaw_trade(record, flaw):
    if flaw == SIDELESS_TRADE:
        record.side = SIDE_NONE
    elif flaw == FILL:
        record.action = ACTION_FILL
        record.side = SIDE_CODES[ASK] if record.side == SIDE_CODES[BID] else SIDE_CODES[BID]
    elif flaw == UNTYPED_TRADE:
        record.action = ACTION_NONE
        record.side = SIDE_NONE
        record.price = UNDEF_PRICE
        record.size = 0


@inner
def _raise_bid(top, spreads):
    """Lift the best bid to the ask, and that many spreads beyond."""
    if top.bid_px != UNDEF_PRICE and top.ask_px != UNDEF_PRICE:
        top.bid_px = top.ask_px + spreads * (top.ask_px - top.bid_px)


@inner
def _undefine_levels(dirt, levels):
    """Undefine one side's levels from some level on, or that level alone; never the best alone."""
    side, first = randbelow(dirt, 2), randbelow(dirt, LEVELS)
    alone = first > 0 and randbelow(dirt, 2) == 0
    for level in range(first, first + 1 if alone else LEVELS):
        write_level(levels[level], side, UNDEF_PRICE, 0, 0)


@inner
def _delay(dirt, record):
    """Set the event back in time, so that its record comes after later ones."""
    most = MOST_VERY_LATE_NS if randbelow(dirt, VERY_LATE_ONE_IN) == 0 else MOST_LATE_NS
    happened = np.int64(record.ts_event) - 1 - randbelow(dirt, most)
    record.ts_event = max(happened, dirt.midnight_ns)
