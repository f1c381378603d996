"""The day's price levels: extremes of the pre-market and of the opening range."""

from datetime import date

import polars as pl

from kernels.features import schema
from kernels.instrument import CASH_OPEN, OPENING_RANGE_END, PREMARKET_OPEN, new_york

_WINDOWS = {"PM": (PREMARKET_OPEN, CASH_OPEN), "OR": (CASH_OPEN, OPENING_RANGE_END)}


def session_levels(bars: pl.DataFrame, day: date) -> pl.DataFrame:
    """Four levels: PM_HIGH, PM_LOW, OR_HIGH, OR_LOW.

    Args:
        bars: table `bar5s` of the day; may be empty.
        day: the trading day, whose New York hours bound the windows.

    Returns:
        Table `session_levels`. A level is null if no tick is in its window, or no two-sided book by
        its end.
    """
    symbol = bars["symbol"].first()
    rows = []
    for window, (opens, closes) in _WINDOWS.items():
        formed_from, formed_to = new_york(day, opens), new_york(day, closes)
        inside = bars.filter(pl.col("bar_ts").is_between(formed_from, formed_to, closed="left"))
        if not inside["bar5s_meta_msg_cnt_sum"].sum():
            inside = inside.clear()
        price = inside["bar5s_microprice_eob"]
        span = (formed_from, formed_to, formed_to)
        rows.append((day, symbol, f"{window}_HIGH", price.max(), 1, *span))
        rows.append((day, symbol, f"{window}_LOW", price.min(), -1, *span))
    return pl.DataFrame(rows, schema=schema("session_levels"), orient="row")
