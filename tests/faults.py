"""Ways to spoil a good day's tables, and the check that must see each."""

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import NamedTuple

import polars as pl

from kernels.features import BANDS, OUTCOME, SIDES, VECTOR_DIMS


class Fault(NamedTuple):
    """A way to spoil a table, and what the check that sees it must say."""

    check: str
    is_fatal: bool
    table: str
    spoil: Callable[[pl.DataFrame], pl.DataFrame]
    says: tuple[str, ...]


def in_row(row: int, **values: pl.Expr | object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Other values in one row."""

    def spoil(frame: pl.DataFrame) -> pl.DataFrame:
        is_row = pl.int_range(pl.len()) == row
        return frame.with_columns(
            pl.when(is_row).then(value).otherwise(name).cast(frame.schema[name]).alias(name)
            for name, value in values.items()
        )

    return spoil


def swap_ticks(ticks: pl.DataFrame) -> pl.DataFrame:
    """Two ticks in the wrong order."""
    return pl.concat([ticks[:100], ticks[101:102], ticks[100:101], ticks[102:]])


def dimension(number: int, value: float) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """One dimension of all vectors with the same value."""

    def spoil(vectors: pl.DataFrame) -> pl.DataFrame:
        matrix = vectors["vector"].to_numpy().copy()
        matrix[:, number] = value
        return vectors.with_columns(vector=pl.Series(matrix, dtype=vectors.schema["vector"]))

    return spoil


def all_outcomes(value: str | None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Every episode with the same outcome."""
    return lambda frame: frame.with_columns(outcome=pl.lit(value, OUTCOME))


COUNTS = [f"meta_{kind}_cnt" for kind in ("add", "cancel", "modify", "clear", "trade")]

AGAIN = "materialise {table} of 2025-06-05 again"

FAULTS = [
    Fault(
        "ticks_are_in_time_order",
        True,
        "clean_ticks",
        swap_ticks,
        ("1 tick earlier", AGAIN, "clean_ticks/2025-06-05.parquet"),
    ),
    Fault(
        "ticks_are_in_time_order",
        True,
        "clean_ticks",
        lambda t: t.with_columns(ts_event=pl.lit(t["ts_event"][0])).sort("sequence").reverse(),
        (" ticks earlier",),
    ),
    Fault(
        "no_book_is_crossed",
        True,
        "clean_ticks",
        in_row(7, bid_px_00=pl.col("ask_px_00")),
        ("1 book crossed or locked", AGAIN),
    ),
    Fault(
        "no_book_is_crossed",
        True,
        "clean_ticks",
        in_row(7, bid_px_00=pl.col("ask_px_00") + 1),
        ("1 book crossed or locked",),
    ),
    Fault(
        "ticks_are_of_the_day",
        True,
        "clean_ticks",
        in_row(0, ts_event=pl.col("ts_event") - timedelta(hours=1)),
        ("1 tick outside 2025-06-05", "get the file of 2025-06-05 again"),
    ),
    Fault(
        "ticks_are_of_the_day",
        True,
        "clean_ticks",
        in_row(50, ts_event=pl.col("ts_event") + timedelta(days=1)),
        ("1 tick outside 2025-06-05",),
    ),
    Fault(
        "ticks_span_the_session",
        False,
        "clean_ticks",
        lambda t: t.filter(pl.col("ts_event").dt.hour() < 20),
        ("ticks from 00:00 to 19:5", "closes at 22:00", "get it again for 2025-06-05"),
    ),
    Fault(
        "ticks_span_the_session",
        False,
        "clean_ticks",
        lambda t: t.filter(pl.col("ts_event").dt.hour() > 2),
        ("ticks from 03:0", "to 23:5"),
    ),
    Fault(
        "bad_books_are_rare",
        False,
        "clean_ticks",
        lambda t: t.with_columns(is_bad_book=pl.int_range(pl.len()) % 50 == 0),
        ("2.00% of the ticks are flagged", "over 1%", "Databento's conditions of 2025-06-05"),
    ),
    Fault(
        "grid_is_gapless",
        True,
        "bar5s",
        lambda bars: pl.concat([bars[:500], bars[501:]]),
        ("1 bar not 5 s after the one before", AGAIN),
    ),
    Fault(
        "ticks_are_conserved",
        True,
        "bar5s",
        in_row(9_000, bar5s_trade_vol_sum=pl.col("bar5s_trade_vol_sum") + 3),
        ("trade_vol is", "in the ticks and", "in the bars", AGAIN),
    ),
    Fault(
        "ticks_are_conserved",
        True,
        "clean_ticks",
        lambda t: t[:-1],
        ("meta_msg_cnt is", AGAIN),
    ),
    Fault(
        "ticks_are_conserved",
        True,
        "bar5s",
        in_row(9_000, **{f"bar5s_{name}_sum": pl.col(f"bar5s_{name}_sum") + 1 for name in COUNTS}),
        tuple(f"{name} is" for name in COUNTS),
    ),
    Fault(
        "volumes_balance",
        True,
        "bar5s",
        in_row(40, bar5s_trade_signed_vol_sum=pl.col("bar5s_trade_signed_vol_sum") + 1),
        ("signed_volume does not balance in 1 bar;", AGAIN),
    ),
    *(
        Fault(
            "volumes_balance",
            True,
            "bar5s",
            in_row(40, **{f"bar5s_flow_net_vol_{side}_{band}_sum": -1e6}),
            ("net_flow does not balance in 1 bar;", AGAIN),
        )
        for side, band in product(SIDES, BANDS)
    ),
    Fault(
        "lows_lie_below_highs",
        True,
        "session_levels",
        in_row(1, level_price=9_999.0),
        ("PM_LOW 9999.0000 is above PM_HIGH 59", AGAIN),
    ),
    Fault(
        "lows_lie_below_highs",
        True,
        "session_levels",
        in_row(2, level_price=1.0),
        ("OR_LOW", "is above OR_HIGH 1.0000"),
    ),
    Fault(
        "levels_lie_in_the_days_range",
        True,
        "session_levels",
        in_row(0, level_price=9_999.0),
        ("PM_HIGH 9999.0000 outside 59", AGAIN),
    ),
    Fault(
        "levels_lie_in_the_days_range",
        True,
        "session_levels",
        in_row(1, level_price=1.0),
        ("PM_LOW 1.0000 outside 59",),
    ),
    Fault(
        "levels_lie_in_the_days_range",
        True,
        "bar5s",
        lambda bars: bars.clear(),
        ("PM_HIGH", "OR_LOW", "though no bar has a price", AGAIN),
    ),
    Fault(
        "one_trigger_an_episode",
        True,
        "level_episodes",
        in_row(0, is_trigger_bar=True),
        ("1 episode with no trigger bar, several", "2025-06-05_ESM5_", AGAIN),
    ),
    Fault(
        "one_trigger_an_episode",
        True,
        "level_episodes",
        lambda episodes: episodes.filter(~pl.col("is_trigger_bar")),
        (" episodes with no trigger bar",),
    ),
    Fault(
        "one_trigger_an_episode",
        True,
        "level_episodes",
        lambda e: e.with_columns(is_trigger_bar=pl.col("bars_to_trigger") == 1),
        ("or one that is not bar 0",),
    ),
    Fault(
        "bars_run_through_the_trigger",
        True,
        "level_episodes",
        lambda episodes: pl.concat([episodes[:20], episodes[21:]]),
        ("1 episode with bars that do not follow one another", AGAIN),
    ),
    Fault(
        "outcomes_are_plausible",
        False,
        "level_episodes",
        all_outcomes("CHOP"),
        ("100% of", "episodes are CHOP", "look at the day's price"),
    ),
    Fault(
        "outcomes_are_plausible",
        False,
        "level_episodes",
        all_outcomes(None),
        ("100% of", "have no outcome", "raw file ends early"),
    ),
    Fault(
        "rows_are_those_of_the_episodes",
        True,
        "approach_features",
        lambda approach: approach[1:],
        ("approach_features has", "rows, level_episodes", AGAIN),
    ),
    Fault(
        "rows_are_those_of_the_episodes",
        True,
        "approach_features",
        lambda approach: approach.reverse(),
        ("are not those of level_episodes", AGAIN),
    ),
    Fault(
        "one_vector_an_episode",
        True,
        "setup_vectors",
        lambda vectors: vectors[1:],
        ("vectors for", "episodes", AGAIN),
    ),
    Fault(
        "one_vector_an_episode",
        True,
        "setup_vectors",
        lambda vectors: vectors.reverse(),
        ("are not of the episodes of approach_features",),
    ),
    *(
        Fault(
            "vectors_are_finite",
            True,
            "setup_vectors",
            dimension(5, value),
            (" vectors are not finite", f"in {VECTOR_DIMS[5].name};", AGAIN),
        )
        for value in (float("nan"), float("inf"))
    ),
    Fault(
        "vectors_are_finite",
        True,
        "setup_vectors",
        in_row(3, vector=None),
        ("1 of ", f"in {VECTOR_DIMS[0].name}, ", f"{VECTOR_DIMS[7].name} and 139 more;"),
    ),
    Fault(
        "no_dimension_is_constant",
        False,
        "setup_vectors",
        dimension(5, 1.5),
        ("the same in all", f": {VECTOR_DIMS[5].name};", "bars of 2025-06-05"),
    ),
]
