"""Episodes of random walks of price around levels against the slow twin.

The test also asserts that the cases it is there for did occur among its examples.
"""

from collections.abc import Iterator
from itertools import accumulate, pairwise

from hypothesis import example, given, settings

import kernels
from kernels.features import OUTCOME
from tests import oracle
from tests.compare import assert_same, plain_rows
from tests.conftest import DAY
from tests.oracle import BAR_NS
from tests.random_walks import Walk, bars_of, plain_walk, walks
from tests.seeded import SEEDED


def episode_cases(walk: Walk, episodes: list[list[dict]]) -> Iterator[str]:
    """What is out of the ordinary in the episodes of a walk."""
    if walk.levels["level_price"].null_count():
        yield "level without a price"
    if not episodes:
        yield "no episode"
    for episode in episodes:
        past, future = ([r for r in episode if r[f"is_{w}_trigger"]] for w in ("pre", "post"))
        trigger = episode[len(past)]
        yield f"outcome {trigger['outcome']}"
        yield f"direction {trigger['approach_direction']}"
        yield f"standard {trigger['is_standard_approach']}"
        for flag in ("is_truncated_lookback", "is_truncated_forward", "is_extended_forward"):
            yield f"{flag} {trigger[flag]}"
        if trigger["is_extended_forward"] and trigger["is_truncated_forward"]:
            yield "extension cut short by the session's end"
        if trigger["extension_count"] > 1:
            yield "several extensions"
        if max_run_outside(future[:95]) < 6 and trigger["is_extended_forward"]:
            yield "exit as the window ends, then a re-touch"
        if max_run_outside(future) < 6 and len(future) == 96:
            yield "never leaves the band"
        if len(future) > 499:
            yield "window longer than the walk"
        if abs(trigger["dist_to_level_pts"]) == 1:
            yield "trigger at the band's edge"
        if trigger["bar5s_trade_cnt_sum"] == 0:
            yield "trigger without a trade"
        if not past:
            yield "trigger at the first bar"
        elif past[-1]["dist_to_level_pts"] is None:
            yield "trigger at the first book"
        elif abs(past[-1]["dist_to_level_pts"]) <= 1:
            yield "trigger from inside the band"
        if sum(row["bar5s_trade_vol_sum"] for row in future[:48]) == 0:
            yield "no volume after the trigger"
    for one, next_one in pairwise(episodes):
        if one[0]["level_type"] == next_one[0]["level_type"]:
            bars = (next_one[0]["trigger_bar_ts"] - one[0]["trigger_bar_ts"]) // BAR_NS
            yield "cooldown just over" if bars == 24 else "long after the last trigger"


def max_run_outside(rows: list[dict]) -> int:
    runs = accumulate(
        (abs(row["dist_to_level_pts"]) > 1 for row in rows),
        lambda run, is_outside: run + 1 if is_outside else 0,
        initial=0,
    )
    return max(runs)


EPISODE_CASES = {
    *(f"outcome {outcome}" for outcome in (*OUTCOME.categories, None)),
    *(f"direction {direction}" for direction in (1, -1)),
    *(f"standard {flag}" for flag in (True, False)),
    *(f"is_truncated_{way} {flag}" for way in ("lookback", "forward") for flag in (True, False)),
    *(f"is_extended_forward {flag}" for flag in (True, False)),
    "cooldown just over",
    "extension cut short by the session's end",
    "exit as the window ends, then a re-touch",
    "level without a price",
    "never leaves the band",
    "long after the last trigger",
    "no episode",
    "no volume after the trigger",
    "several extensions",
    "trigger at the band's edge",
    "trigger at the first bar",
    "trigger at the first book",
    "trigger from inside the band",
    "trigger without a trade",
    "window longer than the walk",
}


def test_episodes_of_random_walks_equal_the_slow_twins(morning_bars):
    seen: set[str] = set()

    @settings(SEEDED, max_examples=60)
    @given(walks())
    @example(plain_walk((-8, 20), (0, 5), (12, 100)))  # breaks
    @example(plain_walk((-8, 20), (0, 1), (8, 100)))  # breaks, by 2 points: weakly
    @example(plain_walk((-8, 20), (0, 5), (-12, 100)))  # bounces
    @example(plain_walk((8, 20), (0, 1), (8, 100)))  # bounces, by 2 points: weakly
    @example(plain_walk((-8, 20), (4, 100)))  # ends 1 point beyond: neither
    @example(plain_walk((0, 30), (8, 30))._replace(bookless=5))
    @example(plain_walk((0, 91), (8, 6), (0, 10)))  # leaves just in time to return
    @example(plain_walk((0, 92), (8, 6), (0, 10)))  # leaves a bar later
    @example(plain_walk(*[(0, 20), (8, 10)] * 25))  # returns for longer than it is followed
    @example(plain_walk(*[(0, 20), (8, 10)] * 16, (8, 19), (0, 1), (8, 120)))  # in its last bar
    @example(plain_walk((-8, 20), (0, 1), (8, 71)))  # a bar too few for an outcome
    @example(plain_walk((-8, 20), (0, 1), (8, 97)))  # a bar more than the window has
    @example(plain_walk((-8, 10), (0, 30))._replace(bookless=3))  # from below, as far as known
    def check(walk: Walk) -> None:
        bars = bars_of(walk, morning_bars)
        episodes = oracle.level_episodes(plain_rows(bars), plain_rows(walk.levels), DAY, walk.point)
        fast = kernels.level_episodes(bars, walk.levels, DAY, walk.point)
        assert_same(fast, episodes, "level_episodes")
        seen.update(episode_cases(walk, oracle.split_episodes(episodes)))

    check()
    assert seen >= EPISODE_CASES, f"never occurred: {EPISODE_CASES - seen}"
