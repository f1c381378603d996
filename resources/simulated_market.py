"""The simulated market: order books that trade around a mean-reverting fair value.

`advance` writes record after record. An event of several records (a trade and the fills that
remove its size, a clear and the rebuild of the book) is kept in the market's state, so that a block
may end anywhere. The kernel draws with integers, + - * / and square roots, never log or exp: a seed
gives the same records on every platform.
"""

from typing import NamedTuple

import numpy as np

from kernels.compiling import inner, kernel
from kernels.features import FLAG_LAST, FLAG_SNAPSHOT, LEVELS, NS_PER_DAY
from resources.dbn_records import UNDEF_PRICE
from resources.simulated_book import (
    ADD,
    ASK,
    BID,
    CENTRE,
    CLEAR,
    KEPT_TICKS,
    ORDER_LOTS,
    SIDE_CODES,
    SIDE_NONE,
    TRADE,
    add,
    cancel,
    describe,
    empty,
    outward,
    pick,
    pick_order,
    populate,
    populate_deep,
    randbelow,
    resize,
    uniform,
    usual_lots,
    write_levels,
)

MINUTES = 1440
NS_PER_MINUTE = NS_PER_DAY // MINUTES

REVERSION_PER_DAY = 16.0
DEVIATION_TICKS = 48.0
"""Stationary standard deviation of the fair value."""
FULL_TILT_TICKS = 1.5
"""Distance of the fair value from the mid at which the order flow is most one-sided."""
SIZE_TILT, AGGRESSOR_TILT = 0.6, 0.47

CLEARS_PER_DAY = 4.0
IMPROVE_CHANCE, TRADE_CHANCE, MODIFY_CHANCE = 0.7, 0.05, 0.12
WALL_CHANCE, WALL_PULL_CHANCE = 1 / 3000, 0.02
WALL_TICKS, WALL_SIZE = 3, 9
"""Ticks from the best price where walls begin; the largest, in usual level sizes."""
SWEPT_TICKS = 3
TRADE_LOTS = np.repeat([1, 2, 3, 5, 8, 15, 40], [45, 20, 12, 10, 7, 4, 2])
DEPTH_TICKS = np.repeat(np.arange(LEVELS), [26, 18, 13, 10, 8, 7, 6, 5, 4, 3])
"""Ticks from the best price at which orders change."""

BURST_CHANCE, BURST_GAP, CALM_GAP = 0.75, 0.1, 3.7
"""Gaps between events, in mean gaps: most are short, some are long, their mean is one."""
MOST_ELAPSED = 1.0 - 2.0**-32
LATENCY_NS, LATENCY_JITTER_NS = 60_000, 25_000
GATEWAY_NS = 12_000
EXPONENTIAL = np.round(-np.log1p(-(np.arange(1024) + 0.5) / 1024), 6)
"""Quantiles of the unit exponential, rounded so that no platform's log decides a bit."""

STATE_DTYPE = np.dtype(
    [("rng", "u8"), ("fair_ticks", "f8"), ("book", "i8"), ("unopened_books", "i8")]
    + [("records_left", "i8"), ("records_unclocked", "i8"), ("clear_chance", "f8")]
    + [("elapsed", "f8"), ("minute", "i8"), ("midnight_ns", "i8"), ("activity", "f8", MINUTES + 1)]
    + [("ts_event", "i8"), ("ts_recv", "i8"), ("ts_in_delta", "i8"), ("sequence", "i8")]
    + [("rebuild_levels", "i8"), ("trade_lots", "i8"), ("fill_lots", "i8")]
    + [("resting_side", "i8"), ("trade_index", "i8")]
)
"""`fair_ticks` from the centre; `elapsed`: the share of the day's activity that is over; of the
event under way, `rebuild_levels` are still to be added, `trade_lots` to be reported as traded and
`fill_lots` to be removed."""


class Market(NamedTuple):
    """The state of a market (one STATE_DTYPE) and its books (BOOK_DTYPE)."""

    state: np.ndarray
    books: np.ndarray


def open_market(
    books: np.ndarray,
    activity: np.ndarray,
    midnight_ns: int,
    events: int,
    seed: int,
    *,
    with_clears: bool,
) -> Market:
    """The market before the first of a day's `events` records.

    `activity[m]` is the share of the events before UTC minute m (1441 values from 0 to 1); with
    `with_clears` books are cleared and rebuilt a few times during the day.
    """
    state = np.zeros(1, STATE_DTYPE)
    state["rng"] = seed
    state["unopened_books"] = len(books)
    state["records_left"] = events
    state["clear_chance"] = CLEARS_PER_DAY / events if with_clears else 0.0
    state["midnight_ns"] = midnight_ns
    state["activity"] = activity
    return Market(state, books)


