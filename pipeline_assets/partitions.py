"""The trading days: one partition each, on the CME calendar."""

from datetime import date, datetime, time

import dagster as dg
import pandas as pd
from exchange_calendars.exchange_calendar import HolidayCalendar
from exchange_calendars.exchange_calendar_cmes import CMESExchangeCalendar
from exchange_calendars.us_holidays import USJuneteenth

FIRST_DAY = "2010-06-07"
"""The first weekday of Databento's CME history."""

_WEEKENDS = "0 0 * * 0,6"


class _IndexFutures(CMESExchangeCalendar):
    """The library's calendar, with the half day that it lacks."""

    @property
    def special_closes(self) -> list[tuple[time, HolidayCalendar]]:
        """Closes before the usual one, in Chicago."""
        return [*super().special_closes, (time(12), HolidayCalendar([USJuneteenth]))]


_CALENDAR = _IndexFutures(start=FIRST_DAY)


def _holidays() -> dict[date, str]:
    """Weekdays that are no trading days, by name, until a year from now.

    CME's equity index futures have no session then, or one that ends by 09:30 New York.
    """
    first, last = _CALENDAR.first_session, _CALENDAR.last_session
    names = _CALENDAR.regular_holidays.holidays(first, last, return_name=True)
    closed = pd.bdate_range(first, last).difference(_CALENDAR.sessions)
    return {day.date(): names.get(day, "special closing") for day in closed}


_HOLIDAYS = _holidays()

trading_days = dg.DailyPartitionsDefinition(
    start_date=FIRST_DAY,
    end_offset=1,
    exclusions=[_WEEKENDS, *(datetime.combine(day, time()) for day in _HOLIDAYS)],
)
"""Partition key = trading day = UTC day of the raw file; weekends and full holidays have none."""


def why_closed(day: date) -> str | None:
    """The holiday's name or the weekend day; None if it is a trading day."""
    return _HOLIDAYS.get(day) or (f"{day:%A}" if day.weekday() >= 5 else None)


def session_close(day: date) -> datetime:
    """When the session of a trading day closes, UTC, including the hour's break before the next one."""
    return _CALENDAR.session_close(str(day)).to_pydatetime()
