"""Ticks to 5-second bars: one pass over the day, in bounded memory.

The tick loop gives each bar's averages, counts and last book. Everything that is a function of
these is computed afterwards, once a bar.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import product

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
    Bars,
    Ticks,
    Walk,
    end_walk,
    new_bars,
    new_walk,
    resume,
    walk_span,
)

_BATCH = 65_536
"""Ticks read at a time, two row groups of the lake, which are decoded side by side: all of the day
that is in memory."""

_AS_NUMBERS = (
    pl.selectors.float().fill_null(float("nan")),
    pl.col("ts_event", "action", "side").to_physical(),
)
_TICK_COLUMNS = ["ts_event", "action", "side", "price", "size"]
_LADDER_COLUMNS = [name for names in BOOK_COLUMNS.values() for name in names]


def _batches(ticks: pl.LazyFrame, n_ticks: int) -> Iterator[pl.DataFrame]:
    """What the tick loop reads, in batches, before each the tick before (the first has itself)."""
    read = ticks.select(*_TICK_COLUMNS, *_LADDER_COLUMNS).with_columns(_AS_NUMBERS)
    before = read.head(1).collect()
    for start in range(0, n_ticks, _BATCH):
        batch = pl.concat([before, read.slice(start, _BATCH).collect()], rechunk=True)
        before = batch[[-1]]
        yield batch


def _as_arrays(batch: pl.DataFrame) -> tuple[Ticks, Book]:
    """NumPy views of a batch's columns."""
    return Ticks(*(view(batch[name]) for name in _TICK_COLUMNS)), books_of(batch)


def _spans(
    ticks: Ticks, book: Book, point: float, first_bar: int, walk: Walk, wanted: int
) -> list[tuple[int, Walk]]:
    """Where to divide a batch, at most into as many spans as wanted, and the walk of each.

    Row 0 is the tick before. The first span goes on with the walk before; each other one begins
    with a bar.
    """
    spans = [(1, walk)]
    for part in range(1, wanted):
        bar = ticks.ts[part * ticks.ts.size // wanted] // BAR_NS
        row = int(np.searchsorted(ticks.ts, bar * BAR_NS))
        resumed = new_walk()
        if row > spans[-1][0] and resume(resumed, book, row, point, bar * BAR_NS, bar - first_bar):
            spans.append((row, resumed))
    return spans


def _walk_batch(
    ticks: Ticks, book: Book, point: float, first_bar: int, walk: Walk, bars: Bars, pool: Executor
) -> Walk:
    """The ticks of one batch, spans of it side by side; the walk to go on with."""
    spans = _spans(ticks, book, point, first_bar, walk, pl.thread_pool_size())
    stops = [row for row, _ in spans[1:]]

    def go(start: int, walk: Walk, stop: int | None) -> None:
        walk_span(ticks, book, start, stop or ticks.ts.size, point, first_bar, walk, bars)
        if stop is not None:
            end_walk(walk, first_bar, ticks.ts[stop] // BAR_NS - first_bar, bars)

    list(pool.map(go, *zip(*spans, strict=True), [*stops, None]))
    return spans[-1][1]


def _walk_day(
    ticks: pl.LazyFrame, n_ticks: int, point: float, first_bar: int, n_bars: int
) -> tuple[Bars, pl.DataFrame]:
    """All batches through the tick loop: the bars' sums and averages, and each bar's last book."""
    bars, walk, books = new_bars(n_bars), new_walk(), []
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        for batch in _batches(ticks, n_ticks):
            walk = _walk_batch(*_as_arrays(batch), point, first_bar, walk, bars, pool)
            updated = np.flatnonzero(bars.last_book >= 0)
            books.append(batch[bars.last_book[updated]].with_columns(bar=pl.Series(updated)))
            bars.last_book[updated] = -1
    end_walk(walk, first_bar, n_bars, bars)
    grid = pl.DataFrame({"bar": np.arange(n_bars)})
    books = pl.concat(books).unique("bar", keep="last", maintain_order=True)
    return bars, grid.join_asof(books, on="bar").select(pl.col(_LADDER_COLUMNS).fill_nan(None))


def bar5s(ticks: pl.LazyFrame, point: float = 1.0) -> pl.DataFrame:
    """5-second bars of one day's clean ticks: 256 features a bar, a gapless grid.

    Args:
        ticks: `clean_ticks`, sorted by (ts_event, sequence); read in batches, so memory does not
            grow with the day.
        point: price of one point, in price units.

    Returns:
        Table `bar5s`, one row a bar from the first tick's to the last tick's; no row for no tick.
    """
    n_ticks, first, last, symbol = (
        ticks.select(
            pl.len(),
            pl.col("ts_event").first().to_physical() // BAR_NS,
            pl.col("ts_event").last().to_physical().alias("last") // BAR_NS,
            pl.col("symbol").first(),
        )
        .collect()
        .row(0)
    )
    if first is None:
        return pl.DataFrame(schema=schema("bar5s"))
    bars, books = _walk_day(ticks, n_ticks, point, first, last - first + 1)
    return conform(
        pl.select(
            bar_ts=(pl.int_range(first, last + 1, dtype=pl.Int64) * BAR_NS).cast(
                pl.Datetime("ns", "UTC")
            ),
            symbol=pl.lit(symbol),
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
