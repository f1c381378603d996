"""The stages of a day, in order: which table each makes, and of which tables.

An asset is one of them; `make_tables` takes a day through them in one process.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

import polars as pl
from polars.io.plugins import register_io_source

import kernels
from kernels.features import schema
from kernels.instrument import Instrument
from resources.dbn import read_dbn
from resources.lake import (
    Facts,
    LakeDay,
    Made,
    Sink,
    UnreadableTable,
    damage_of,
    write_table,
)
from resources.raw_files import raw_files


class TradingDay(NamedTuple):
    """One root's trading day, and where its raw files are looked for."""

    instrument: Instrument
    date: date
    raw: Path


class Stage(NamedTuple):
    """One stage: its table, the tables it reads and the version of its numbers.

    about: what the table is, for someone who meets it for the first time.
    """

    table: str
    about: str
    reads: tuple[str, ...]
    compute: Callable[..., Made]
    kinds: frozenset[str]
    version: str

    def make(self, day: TradingDay, **tables: pl.LazyFrame) -> Made:
        """The stage's table of a day, from the tables it reads.

        Raises:
            UnreadableTable: one of them is damaged.
        """
        began = time.perf_counter()
        try:
            return self.compute(day, **tables)._replace(began=began)
        except pl.exceptions.PolarsError:
            _refuse_damaged(day, tables)
            raise


def _refuse_damaged(day: TradingDay, tables: Mapping[str, pl.LazyFrame]) -> None:
    for table, frame in tables.items():
        if damage := damage_of(frame):
            raise UnreadableTable(
                f"{day.instrument.root} {day.date}: {table} in the lake cannot be read: {damage};"
                f" materialise {table} of that day again"
            )


def _clean_ticks(day: TradingDay) -> Made:
    return _ticks(day, kernels.Reading.batches)


def _ticks(day: TradingDay, batches: Callable[[kernels.Reading], Iterator[pl.DataFrame]]) -> Made:
    """The ticks of a day, as `batches` takes them from each of its readings."""
    files = raw_files(day.raw, day.instrument.root, day.date)
    records = read_dbn(*files)

    def into(sink: Sink) -> None:
        with _named(day, *files):
            for reading in kernels.readings(records, day.instrument, day.date):
                sink(_as_read(batches(reading)), partial(_facts_of, reading, files))

    return Made(into)


@contextmanager
def _named(day: TradingDay, *sources: Path | str) -> Iterator[None]:
    """Have errors of a day's data name the day and the files or table that they are in."""
    try:
        yield
    except kernels.UnusableDay as error:
        names = ", ".join(map(str, sources))
        raise kernels.UnusableDay(f"{day.instrument.root} {day.date}, {names}: {error}.") from error


def _as_read(batches: Iterator[pl.DataFrame]) -> pl.LazyFrame:
    """A scan that gives the batches once, whole, whatever a plan asks for: to write them all."""
    return register_io_source(lambda *_: batches, schema=schema("clean_ticks"))


def _facts_of(reading: kernels.Reading, files: list[Path]) -> Facts:
    """The contract and files of clean ticks, and what was dropped; once they have been read."""
    dropped = {f"dropped/{reason}": count for reason, count in reading.dropped.items()}
    names = ", ".join(path.name for path in files)
    return {"contract": reading.contract, "files": names} | dropped


def _bar5s(day: TradingDay, clean_ticks: pl.LazyFrame) -> Made:
    with _named(day, "clean_ticks"):
        return Made(kernels.bar5s(clean_ticks, day.instrument.point))


def _ticks_and_bars(day: TradingDay) -> tuple[Made, Callable[[], Made]]:
    """`clean_ticks`, and the `bar5s` made of them while they are written, to be asked for afterwards."""
    bars: kernels.BarsSoFar

    def shown(reading: kernels.Reading) -> Iterator[pl.DataFrame]:
        nonlocal bars
        bars = kernels.BarsSoFar(day.instrument.point)

        def show(batch: pl.DataFrame) -> pl.DataFrame:
            bars.add(batch)
            return batch

        return map(show, reading.batches())

    def made() -> Made:
        with _named(day, "clean_ticks"):
            return Made(bars.table())

    return _ticks(day, shown), made


def _session_levels(day: TradingDay, bar5s: pl.LazyFrame) -> Made:
    return Made(kernels.session_levels(bar5s.collect(), day.date))


