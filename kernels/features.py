"""The catalogue: every column of every table, in order, with dtype, unit, family and meaning.

Column order, dtypes, empty tables, table schemas in the UI, the features page and the tests come
from here. The columns themselves are in `kernels.catalogue`, a module a table. Missing is null,
never NaN.
"""

from typing import TypeVar

import polars as pl

from kernels.catalogue import (
    approach_features,
    bar5s,
    clean_ticks,
    level_episodes,
    session_levels,
    setup_vectors,
)
from kernels.catalogue.approach_features import CUMULATIVES, DERIVATIVES
from kernels.catalogue.bar5s import FLOW_SUMS, STATE
from kernels.catalogue.column import FAMILIES, SOURCES, UNITS, Column
from kernels.catalogue.setup_vectors import (
    MISSING_WALL_PTS,
    RECENT_CHANGES,
    RECENT_SUMS,
    SETUP_IMBALANCES,
    SETUP_VOLUMES,
    VECTOR_DIMS,
)
from kernels.catalogue.vocabulary import (
    ACTION,
    BAND_EDGES,
    BANDS,
    BELOW_ABOVE,
    BOOK_COLUMNS,
    FLAG_BAD_TS_RECV,
    FLAG_LAST,
    FLAG_MAYBE_BAD_BOOK,
    FLAG_SNAPSHOT,
    INSTANT,
    LEVEL_TYPE,
    LEVELS,
    MBP10_RTYPE,
    NEAR_BANDS,
    NS_PER_DAY,
    OUTCOME,
    SAME_PTS,
    SIDE,
    SIDES,
    THIRDS,
    WINDOWS,
)

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

TABLES: dict[str, tuple[Column, ...]] = {
    "clean_ticks": clean_ticks.COLUMNS,
    "bar5s": bar5s.COLUMNS,
    "session_levels": session_levels.COLUMNS,
    "level_episodes": level_episodes.COLUMNS,
    "approach_features": approach_features.COLUMNS,
    "setup_vectors": setup_vectors.COLUMNS,
}
"""Every table's columns, in order."""


def schema(table: str) -> pl.Schema:
    """Names and dtypes of a table's columns, in order."""
    return pl.Schema({column.name: column.dtype for column in TABLES[table]})


def conform(frame: Frame, table: str) -> Frame:
    """A table's columns, in order, cast strictly; Polars raises if one is missing."""
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema(table).items())
