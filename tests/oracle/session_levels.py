"""The highs and lows of the pre-market and the opening range."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from tests.oracle.arithmetic import Row, column, present

NEW_YORK = ZoneInfo("America/New_York")
SESSIONS = {"PM": (time(5, 0), time(9, 30)), "OR": (time(9, 30), time(10, 0))}
LEVEL_TYPES = ("PM_HIGH", "PM_LOW", "OR_HIGH", "OR_LOW")


def new_york_ns(day: date, clock: time) -> int:
    return int(datetime.combine(day, clock, NEW_YORK).timestamp()) * 1_000_000_000


def polarity_of(level_type: str) -> int:
    return 1 if level_type.endswith("HIGH") else -1


def session_levels(bars: list[Row], day: date) -> list[Row]:
    """High and low of the end-of-bar microprice, pre-market and opening range.

    The price is None where the window has no tick or no microprice.
    """
    levels = []
    for level_type in LEVEL_TYPES:
        session, extreme = level_type.split("_")
        opens, closes = (new_york_ns(day, clock) for clock in SESSIONS[session])
        window = [bar for bar in bars if opens <= bar["bar_ts"] < closes]
        prices = present(column(window, "bar5s_microprice_eob"))
        price = None
        if prices and sum(column(window, "bar5s_meta_msg_cnt_sum")) > 0:
            price = max(prices) if extreme == "HIGH" else min(prices)
        levels.append(
            {
                "date": day,
                "symbol": bars[0]["symbol"] if bars else None,
                "level_type": level_type,
                "level_price": price,
                "polarity": polarity_of(level_type),
                "formed_from": opens,
                "formed_to": closes,
                "valid_from": closes,
            }
        )
    return levels
