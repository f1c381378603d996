"""Ticks to 5-second bars: one pass over the day, in bounded memory.

The tick loop gives each bar's averages, counts and last book. Everything that is a function of
these is computed afterwards, once a bar.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl

from kernels.book import ASK, BID, Book, books_of, view
from kernels.end_of_bar import end_of_bar
from kernels.features import (
    BANDS,
    BELOW_ABOVE,
    BOOK_COLUMNS,
    FLOW_SUMS,
    SIDES,
    STATE,
    conform,
    schema,
)
from kernels.order_flow import ADD, CANCEL, CLEAR, FLOW_OF_SIDE, MODIFY, TRADE
from kernels.tick_loop import (
    BAR_NS,
    TILE,
    Bars,
    Ticks,
    end_walk,
    new_bars,
    new_walk,
    resume,
    walk_on,
)

_BATCH = 65_536
"""Ticks read at a time, two row groups of the lake, which are decoded side by side."""

_TICK_COLUMNS = ["ts_event", "action", "side", "price", "size"]
_LADDER_COLUMNS = [name for names in BOOK_COLUMNS.values() for name in names]
_COLUMNS = [*_TICK_COLUMNS, *_LADDER_COLUMNS]
_AS_NUMBERS = (
    pl.selectors.float().fill_null(float("nan")),
    pl.col("ts_event", "action", "side").to_physical(),
)


class Batch(NamedTuple):
    """Ticks of whole bars.

    frames: the ticks as numbers, in one frame or two, rows before them in each: in the first
        `BEFORE`, the last two-sided book if `has_book`, and the last tick; in the second that tick.
    n_before: ticks of the day before them.
    first: the first bar's start, in bars.
    n_bars: of bars, the last ones being maybe empty.
    """

    frames: list[pl.DataFrame]
    has_book: bool
    n_before: int
    first: int
    n_bars: int

    def parts(self) -> Iterator[tuple[int, Ticks, Book]]:
        """NumPy views of each frame's columns, and how many rows are before its ticks."""
        for before, rows in zip((BEFORE, 1), self.frames, strict=False):
            yield before, Ticks(*(view(rows[name]) for name in _TICK_COLUMNS)), books_of(rows)

    def rows(self) -> pl.DataFrame:
        """`BEFORE` rows, then the ticks."""
        return pl.concat([self.frames[0], *(rows[1:] for rows in self.frames[1:])])


BEFORE = 2


class WholeBars:
    """Cuts a day's ticks, which come in frames that may end anywhere, into batches of whole bars.

    Of the ticks added the last bar's are kept until one of a later bar comes. Only these are copied,
    and as many of the next ones as make the first frame of a batch end with a tile.
    """

    def __init__(self) -> None:
        self._bar: int | None = None
        self._kept: list[pl.DataFrame] = []
        self._before, self._has_book, self._n_before = None, False, 0

    def add(self, ticks: pl.DataFrame) -> Batch | None:
        """The bars that are whole once these ticks have come, later ones than those before."""
        rows = ticks.select(_COLUMNS).with_columns(_AS_NUMBERS).rechunk()
        if self._bar is None:
            self._bar, self._before = rows["ts_event"][0] // BAR_NS, rows[[0, 0]]
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
        """What has been kept and some rows more, with which the bars before the next one are whole."""
        n_kept = sum(frame.height for frame in self._kept)
        to_tile = TILE - (self._n_before + n_kept) % TILE
        frames = [pl.concat([self._before, *self._kept, rows[:to_tile]], rechunk=True)]
        if to_tile < rows.height:
            frames.append(rows[to_tile - 1 :])
        n_bars = next_bar - self._bar
        batch = Batch(frames, self._has_book, self._n_before, self._bar, n_bars)
        book, last = _last_two_sided(frames), frames[-1][[-1]]
        self._before, self._has_book = (
            pl.concat([last if book is None else book, last]),
            book is not None,
        )
        self._n_before += n_kept + rows.height
        self._bar, self._kept = next_bar, []
        return batch


def _last_two_sided(frames: list[pl.DataFrame]) -> pl.DataFrame | None:
    """The last row that has a price and size on both sides."""
    for rows in reversed(frames):
        bid_px, ask_px, bid_sz, ask_sz = (levels[0] for levels in books_of(rows))
        found = np.flatnonzero(~np.isnan(bid_px + ask_px) & (bid_sz > 0) & (ask_sz > 0))
        if found.size:
            return rows[[int(found[-1])]]
    return None


def walk(batch: Batch, point: float) -> Bars:
    """A batch through the tick loop."""
    bars, walk, n_before = new_bars(batch.n_bars), new_walk(), batch.n_before
    if batch.has_book:
        resume(walk, books_of(batch.frames[0]), 0, point, batch.first * BAR_NS)
    for start, ticks, book in batch.parts():
        walk_on(ticks, book, start, n_before, point, batch.first, walk, bars)
        n_before += ticks.ts.size - start
    end_walk(batch.first, batch.n_bars, walk, bars)
    return bars


def _bars_of(batch: Batch, point: float) -> tuple[pl.DataFrame, Bars, pl.DataFrame]:
    """Bars of a batch: when they begin, in bars, what the tick loop gives, and their last books."""
    bars = walk(batch, point)
    starts = pl.DataFrame({"bar": np.arange(batch.first, batch.first + batch.n_bars)})
    updated = np.flatnonzero(bars.last_book >= 0)
    rows = bars.last_book[updated] - batch.n_before + BEFORE
    return starts, bars, starts[updated].hstack(batch.rows().select(_LADDER_COLUMNS)[rows])


