"""Columns of `session_levels`: the day's four price levels."""

import polars as pl

from kernels.catalogue.column import Column
from kernels.catalogue.vocabulary import F64, I8, INSTANT, LEVEL_TYPE

COLUMNS = (
    Column("date", pl.Date(), "day", "key", "trading day, the UTC day of the file"),
    Column("symbol", pl.String(), "id", "key", "outright contract; null on a day with no bar"),
    Column(
        "level_type",
        LEVEL_TYPE,
        "code",
        "key",
        "PM_HIGH, PM_LOW of 05:00-09:30 New York, OR_HIGH, OR_LOW of 09:30-10:00, by bar start",
    ),
    Column(
        "level_price",
        F64,
        "price",
        "level",
        "L = max (HIGH) or min (LOW) of bar5s_microprice_eob in the window; null: no tick or book",
    ),
    Column("polarity", I8, "sign", "level", "+1 for highs, -1 for lows"),
    Column("formed_from", INSTANT, "ns UTC", "window", "start of the window"),
    Column("formed_to", INSTANT, "ns UTC", "window", "end of the window, exclusive"),
    Column(
        "valid_from", INSTANT, "ns UTC", "window", "start of the first bar that may touch the level"
    ),
)
"""Every column, in order."""
