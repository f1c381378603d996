"""The touches of a level.

dist[t] is the signed distance of bar t's microprice from the level, in points.
"""

import math
import re
from datetime import date, time
from statistics import fmean

from tests.oracle.arithmetic import Row, column, present
from tests.oracle.book import SAME_PTS
from tests.oracle.session_levels import LEVEL_TYPES, new_york_ns

Distances = list[float | None]
EPISODES_END = time(13, 30)


def to_level_pts(price: float | None, level: float, point: float) -> float | None:
    return None if price is None else (price - level) / point


def in_band(distance: float | None) -> bool:
    return distance is not None and abs(distance) <= 1 + SAME_PTS


def trigger_bars(bars: list[Row], dist: Distances, valid_from: int, end: int) -> list[int]:
    """Bars within 1 point of the level that have a trade or come from outside.

    At least 24 bars lie from one trigger to the next.
    """
    triggers: list[int] = []
    for t in range(end):
        valid = bars[t]["bar_ts"] >= valid_from and in_band(dist[t])
        apart = not triggers or t - triggers[-1] >= 24
        entered = t == 0 or not in_band(dist[t - 1])
        if valid and apart and (bars[t]["bar5s_trade_cnt_sum"] > 0 or entered):
            triggers.append(t)
    return triggers


def direction_at(dist: Distances, t: int) -> int:
    """+1 where the mean price of the up to 12 bars before is below the level, else -1.

    With no price before the trigger, the trigger's own counts.
    """
    before = present(dist[max(0, t - 12) : t]) or [dist[t]]
    return 1 if math.fsum(before) / len(before) < -SAME_PTS else -1


def forward_end(dist: Distances, t: int, last: int) -> tuple[int, int]:
    """The window's last bar and the number of re-touches that moved it.

    Six bars outside mark an exit; the first bar back inside is a re-touch, from which
    the window runs 96 bars anew. The walk stops past the end once an exit is marked.
    """
    end, extensions = min(t + 96, last), 0
    outside, exited = 0, False
    for u in range(t + 1, min(last, t + 499) + 1):
        if not in_band(dist[u]):
            outside += 1
            exited = exited or outside >= 6
        else:
            if exited and min(u + 96, last) > end:
                end, extensions = min(u + 96, last), extensions + 1
            outside, exited = 0, False
        if u > end and exited:
            break
    return end, extensions


def volume_weighted_mean(values: list[float], volumes: list[int]) -> float:
    """The plain mean where there is no volume."""
    if sum(volumes) == 0:
        return fmean(values)
    return math.fsum(v * w for v, w in zip(values, volumes, strict=True)) / sum(volumes)


def outcome_at(
    bars: list[Row], dist: Distances, t: int, direction: int
) -> tuple[str | None, float | None]:
    """How far price went on average, along the approach, in the 48 and next 24 bars."""
    if t + 72 > len(bars) - 1:
        return None, None
    move = [d * direction for d in dist[t + 1 : t + 73]]
    volume = column(bars[t + 1 : t + 73], "bar5s_trade_vol_sum")
    w1 = volume_weighted_mean(move[:48], volume[:48])
    w2 = volume_weighted_mean(move[48:], volume[48:])
    if w1 > 1 + SAME_PTS:
        outcome = "STRONG_BREAK" if w2 > 2 + SAME_PTS else "WEAK_BREAK"
    elif w1 < -1 - SAME_PTS:
        outcome = "STRONG_BOUNCE" if w2 < -2 - SAME_PTS else "WEAK_BOUNCE"
    else:
        outcome = "CHOP"
    return outcome, (w1 + w2) / 2


def episode_rows(
    bars: list[Row], level: Row, dist: Distances, t: int, last: int, day: date
) -> list[Row]:
    """The bars from 180 before trigger bar t to the forward end.

    Of a bar's columns, those of the two bands far from the price are left out.
    """
    far = re.compile("p3_5|p5_10")
    kept = [k for k in bars[t] if k.startswith("bar5s_") and not far.search(k)]
    symbol, level_type = bars[t]["symbol"], level["level_type"]
    direction = direction_at(dist, t)
    outcome, score = outcome_at(bars, dist, t, direction)
    start = max(0, t - 180)
    end, extensions = forward_end(dist, t, last)
    rows = []
    for u in range(start, end + 1):
        row = {
            "bar_ts": bars[u]["bar_ts"],
            "symbol": symbol,
            "episode_id": f"{day}_{symbol}_{level_type}_{bars[t]['bar_ts']}",
            "level_type": level_type,
            "level_price": level["level_price"],
            "trigger_bar_ts": bars[t]["bar_ts"],
            "bar_index_in_episode": u - start,
            "bars_to_trigger": u - t,
            "is_pre_trigger": u < t,
            "is_trigger_bar": u == t,
            "is_post_trigger": u > t,
            "approach_direction": direction,
            "is_standard_approach": direction == level["polarity"],
            "dist_to_level_pts": dist[u],
            "signed_dist_pts": None if dist[u] is None else dist[u] * direction,
            "outcome": outcome,
            "outcome_score": score,
            "is_truncated_lookback": t < 180,
            "is_truncated_forward": end == last,
            "is_extended_forward": extensions > 0,
            "extension_count": extensions,
        }
        rows.append(row | {name: bars[u][name] for name in kept})
    return rows


def level_episodes(bars: list[Row], levels: list[Row], day: date, point: float) -> list[Row]:
    """The bars around every touch of a level, by level, trigger and bar."""
    closes = new_york_ns(day, EPISODES_END)
    end = sum(bar["bar_ts"] < closes for bar in bars)
    microprices = column(bars, "bar5s_microprice_eob")
    rows = []
    for level in sorted(levels, key=lambda lv: LEVEL_TYPES.index(lv["level_type"])):
        price = level["level_price"]
        if price is not None:
            dist = [to_level_pts(m, price, point) for m in microprices]
            for t in trigger_bars(bars, dist, level["valid_from"], end):
                rows += episode_rows(bars, level, dist, t, end - 1, day)
    return rows
