"""Levels of random walks of price against the slow twin.

The test also asserts that the cases it is there for did occur among its examples.
"""

from datetime import date, time

from hypothesis import given, settings
from hypothesis import strategies as st

import kernels
from kernels.instrument import new_york
from tests import oracle
from tests.compare import assert_same, plain_rows
from tests.conftest import DAY
from tests.random_walks import Walk, bars_of, walks
from tests.seeded import SEEDED

SESSION_STARTS = [time(4, 55), time(5), time(9, 20), time(9, 30), time(9, 50), time(10)]
SESSION_DAYS = [date(2025, 1, 15), date(2025, 3, 7), date(2025, 3, 10), DAY]
"""Winter and summer, and both sides of the change of clocks."""


def test_levels_of_random_walks_equal_the_slow_twins(morning_bars):
    seen: set[str] = set()

    @settings(SEEDED, max_examples=40)
    @given(walks(), st.sampled_from(SESSION_DAYS), st.sampled_from(SESSION_STARTS), st.booleans())
    def check(walk: Walk, day: date, clock: time, is_silent: bool) -> None:
        bars = bars_of(walk._replace(starts=new_york(day, clock)), morning_bars)
        if is_silent:
            bars = bars.with_columns(bar5s_meta_msg_cnt_sum=0.0)
        levels = oracle.session_levels(plain_rows(bars), day)
        assert_same(kernels.session_levels(bars, day), levels, "session_levels")
        for level in levels:
            seen.add(f"{level['level_type']} {'none' if level['level_price'] is None else 'some'}")

    check()
    assert seen == {f"{name} {price}" for name in oracle.LEVEL_TYPES for price in ("some", "none")}
