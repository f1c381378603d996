"""What the catalogue says of a column, and its units and families."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from kernels.catalogue.vocabulary import F64


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it is called, how it is stored and what it says.

    unit is one of `UNITS`, alone or with `/bar` or `/bar^2`; family one of `FAMILIES`; meaning
    holds the formula, in one line.
    """

    name: str
    dtype: pl.DataType
    unit: str
    family: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Dimension(Column):
    """One number of a setup vector.

    source: one of `SOURCES`. null_as: what replaces a missing value in the vector. dtype: that of
    the column or summary; the vector holds Float64, true as 1.
    """

    source: str
    null_as: float


Columns = Iterator[Column]

UNITS = {
    "price": "as the venue quotes it",
    "points": "price difference / point, point being one index point",
    "contracts": "size",
    "orders": "resting orders",
    "count": "things counted",
    "bars": "bars of 5 s",
    "level": "book level, 0 the best",
    "ratio": "no dimension",
    "z": "standard deviations from the mean",
    "sign": "+1 or -1",
    "flag": "true or false",
    "code": "one of the values the meaning lists",
    "bits": "bit mask",
    "id": "name or number that identifies",
    "day": "calendar day, UTC",
    "ns UTC": "instant, ns since 1970 UTC",
    "mixed": "each value in the unit of its dimension",
}
"""What each unit is."""

FAMILIES = {
    "key": "which row it is",
    "time": "when it happened",
    "event": "what happened in the book",
    "flags": "what Databento says of the record",
    "instrument": "which contract",
    "book": "the ten levels a side after the event",
    "price": "where the market is",
    "message": "records counted by action",
    "spread": "distance between the best prices",
    "imbalance": "bid size against ask size",
    "depth": "resting size, in total and by distance from the microprice",
    "ladder": "gaps between the levels",
    "shape": "the ten levels a side at the bar's end",
    "flow": "size and orders added and removed, by distance from the microprice",
    "trade": "trades and their aggressors",
    "wall": "levels of outstanding size",
    "level": "the session level",
    "window": "the span of bars or time something is taken from",
    "trigger": "the touch, and the bar's place before or after it",
    "outcome": "what followed the touch",
    "position": "where price is relative to the level, and where it came from",
    "derivative": "how fast a series moves, and whether it speeds up",
    "cumulative": "sums since the episode began",
    "level-relative": "depth and flow relative to the level rather than the microprice",
    "setup": "summaries of the bars up to the trigger",
    "recent": "the last 12 bars up to the trigger",
    "vector": "everything known at the trigger, as numbers",
}
"""What the columns of each family say."""

SOURCES = {
    "trigger bar": "the column of that name in approach_features, at the trigger bar",
    "setup window": "a summary of the bars up to and including the trigger",
    "last 12 bars": "a summary of the setup window's last 12 bars",
}
"""Where the dimensions of a setup vector come from."""


def feature(stem: str, unit: str, family: str, meaning: str, dtype: pl.DataType = F64) -> Column:
    """The column `bar5s_{stem}`."""
    return Column(f"bar5s_{stem}", dtype, unit, family, meaning)
