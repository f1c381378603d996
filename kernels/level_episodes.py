"""Episodes: what price did around a level, from fifteen minutes before a touch to its end."""

from datetime import date

import numpy as np
import polars as pl

from kernels.compiling import inner, kernel
from kernels.features import OUTCOME, SAME_PTS, conform, schema
from kernels.instrument import EPISODES_END, new_york

LOOKBACK_BARS = 180
FORWARD_BARS = 96
WALK_BARS = 499
EXIT_BARS = 6
COOLDOWN_BARS = 24
DIRECTION_BARS = 12
OUTCOME_BARS = (48, 72)
BAND_PTS = 1.0 + SAME_PTS
WEAK_PTS, STRONG_PTS = 1.0 + SAME_PTS, 2.0 + SAME_PTS

_STRONG_BREAK, _WEAK_BREAK, _CHOP, _WEAK_BOUNCE, _STRONG_BOUNCE = range(len(OUTCOME.categories))
_NO_OUTCOME = -1


@inner
def _triggers(distance, has_trade, valid_from, end) -> np.ndarray:
    """Bars in [valid_from, end) at which the level is touched afresh.

    distance: (n,) float64, microprice minus level in points, NaN where there is no microprice.
    """
    triggers = np.empty(max(end - valid_from, 0), np.int64)
    count = 0
    for t in range(valid_from, end):
        is_inside = abs(distance[t]) <= BAND_PTS
        is_cool = count == 0 or t - triggers[count - 1] >= COOLDOWN_BARS
        arrives = t == 0 or not abs(distance[t - 1]) <= BAND_PTS
        if is_inside and is_cool and (has_trade[t] or arrives):
            triggers[count] = t
            count += 1
    return triggers[:count]


@inner
def _direction(distance, t) -> int:
    """+1 if the bars before t were on average below the level, else -1."""
    total, count = 0.0, 0
    for bar in range(max(0, t - DIRECTION_BARS), t):
        if not np.isnan(distance[bar]):
            total, count = total + distance[bar], count + 1
    mean = total / count if count else distance[t]
    return 1 if mean < -SAME_PTS else -1


@inner
def _forward_end(distance, t, last) -> tuple[int, int]:
    """Last bar of the window and how many re-touches moved it."""
    end, extensions, outside = min(t + FORWARD_BARS, last), 0, 0
    for u in range(t + 1, min(last, t + WALK_BARS) + 1):
        if abs(distance[u]) <= BAND_PTS:
            if outside >= EXIT_BARS:
                moved = min(u + FORWARD_BARS, last)
                extensions += moved > end
                end = moved
            outside = 0
        else:
            outside += 1
        if u > end and outside >= EXIT_BARS:
            break
    return end, extensions


@inner
def _mean_beyond(distance, volume, start, stop) -> float:
    """Volume-weighted mean distance over bars [start, stop), plain where nothing traded."""
    total, weighted, weight = 0.0, 0.0, 0.0
    for bar in range(start, stop):
        total += distance[bar]
        weighted += distance[bar] * volume[bar]
        weight += volume[bar]
    return weighted / weight if weight > 0.0 else total / (stop - start)


@inner
def _outcome(distance, volume, t, direction) -> tuple[int, float]:
    """Outcome code and score in points; `_NO_OUTCOME` and NaN where the data end too soon."""
    near, far = OUTCOME_BARS
    if t + far >= distance.size:
        return _NO_OUTCOME, np.nan
    first = direction * _mean_beyond(distance, volume, t + 1, t + near + 1)
    second = direction * _mean_beyond(distance, volume, t + near + 1, t + far + 1)
    code = _CHOP
    if first > WEAK_PTS:
        code = _STRONG_BREAK if second > STRONG_PTS else _WEAK_BREAK
    elif first < -WEAK_PTS:
        code = _STRONG_BOUNCE if second < -STRONG_PTS else _WEAK_BOUNCE
    return code, (first + second) / 2


_EPISODE = np.dtype(
    [
        ("trigger", np.int64),
        ("start", np.int64),
        ("stop", np.int64),
        ("extension_count", np.int64),
        ("approach_direction", np.int64),
        ("outcome", np.int64),
        ("outcome_score", np.float64),
    ]
)