@kernel
def advance(market: Market, block: np.ndarray) -> None:
    """Fill `block` (RECORD_DTYPE) with the market's next records."""
    for i in range(block.size):
        _write_record(market.state[0], market.books, block[i])


@inner
def _write_record(state, books, record):
    state.records_left -= 1
    state.records_unclocked += 1
    if state.rebuild_levels > 0:
        _rebuild_level(state, books[state.book], record)
    elif state.trade_lots > 0:
        _report_trade(state, books[state.book], record)
    elif state.fill_lots > 0:
        _remove_fill(state, books[state.book], record)
    else:
        _begin_event(state, books, record)
    if state.rebuild_levels + state.trade_lots + state.fill_lots == 0:
        record.flags |= FLAG_LAST
    record.instrument_id = books[state.book].instrument_id
    record.ts_event = state.ts_event
    record.ts_recv = state.ts_recv
    record.ts_in_delta = state.ts_in_delta
    record.sequence = state.sequence
    write_levels(books[state.book], record)


@inner
def _begin_event(state, books, record):
    state.sequence += 1
    if state.unopened_books > 0:
        _open_book(state, books, record)
        return
    _advance_clock(state)
    _pick_book(state, books)
    book = books[state.book]
    if uniform(state) < state.clear_chance:
        _clear(state, book, record)
    elif book.best[ASK] - book.best[BID] > 1 and uniform(state) < IMPROVE_CHANCE:
        _improve(state, book, record)
    elif uniform(state) < TRADE_CHANCE:
        _trade(state, book, record)
    else:
        _change_orders(state, book, record)


@inner
def _open_book(state, books, record):
    """Clear the next of the books that the day begins with."""
    if state.unopened_books == books.size:
        state.fair_ticks = DEVIATION_TICKS * _near_normal(state)
        _read_clock(state)
    state.book = books.size - state.unopened_books
    state.unopened_books -= 1
    _clear(state, books[state.book], record)


@inner
def _pick_book(state, books):
    draw = uniform(state) - books[0].share
    state.book = 0
    while draw >= 0.0 and state.book + 1 < books.size:
        state.book += 1
        draw -= books[state.book].share


@inner
def _advance_clock(state):
    """Spread the activity ahead over the records left; move the fair value by the same clock."""
    mean_gap = (1.0 - state.elapsed) * state.records_unclocked / (state.records_left + 1)
    gap = BURST_GAP if uniform(state) < BURST_CHANCE else CALM_GAP
    step = min(mean_gap * gap * pick(state, EXPONENTIAL), (1.0 - state.elapsed) / 2)
    state.elapsed = min(state.elapsed + step, MOST_ELAPSED)
    state.records_unclocked = 0
    pull = min(REVERSION_PER_DAY * step, 1.0)
    shock = DEVIATION_TICKS * np.sqrt(2.0 * pull) * _near_normal(state)
    limit = CENTRE - 2.0 * KEPT_TICKS
    state.fair_ticks = min(max(state.fair_ticks * (1.0 - pull) + shock, -limit), limit)
    _read_clock(state)


@inner
def _read_clock(state):
    """Set the event's times from the share of the day's activity that is over."""
    while state.activity[state.minute + 1] <= state.elapsed:
        state.minute += 1
    before, after = state.activity[state.minute], state.activity[state.minute + 1]
    minutes = state.minute + (state.elapsed - before) / (after - before)
    state.ts_event = state.midnight_ns + np.int64(minutes * NS_PER_MINUTE)
    latency = LATENCY_NS + np.int64(LATENCY_JITTER_NS * pick(state, EXPONENTIAL))
    received = max(state.ts_recv, state.ts_event + latency)
    state.ts_recv = min(received, state.midnight_ns + NS_PER_DAY - 1)
    state.ts_in_delta = GATEWAY_NS + randbelow(state, GATEWAY_NS)


@inner
def _near_normal(state):
    """A draw of mean 0 and variance 1, from four uniform ones."""
    total = uniform(state) + uniform(state) + uniform(state) + uniform(state)
    return (total - 2.0) * np.sqrt(3.0)