class BarsSoFar:
    """Bars of a day whose ticks come in frames that may end anywhere.

    Batches of whole bars go through the tick loop side by side, a few at a time, so that memory does
    not grow with the day and no value depends on where frames end.
    """

    def __init__(self, point: float = 1.0) -> None:
        """Begin without ticks. point: price of one point, in price units."""
        self._point, self._symbol, self._whole_bars = point, None, WholeBars()
        self._threads = pl.thread_pool_size()
        self._pool = ThreadPoolExecutor(self._threads)
        self._at_work: deque[Future] = deque()
        self._done: list[tuple[pl.DataFrame, Bars, pl.DataFrame]] = []

    def add(self, ticks: pl.DataFrame) -> None:
        """Take in ticks of table `clean_ticks`, later than those before."""
        if ticks.is_empty():
            return
        self._symbol = ticks["symbol"][0]
        if batch := self._whole_bars.add(ticks):
            self._begin(batch)

    def _begin(self, batch: Batch) -> None:
        self._at_work.append(self._pool.submit(_bars_of, batch, self._point))
        if len(self._at_work) > self._threads:
            self._done.append(self._at_work.popleft().result())

    def table(self) -> pl.DataFrame:
        """Table `bar5s` of all ticks; none can be added any more."""
        if self._symbol is None:
            return pl.DataFrame(schema=schema("bar5s"))
        self._begin(self._whole_bars.rest())
        self._done += [batch.result() for batch in self._at_work]
        self._pool.shutdown()
        starts, bars, books = zip(*self._done, strict=True)
        grid, bars = pl.concat(starts), Bars(*map(np.concatenate, zip(*bars, strict=True)))
        books = grid.join_asof(pl.concat(books), on="bar")
        return _table(grid, self._symbol, bars, books, self._point)


def bar5s(ticks: pl.LazyFrame, point: float = 1.0) -> pl.DataFrame:
    """5-second bars of one day's clean ticks: 256 features a bar, a gapless grid.

    Args:
        ticks: `clean_ticks`, sorted by (ts_event, sequence); read in batches, so memory does not
            grow with the day.
        point: price of one point, in price units.

    Returns:
        Table `bar5s`, one row a bar from the first tick's to the last tick's; no row for no tick.
    """
    bars, columns = BarsSoFar(point), ticks.select("symbol", *_COLUMNS)
    for start in range(0, ticks.select(pl.len()).collect().item(), _BATCH):
        bars.add(columns.slice(start, _BATCH).collect())
    return bars.table()


def _table(
    grid: pl.DataFrame, symbol: str, bars: Bars, books: pl.DataFrame, point: float
) -> pl.DataFrame:
    """Table `bar5s`: what the tick loop gives of each bar of a grid, and what follows from it."""
    books = books.select(pl.col(_LADDER_COLUMNS).fill_nan(None))
    return conform(
        grid.select(
            bar_ts=(pl.col("bar") * BAR_NS).cast(pl.Datetime("ns", "UTC")), symbol=pl.lit(symbol)
        )
        .hstack(pl.from_numpy(bars.twa, [f"bar5s_{stem}_twa" for stem, *_ in STATE]).fill_nan(None))
        .hstack(_counts(bars))
        .hstack(_flow(bars, "bid", BID))
        .hstack(_flow(bars, "ask", ASK))
        .hstack(end_of_bar(books, point))
        .with_columns(_net_flow())
        .with_columns(_normalised_flow()),
        "bar5s",
    )


def _counts(bars: Bars) -> pl.DataFrame:
    """Message counts and trade sums."""
    actions, traded = bars.actions.T, bars.traded.T
    return pl.DataFrame(
        {
            "bar5s_meta_msg_cnt_sum": actions.sum(axis=0),
            "bar5s_meta_clear_cnt_sum": actions[CLEAR],
            "bar5s_meta_add_cnt_sum": actions[ADD],
            "bar5s_meta_cancel_cnt_sum": actions[CANCEL],
            "bar5s_meta_modify_cnt_sum": actions[MODIFY],
            "bar5s_meta_trade_cnt_sum": actions[TRADE],
            "bar5s_trade_cnt_sum": actions[TRADE],
            "bar5s_trade_vol_sum": traded.sum(axis=0),
            "bar5s_trade_aggbuy_vol_sum": traded[BID],
            "bar5s_trade_aggsell_vol_sum": traded[ASK],
            "bar5s_trade_signed_vol_sum": traded[BID] - traded[ASK],
        }
    )


def _flow(bars: Bars, side: str, code: int) -> pl.DataFrame:
    """Flow sums of a side, by its code, in each band."""
    sums = bars.flow[:, code * FLOW_OF_SIDE : (code + 1) * FLOW_OF_SIDE]
    names = [f"bar5s_flow_{kind}_{side}_{band}_sum" for band, kind in product(BANDS, FLOW_SUMS)]
    return pl.from_numpy(sums, names)


def _net_flow() -> Iterator[pl.Expr]:
    for side, band in product(SIDES, BANDS):
        added, removed = (
            pl.col(f"bar5s_flow_{what}_vol_{side}_{band}_sum") for what in ("add", "rem")
        )
        yield (added - removed).alias(f"bar5s_flow_net_vol_{side}_{band}_sum")


def _normalised_flow() -> Iterator[pl.Expr]:
    """Net flow over the band's average size on that side, at least one contract."""
    for (side, where), band in product(zip(SIDES, BELOW_ABOVE, strict=True), BANDS):
        net = pl.col(f"bar5s_flow_net_vol_{side}_{band}_sum")
        size = pl.col(f"bar5s_depth_{where}_{band}_qty_twa").clip(lower_bound=1).fill_null(1)
        yield (net / size).alias(f"bar5s_flow_net_volnorm_{side}_{band}_sum")