def _level_episodes(day: TradingDay, bar5s: pl.LazyFrame, session_levels: pl.LazyFrame) -> Made:
    return Made(
        kernels.level_episodes(
            bar5s.collect(), session_levels.collect(), day.date, day.instrument.point
        )
    )


def _approach_features(day: TradingDay, level_episodes: pl.LazyFrame) -> Made:
    return Made(kernels.approach_features(level_episodes.collect(), day.instrument.point))


def _setup_vectors(day: TradingDay, approach_features: pl.LazyFrame) -> Made:
    return Made(kernels.setup_vectors(approach_features.collect()))


_POLARS, _NUMBA = frozenset({"polars"}), frozenset({"polars", "numba"})

STAGES = (
    Stage(
        "clean_ticks",
        "Every event of the order book of the day's contract, one per row: what happened"
        " (an order added, cancelled or modified, a trade) and the ten best bids and asks right"
        " after it. Records of other contracts and spreads, and books whose bid is not below the"
        " ask, are left out and counted. Rows are in time order.",
        (),
        _clean_ticks,
        _NUMBA,
        "3",
    ),
    Stage(
        "bar5s",
        "The day in bars of 5 seconds, even where nothing happened: the price (microprice), the"
        " spread, how deep and how lopsided the book is, as it stands at the bar's end (`_eob`)"
        " and on average over the bar (`_twa`); and what came in during it (`_sum`): orders added"
        " and removed by distance from the price, trades and their aggressors.",
        ("clean_ticks",),
        _bar5s,
        _NUMBA,
        "2",
    ),
    Stage(
        "session_levels",
        "Four prices the market remembers: high and low of the pre-market (05:00-09:30 New York)"
        " and of the opening range (09:30-10:00). A level counts as touched only after its window"
        " has closed.",
        ("bar5s",),
        _session_levels,
        _POLARS,
        "1",
    ),
    Stage(
        "level_episodes",
        "What price did around every touch of a session level until 13:30 New York: the bars from"
        " 15 minutes before the touch to 8 minutes or more after it, but none after 13:30, and the"
        " outcome within 6 minutes: through the level (break), back from it (bounce) or neither"
        " (chop). Bars after the touch, and columns marked (future), are its future. Episodes"
        " overlap: a bar has a row in each of its episodes.",
        ("bar5s", "session_levels"),
        _level_episodes,
        _NUMBA,
        "2",
    ),
    Stage(
        "approach_features",
        "Every bar of every episode as seen from its level: the distance and how fast it changes,"
        " flows summed since the episode began, size and flow on either side of the level, and"
        " summaries of the approach up to the touch (`setup`).",
        ("level_episodes",),
        _approach_features,
        _POLARS,
        "2",
    ),
    Stage(
        "setup_vectors",
        "One vector of 147 numbers per episode: what was known when the level was touched and"
        " nothing later, with the outcome beside it. The table in which to look for similar setups,"
        " or from which to learn.",
        ("approach_features",),
        _setup_vectors,
        _POLARS,
        "2",
    ),
)


def make_tables(
    day: TradingDay, tables: LakeDay, wanted: Collection[str]
) -> Iterator[tuple[str, float]]:
    """Make a day's tables, write them to the lake, and pass on in memory what the next ones need.

    Ticks are too many to be held and take longer to read back than to make bars of, so bars are made
    as ticks are written, and the seconds this takes count as the ticks'.

    Args:
        day: the day.
        tables: where its tables lie and are held.
        wanted: names of the tables to make; others they are made of come from the lake.

    Returns:
        Each table's name as soon as it is written, and the seconds that took.
    """
    bars, stages = None, [stage for stage in STAGES if stage.table in wanted]
    for at, stage in enumerate(stages):
        began = time.perf_counter()
        tables.keep_only({table for later in stages[at:] for table in later.reads})
        if stage.table == "clean_ticks" and "bar5s" in wanted:
            made, bars = _ticks_and_bars(day)
        elif stage.table == "bar5s" and bars:
            made, bars = bars(), None
        else:
            made = stage.make(day, **{table: tables.scan(table) for table in stage.reads})
        write_table(made, tables.path(stage.table))
        tables.hold_made(stage.table, made)
        yield stage.table, time.perf_counter() - began