@inner
def _tilt(state, book):
    """How the fair value presses on the mid, from -1 (sellers only) to 1 (buyers only)."""
    mid = 0.5 * (book.best[BID] + book.best[ASK])
    distance = CENTRE + book.follow * state.fair_ticks - mid
    return min(max(distance / FULL_TILT_TICKS, -1.0), 1.0)


@inner
def _clear(state, book, record):
    empty(book, CENTRE + np.int64(book.follow * state.fair_ticks))
    state.rebuild_levels = 2 * LEVELS
    describe(book, record, CLEAR, BID, book.best[BID], 0)
    record.price = UNDEF_PRICE
    record.side = SIDE_NONE
    record.flags = FLAG_SNAPSHOT


@inner
def _rebuild_level(state, book, record):
    ticks, side = divmod(2 * LEVELS - state.rebuild_levels, 2)
    index = book.best[side] + ticks * outward(side)
    populate(state, book, side, ticks)
    describe(book, record, ADD, side, index, book.lots[side, index])
    record.flags = FLAG_SNAPSHOT
    state.rebuild_levels -= 1
    if state.rebuild_levels == 0:
        populate_deep(state, book, BID)
        populate_deep(state, book, ASK)


@inner
def _improve(state, book, record):
    """Narrow the spread, more likely on the side that the fair value calls for."""
    side = BID if uniform(state) < 0.5 + 0.5 * _tilt(state, book) else ASK
    book.best[side] -= outward(side)
    lots = pick(state, ORDER_LOTS) + pick(state, ORDER_LOTS) + pick(state, ORDER_LOTS)
    add(book, record, side, book.best[side], lots)


@inner
def _trade(state, book, record):
    """Begin a trade: reported level by level, then removed from the book order by order."""
    tilt = _tilt(state, book)
    side = ASK if uniform(state) < 0.5 + AGGRESSOR_TILT * tilt else BID
    best = book.best[side]
    lots = pick(state, TRADE_LOTS)
    if uniform(state) < abs(tilt):
        lots = max(lots, book.lots[side, best])
    resting = 0
    for ticks in range(SWEPT_TICKS):
        resting += book.lots[side, best + ticks * outward(side)]
    state.resting_side = side
    state.trade_index = best
    state.trade_lots = state.fill_lots = min(lots, resting)
    _report_trade(state, book, record)


@inner
def _report_trade(state, book, record):
    """Report what trades at the next level; the book stays as it is."""
    side = state.resting_side
    while book.lots[side, state.trade_index] == 0:
        state.trade_index += outward(side)
    lots = min(state.trade_lots, book.lots[side, state.trade_index])
    describe(book, record, TRADE, side, state.trade_index, lots)
    record.side = SIDE_CODES[1 - side]
    state.trade_lots -= lots
    state.trade_index += outward(side)


@inner
def _remove_fill(state, book, record):
    """Cancel the best level's next filled order, or modify it if it is filled in part."""
    side = state.resting_side
    index = book.best[side]
    order = pick_order(state, book, side, index)
    filled = min(order, state.fill_lots)
    state.fill_lots -= filled
    if filled == order:
        cancel(state, book, record, side, index, order)
    else:
        resize(book, record, side, index, order, order - filled)


@inner
def _change_orders(state, book, record):
    """Add, cancel or modify an order; sizes revert to the usual, tilted by the fair value."""
    side, ticks = randbelow(state, 2), pick(state, DEPTH_TICKS)
    index = book.best[side] + ticks * outward(side)
    lots = book.lots[side, index]
    wanted = usual_lots(book, ticks) * (1.0 - SIZE_TILT * _tilt(state, book) * outward(side))
    if ticks >= WALL_TICKS and uniform(state) < WALL_CHANCE:
        add(book, record, side, index, 1 + np.int64(WALL_SIZE * uniform(state) * wanted))
    elif lots > 0 and uniform(state) < MODIFY_CHANCE:
        order = pick_order(state, book, side, index)
        resize(book, record, side, index, order, pick(state, ORDER_LOTS))
    elif uniform(state) * (wanted + lots) < wanted:
        add(book, record, side, index, pick(state, ORDER_LOTS))
    elif lots > 3 * wanted and uniform(state) < WALL_PULL_CHANCE:
        cancel(state, book, record, side, index, lots - book.orders[side, index] + 1)
    else:
        cancel(state, book, record, side, index, pick_order(state, book, side, index))
