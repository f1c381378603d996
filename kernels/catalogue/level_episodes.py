"""Columns of `level_episodes`: the bars around each touch of a level, L."""

import polars as pl

from kernels.catalogue import bar5s
from kernels.catalogue.column import Column
from kernels.catalogue.vocabulary import (
    BANDS,
    F64,
    FLAG,
    I8,
    I32,
    INSTANT,
    LEVEL_TYPE,
    NEAR_BANDS,
    OUTCOME,
)

EPISODE = (
    Column(
        "episode_id",
        pl.String(),
        "id",
        "key",
        "{date}_{symbol}_{level_type}_{ns}, ns that of trigger_bar_ts",
    ),
    Column(
        "level_type",
        LEVEL_TYPE,
        "code",
        "level",
        "the level touched: PM_HIGH, PM_LOW, OR_HIGH or OR_LOW",
    ),
    Column("level_price", F64, "price", "level", "L, price of the level"),
    Column(
        "trigger_bar_ts",
        INSTANT,
        "ns UTC",
        "trigger",
        "start of the trigger bar: |bar5s_microprice_eob - L| / point <= 1, it has a trade or the bar"
        " before was outside, 24 bars or more after the level's last trigger",
    ),
    Column("bar_index_in_episode", I32, "bars", "trigger", "bar number in the window, from 0"),
    Column("bars_to_trigger", I32, "bars", "trigger", "bar - trigger bar, negative before it"),
    Column("is_pre_trigger", FLAG, "flag", "trigger", "bars_to_trigger < 0"),
    Column("is_trigger_bar", FLAG, "flag", "trigger", "bars_to_trigger = 0"),
    Column("is_post_trigger", FLAG, "flag", "trigger", "bars_to_trigger > 0"),
    Column(
        "approach_direction",
        I8,
        "sign",
        "position",
        "+1 (from below) if mean bar5s_microprice_eob of up to 12 bars before the trigger < L, else -1",
    ),
    Column(
        "is_standard_approach",
        FLAG,
        "flag",
        "position",
        "approach_direction = polarity: a high from below, a low from above",
    ),
    Column("dist_to_level_pts", F64, "points", "position", "(bar5s_microprice_eob - L) / point"),
    Column(
        "signed_dist_pts",
        F64,
        "points",
        "position",
        "dist_to_level_pts * approach_direction, positive beyond the level",
    ),
    Column(
        "outcome",
        OUTCOME,
        "code",
        "outcome",
        "with w1, w2 of outcome_score: STRONG_BREAK if w1 > 1 and w2 > 2, WEAK_BREAK if only w1 > 1,"
        " STRONG_BOUNCE if w1 < -1 and w2 < -2, WEAK_BOUNCE if only w1 < -1, else CHOP (future);"
        " null if the data end first",
    ),
    Column(
        "outcome_score",
        F64,
        "points",
        "outcome",
        "(w1 + w2) / 2, w1 and w2 the volume-weighted mean signed_dist_pts of bars 1-48 and 49-72"
        " after the trigger (future); null if the data end first",
    ),
    Column(
        "is_truncated_lookback",
        FLAG,
        "flag",
        "window",
        "the window has fewer than 180 bars before the trigger",
    ),
    Column(
        "is_truncated_forward",
        FLAG,
        "flag",
        "window",
        "the window ends at 13:30 New York or with the data (future)",
    ),
    Column("is_extended_forward", FLAG, "flag", "window", "extension_count > 0 (future)"),
    Column(
        "extension_count",
        I32,
        "count",
        "window",
        "re-touches that moved the window's end, initially 96 bars after the trigger (future)",
    ),
)
"""What each row says of its episode, beside its bar."""

_FAR_BANDS = BANDS[len(NEAR_BANDS) :]
_KEYS, _BARS = bar5s.COLUMNS[:2], bar5s.COLUMNS[2:]

COLUMNS = (
    *_KEYS,
    *EPISODE,
    *(column for column in _BARS if not any(f"_{band}_" in column.name for band in _FAR_BANDS)),
)
"""Every column, in order."""