@kernel
def _episodes(distance, has_trade, volume, valid_from, end) -> np.ndarray:
    """The episodes of a level, (n,) of `_EPISODE`."""
    triggers = _triggers(distance, has_trade, valid_from, end)
    episodes = np.empty(triggers.size, _EPISODE)
    for row, t in enumerate(triggers):
        episode, direction = episodes[row], _direction(distance, t)
        episode.trigger, episode.start = t, max(0, t - LOOKBACK_BARS)
        episode.stop, episode.extension_count = _forward_end(distance, t, end - 1)
        episode.approach_direction = direction
        episode.outcome, episode.outcome_score = _outcome(distance, volume, t, direction)
    return episodes


def level_episodes(
    bars: pl.DataFrame, levels: pl.DataFrame, day: date, point: float = 1.0
) -> pl.DataFrame:
    """The bars around every touch of a session level, one episode per touch.

    Args:
        bars: table `bar5s` of the day.
        levels: table `session_levels` of the day.
        day: the trading day; touches count until 13:30 New York.
        point: price of one point, in price units.

    Returns:
        Table `level_episodes`, ordered by level, trigger and bar; empty where no level is touched.
    """
    end = bars["bar_ts"].search_sorted(new_york(day, EPISODES_END))
    episodes = [
        _level(bars, level, end, point)
        for level in levels.drop_nulls("level_price").iter_rows(named=True)
    ]
    if not episodes:
        return pl.DataFrame(schema=schema("level_episodes"))
    episodes = pl.concat(episodes)
    rows = episodes.with_columns(bar=pl.int_ranges("start", pl.col("stop") + 1)).explode("bar")
    rows = pl.concat([bars[rows["bar"]], rows], how="horizontal")
    return conform(rows.with_columns(**_keys(day, end - 1, point)), "level_episodes")


def _level(bars: pl.DataFrame, level: dict, end: int, point: float) -> pl.DataFrame:
    """The episodes of one level, a row each."""
    distance = ((bars["bar5s_microprice_eob"] - level["level_price"]) / point).fill_null(np.nan)
    volume = bars["bar5s_trade_vol_sum"].to_numpy()
    has_trade = (bars["bar5s_trade_cnt_sum"] > 0).to_numpy()
    valid_from = bars["bar_ts"].search_sorted(level["valid_from"])
    episodes = _episodes(distance.to_numpy(), has_trade, volume, valid_from, end)
    return pl.from_numpy(episodes).with_columns(
        level_type=pl.lit(level["level_type"]),
        level_price=pl.lit(level["level_price"]),
        polarity=pl.lit(level["polarity"]),
        trigger_bar_ts=bars["bar_ts"].gather(episodes["trigger"]),
    )


def _keys(day: date, last: int, point: float) -> dict[str, pl.Expr]:
    """Episode columns, of rows that join each bar to its episode's row."""
    to_trigger = pl.col("bar") - pl.col("trigger")
    trigger_ns = pl.col("trigger_bar_ts").to_physical()
    distance = (pl.col("bar5s_microprice_eob") - pl.col("level_price")) / point
    has_outcome = pl.col("outcome") != _NO_OUTCOME
    return {
        "episode_id": pl.format(
            "{}_{}_{}_{}", pl.lit(str(day)), "symbol", "level_type", trigger_ns
        ),
        "bar_index_in_episode": pl.col("bar") - pl.col("start"),
        "bars_to_trigger": to_trigger,
        "is_pre_trigger": to_trigger < 0,
        "is_trigger_bar": to_trigger == 0,
        "is_post_trigger": to_trigger > 0,
        "is_standard_approach": pl.col("approach_direction") == pl.col("polarity"),
        "dist_to_level_pts": distance,
        "signed_dist_pts": distance * pl.col("approach_direction"),
        "outcome": pl.when(has_outcome).then(pl.col("outcome")).cast(pl.UInt8).cat.to(OUTCOME),
        "outcome_score": pl.when(has_outcome).then(pl.col("outcome_score")),
        "is_truncated_lookback": pl.col("trigger") < LOOKBACK_BARS,
        "is_truncated_forward": pl.col("stop") == last,
        "is_extended_forward": pl.col("extension_count") > 0,
    }
