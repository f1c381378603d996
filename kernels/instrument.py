"""What is traded, and the hours of its day."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
PREMARKET_OPEN = time(5, 0)
CASH_OPEN = time(9, 30)
OPENING_RANGE_END = time(10, 0)
EPISODES_END = time(13, 30)


@dataclass(frozen=True)
class Instrument:
    """A futures root and how its days are read.

    Attributes:
        root: product code, `ES`.
        point: price of one point, in the units of the file's prices; every `_pts` column is a
            price difference divided by it.
        roll: which contract a day keeps: `volume` (most traded that day, ties to the nearest
            expiry), `calendar` (nearest expiry whose expiry month has not begun) or an outright
            symbol such as `ESM5`.
    """

    root: str
    point: float = 1.0
    roll: str = "volume"


def new_york(day: date, clock: time) -> datetime:
    """The instant (UTC) of a New York wall-clock time on a day, daylight saving included."""
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


INSTRUMENTS = {
    instrument.root: instrument
    for instrument in (Instrument("ES"), Instrument("NQ"), Instrument("RTY"), Instrument("YM"))
}
"""The instruments the pipeline knows, by root."""
