"""The words that column names are built from, and the closed vocabularies of records and columns."""

from itertools import product

import polars as pl

LEVELS = 10
BANDS = ("p0_1", "p1_2", "p2_3", "p3_5", "p5_10")
BAND_EDGES = (1.0, 2.0, 3.0, 5.0, 10.0)
"""Upper edge of each band: distance from the microprice (or level) in points, inclusive."""
SAME_PTS = 1e-9
"""Distances that differ by less than this compare as equal. Prices in tick sizes such as 0.1 are
rounded in binary, so a level exactly one point away may come out nearer or farther."""
NEAR_BANDS = BANDS[:3]
"""Bands that ten ES levels reach; of the bands, episodes carry only these."""

SIDES = ("bid", "ask")
BOOK_COLUMNS = {
    f"{side}_{what}": [f"{side}_{what}_{level:02d}" for level in range(LEVELS)]
    for what, side in product(("px", "sz", "ct"), SIDES)
}
"""Book columns of a tick by side and kind, best level first."""
BELOW_ABOVE = ("below", "above")
WINDOWS = (3, 12, 36, 72)
"""Derivative windows, in bars of 5 s."""
THIRDS = ("early", "mid", "late")
"""Thirds of the setup window: max(1, n // 3) bars each, the rest to late."""

ACTION = pl.Enum(["A", "C", "M", "R", "T", "F", "N"])
SIDE = pl.Enum(["A", "B", "N"])
"""`order_flow` relies on actions A, C, M and sides A, B coming first."""
LEVEL_TYPE = pl.Enum(["PM_HIGH", "PM_LOW", "OR_HIGH", "OR_LOW"])
OUTCOME = pl.Enum(["STRONG_BREAK", "WEAK_BREAK", "CHOP", "WEAK_BOUNCE", "STRONG_BOUNCE"])
INSTANT = pl.Datetime("ns", "UTC")
NS_PER_DAY = 86_400_000_000_000
MBP10_RTYPE = 10
FLAG_LAST, FLAG_SNAPSHOT, FLAG_BAD_TS_RECV, FLAG_MAYBE_BAD_BOOK = 0x80, 0x20, 0x08, 0x04

F64, I32, I8, FLAG = pl.Float64(), pl.Int32(), pl.Int8(), pl.Boolean()
