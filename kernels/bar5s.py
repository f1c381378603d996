"""Ticks to 5-second bars: one pass over the day, in bounded memory.

The tick loop gives each bar's averages, counts and last book. Everything that is a function of
these is computed afterwards, once a bar.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product

import numpy as np
import polars as pl

from kernels.book import ASK, BID
from kernels.end_of_bar import end_of_bar, frame_of
from kernels.errors import UnusableDay
from kernels.features import (
    BANDS,
    BELOW_ABOVE,
    FLOW_SUMS,
    INSTANT,
    NS_PER_DAY,
    SIDES,
    STATE,
    conform,
    schema,
)
from kernels.holding import BAR_NS
from kernels.order_flow import ADD, CANCEL, CLEAR, FLOW_OF_SIDE, MODIFY, TRADE
from kernels.tick_loop import Bars
from kernels.whole_bars import COLUMNS, CONTEXT, LADDER_COLUMNS, Batch, WholeBars, loop_over

BATCH = 65_536
"""Ticks read at a time, a row group of the lake; fewer or more are slower: docs/performance.md."""
_LONGEST_NS = 2 * NS_PER_DAY
"""Longest span of a day's ticks; one stray time would make millions of empty bars."""
_LATEST_NS = np.iinfo(np.int64).max - BAR_NS
"""Latest time of a tick whose bar still ends at an instant that int64 holds."""
_AHEAD = 2
"""Batches read ahead in parallel, since Polars decodes one batch's columns one by one."""


def _bars_of(batch: Batch, point: float) -> tuple[pl.DataFrame, Bars, pl.DataFrame]:
    """A batch's bar numbers (since the epoch), what the tick loop gives, and their last books."""
    bars = loop_over(batch, point)
    numbers = pl.DataFrame({"bar": np.arange(batch.first, batch.first + batch.n_bars)})
    updated = np.flatnonzero(bars.last_book >= 0)
    rows = bars.last_book[updated] - batch.n_before + CONTEXT
    return numbers, bars, numbers[updated].hstack(batch.rows().select(LADDER_COLUMNS)[rows])


class BarsSoFar:
    """Bars of a day whose ticks come in frames that may end anywhere.

    Batches of whole bars go through the tick loop side by side, a few at a time, so that memory does
    not grow with the day and no value depends on where frames end.
    """

    def __init__(self, point: float = 1.0) -> None:
        """Begin without ticks. point: price of one point, in price units."""
        self._point, self._symbol, self._whole_bars = point, None, WholeBars()
        self._first_ns = self._last_ns = 0
        self._threads = pl.thread_pool_size()
        self._pool = ThreadPoolExecutor(self._threads)
        self._at_work: deque[Future] = deque()
        self._done: list[tuple[pl.DataFrame, Bars, pl.DataFrame]] = []

    def add(self, ticks: pl.DataFrame) -> None:
        """Take in ticks of table `clean_ticks`, not earlier than those before.

        Raises:
            UnusableDay: not in time order. Ticks that cannot be one day's are ignored: see `table`.
        """
        if ticks.is_empty():
            return
        times = ticks["ts_event"].to_physical()
        if self._symbol is None:
            self._symbol, self._first_ns = ticks["symbol"][0], times[0]
        if times[0] < self._last_ns or not times.is_sorted():
            raise UnusableDay("ticks are not in time order; materialise clean_ticks again")
        self._last_ns = times[-1]
        if self._is_no_day():
            return
        if batch := self._whole_bars.add(ticks):
            self._begin(batch)

    def _begin(self, batch: Batch) -> None:
        self._at_work.append(self._pool.submit(_bars_of, batch, self._point))
        if len(self._at_work) >= self._threads:
            self._done.append(self._at_work.popleft().result())

    def _is_no_day(self) -> bool:
        return self._last_ns > min(self._first_ns + _LONGEST_NS, _LATEST_NS)

    def table(self) -> pl.DataFrame:
        """Table `bar5s` of all ticks; none can be added afterwards.

        Raises:
            UnusableDay: they span more than two days, or reach the last instant.
        """
        if self._symbol is None:
            return pl.DataFrame(schema=schema("bar5s"))
        if self._is_no_day():
            ends = pl.Series([self._first_ns, self._last_ns]).cast(INSTANT)
            first, last = ends.dt.to_string("%Y-%m-%d %H:%M")
            raise UnusableDay(
                f"{self._symbol} has ticks from {first} to {last}, which cannot be one day;"
                " download the day's file again"
            )
        self._begin(self._whole_bars.rest())
        self._done += [batch.result() for batch in self._at_work]
        self._pool.shutdown()
        numbers, bars, books = zip(*self._done, strict=True)
        grid, bars = pl.concat(numbers), Bars(*map(np.concatenate, zip(*bars, strict=True)))
        books = grid.join_asof(pl.concat(books), on="bar")
        return _table(grid, self._symbol, bars, books, self._point)


def bar5s(ticks: pl.LazyFrame, point: float = 1.0) -> pl.DataFrame:
    """5-second bars of one day's clean ticks: 256 features a bar, on a gapless grid.

    Args:
        ticks: `clean_ticks`, sorted by (ts_event, sequence); read in batches, so memory does not
            grow with the day.
        point: price of one point, in price units.

    Returns:
        Table `bar5s`, one row a bar from the first tick's to the last tick's; no row if no tick.

    Raises:
        UnusableDay: the ticks span more than two days, reach the last instant, or are not in time
            order.
    """
    bars = BarsSoFar(point)
    for frame in read_ahead(ticks):
        bars.add(frame)
    return bars.table()


def read_ahead(ticks: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Batches of the columns that bars need, read ahead; the file must not change meanwhile."""
    columns, n_ticks = ticks.select("symbol", *COLUMNS), ticks.select(pl.len()).collect().item()
    pending: deque[Future] = deque()
    with ThreadPoolExecutor(_AHEAD) as readers:
        for start in range(0, n_ticks, BATCH):
            pending.append(readers.submit(columns.slice(start, BATCH).collect))
            if len(pending) > _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _table(
    grid: pl.DataFrame, symbol: str, bars: Bars, books: pl.DataFrame, point: float
) -> pl.DataFrame:
    """Table `bar5s`: what the tick loop gives of each bar of a grid, and what follows from it."""
    books = books.select(pl.col(LADDER_COLUMNS).fill_nan(None))
    return conform(
        grid.select(bar_ts=(pl.col("bar") * BAR_NS).cast(INSTANT), symbol=pl.lit(symbol))
        .hstack(frame_of(bars.twa, [f"bar5s_{stem}_twa" for stem, *_ in STATE]))
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
    return pl.from_numpy(sums, names, orient="row")


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
