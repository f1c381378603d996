"""Days to draw, and what their pictures and figures say."""

import struct
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import kernels
from kernels.features import TABLES, schema
from kernels.instrument import INSTRUMENTS
from pipeline_assets.previews import episodes, levels, market, style
from resources.dbn import read_dbn
from tests.conftest import DAY, from_bars

EVENTS = 60_000
WINTER, SUMMER = date(2025, 1, 15), DAY


class Day(NamedTuple):
    """The tables of one day, and what its cleaning dropped."""

    ticks: pl.LazyFrame
    bars: pl.DataFrame
    levels: pl.DataFrame
    episodes: pl.DataFrame
    approach: pl.DataFrame
    vectors: pl.DataFrame
    dropped: dict[str, int]


def run(ticks: pl.DataFrame, dropped: dict[str, int]) -> Day:
    """The whole chain from clean ticks."""
    return Day(ticks.lazy(), *from_bars(kernels.bar5s(ticks.lazy())), dropped)


@pytest.fixture(scope="session")
def cleaned_day(day_file: Callable[[int, bool], Path]) -> tuple[pl.DataFrame, dict[str, int]]:
    """The ticks of a small dirty day, and what was dropped."""
    clean = kernels.clean_ticks(read_dbn(day_file(EVENTS, True)), INSTRUMENTS["ES"], DAY)
    return clean.ticks, clean.dropped


@pytest.fixture(scope="session")
def drawn_day(cleaned_day: tuple[pl.DataFrame, dict[str, int]]) -> Day:
    """The tables of that day."""
    return run(*cleaned_day)


@pytest.fixture(scope="session")
def winter_day(drawn_day: Day) -> Day:
    """The same market on a day of standard time: its New York clocks are an hour earlier."""
    offset = f"{(WINTER - DAY).days}d"
    shifted = drawn_day.ticks.with_columns(pl.col("ts_event").dt.offset_by(offset))
    bars = drawn_day.bars.with_columns(pl.col("bar_ts").dt.offset_by(offset))
    return Day(shifted, *from_bars(bars, WINTER), drawn_day.dropped)


@pytest.fixture(scope="session")
def empty_day() -> Day:
    """Tables without a row."""
    tables = {table: pl.DataFrame(schema=schema(table)) for table in TABLES}
    return Day(tables.pop("clean_ticks").lazy(), *tables.values(), {})


def pictures(day: Day) -> dict[str, bytes]:
    """The PNG of every table."""
    return {table: style.png(figure) for table, figure in figures(day).items()}


def figures(day: Day) -> dict[str, Figure]:
    """The figure of every table."""
    return {
        "clean_ticks": market.clean_ticks(day.ticks, day.dropped),
        "bar5s": market.bar5s(day.bars),
        "session_levels": levels.session_levels(day.bars, day.levels),
        "level_episodes": levels.level_episodes(day.bars, day.levels, day.episodes),
        "approach_features": episodes.approach_features(day.approach),
        "setup_vectors": episodes.setup_vectors(day.vectors),
    }


def size(png: bytes) -> tuple[int, int]:
    """Width and height as the PNG's header says."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.endswith(b"IEND\xaeB`\x82")
    return struct.unpack(">II", png[16:24])


def words(figure: Figure) -> str:
    """Every text of a figure and its panels."""
    texts = figure.texts + [text for axes in figure.axes for text in axes.texts]
    return "\n".join(text.get_text() for text in texts)


def time_axis(figure: Figure) -> Axes:
    """The panel whose x axis says New York time."""
    return next(axes for axes in figure.axes if axes.get_xlabel().startswith("New York time"))
