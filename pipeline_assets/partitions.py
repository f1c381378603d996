"""The trading days: one partition each, on the CME calendar."""

from datetime import datetime

import dagster as dg
import exchange_calendars
import pandas as pd

FIRST_DAY = "2010-06-07"
"""The first weekday of Databento's CME history."""

_WEEKENDS = "0 0 * * 0,6"


def _holidays() -> list[datetime]:
    """Weekdays without a session of CME's equity index futures, until a year from now."""
    calendar = exchange_calendars.get_calendar("CMES", start=FIRST_DAY)
    weekdays = pd.bdate_range(calendar.first_session, calendar.last_session)
    return weekdays.difference(calendar.sessions).to_pydatetime().tolist()


trading_days = dg.DailyPartitionsDefinition(
    start_date=FIRST_DAY, end_offset=1, exclusions=[_WEEKENDS, *_holidays()]
)
"""Partition key = trading day = UTC day of the raw file; weekends and full holidays have none."""
