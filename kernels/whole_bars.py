"""Batches of whole bars, independent but for two rows carried from the batch before."""

from typing import NamedTuple

import numpy as np
import polars as pl

from kernels.book import Book, books_of, view
from kernels.features import BOOK_COLUMNS
from kernels.holding import BAR_NS
from kernels.order_flow import Ticks
from kernels.tick_loop import TILE, Bars, end_walk, new_bars, new_walk, resume, walk_on

_TICKS = ["ts_event", "action", "side", "price", "size"]
LADDER_COLUMNS = [name for names in BOOK_COLUMNS.values() for name in names]
COLUMNS = [*_TICKS, *LADDER_COLUMNS]
"""Columns of table `clean_ticks` that bars are made of."""

_AS_NUMBERS = (
    pl.selectors.float().fill_null(float("nan")),
    pl.col("ts_event", "action", "side").to_physical(),
)

CONTEXT = 2
"""Rows put before a batch's ticks: the last two-sided book and the last tick."""


class Part(NamedTuple):
    """Consecutive ticks as numbers, and views of their columns.

    context: how many rows come before the ticks.
    """

    rows: pl.DataFrame
    context: int
    ticks: Ticks
    book: Book

    @classmethod
    def of(cls, rows: pl.DataFrame, context: int) -> "Part":
        """The part made of a frame in one chunk."""
        return cls(rows, context, Ticks(*(view(rows[name]) for name in _TICKS)), books_of(rows))

    def last_two_sided(self) -> int | None:
        """The last row that has a price and size on both sides."""
        bid_px, ask_px, bid_sz, ask_sz = (levels[0] for levels in self.book)
        rows = np.flatnonzero(~np.isnan(bid_px + ask_px) & (bid_sz > 0) & (ask_sz > 0))
        return int(rows[-1]) if rows.size else None


class Batch(NamedTuple):
    """Ticks of whole bars.

    parts: one or two. The first one's ticks follow `CONTEXT` rows, the first of them a two-sided book
        if `has_book`; the second one's ticks follow the last tick of the first.
    n_before: how many of the day's ticks precede them.
    first: number of the first bar, counted in bars since the epoch.
    n_bars: number of bars, of which the last may be empty.
    """

    parts: list[Part]
    has_book: bool
    n_before: int
    first: int
    n_bars: int

    def rows(self) -> pl.DataFrame:
        """`CONTEXT` rows, then the ticks."""
        first, *others = (part.rows for part in self.parts)
        return pl.concat([first, *(rows[1:] for rows in others)])

    def last_rows(self) -> tuple[pl.DataFrame, bool]:
        """The last row with a two-sided book and the last row, and whether there is such a book."""
        last = self.parts[-1].rows[[-1]]
        for part in reversed(self.parts):
            row = part.last_two_sided()
            if row is not None:
                return pl.concat([part.rows[[row]], last]), True
        return pl.concat([last, last]), False


class WholeBars:
    """Cuts a day's ticks, which come in frames that may end anywhere, into batches of whole bars.

    The last bar's ticks are kept until one of a later bar comes. Only these are copied, and as many of
    the next ones as it takes to end a batch's first part with a tile.
    """

    def __init__(self) -> None:
        self._bar: int | None = None
        self._kept: list[pl.DataFrame] = []
        self._context, self._has_book, self._n_before = None, False, 0

    def add(self, ticks: pl.DataFrame) -> Batch | None:
        """The bars that are whole once these ticks have come, not earlier than those before."""
        rows = ticks.select(COLUMNS).with_columns(_AS_NUMBERS).rechunk()
        if self._bar is None:
            self._bar, self._context = rows["ts_event"][0] // BAR_NS, rows[[0, 0]]
        bar, batch = rows["ts_event"][-1] // BAR_NS, None
        if bar != self._bar:
            whole = rows["ts_event"].search_sorted(bar * BAR_NS, "left")
            batch, rows = self._cut(rows[:whole], bar), rows[whole:]
        self._kept.append(rows)
        return batch

    def rest(self) -> Batch:
        """What has been kept, the last bar."""
        return self._cut(self._kept.pop(), self._bar + 1)

    def _cut(self, rows: pl.DataFrame, next_bar: int) -> Batch:
        """What has been kept, and the rows that make the bars before `next_bar` whole."""
        n_kept = sum(frame.height for frame in self._kept)
        to_tile = TILE - (self._n_before + n_kept) % TILE
        head = pl.concat([self._context, *self._kept, rows[:to_tile]], rechunk=True)
        parts = [Part.of(head, CONTEXT)]
        if to_tile < rows.height:
            parts.append(Part.of(rows[to_tile - 1 :], 1))
        n_bars = next_bar - self._bar
        batch = Batch(parts, self._has_book, self._n_before, self._bar, n_bars)
        self._context, self._has_book = batch.last_rows()
        self._n_before += n_kept + rows.height
        self._bar, self._kept = next_bar, []
        return batch


def loop_over(batch: Batch, point: float) -> Bars:
    """Run the tick loop over a batch. point: price of one point, in price units."""
    bars, walk, n_before = new_bars(batch.n_bars), new_walk(), batch.n_before
    if batch.has_book:
        resume(walk, batch.parts[0].book, 0, point, batch.first * BAR_NS)
    for _, context, ticks, book in batch.parts:
        walk_on(ticks, book, context, n_before, point, batch.first, walk, bars)
        n_before += ticks.ts.size - context
    end_walk(batch.first, batch.n_bars, walk, bars)
    return bars
