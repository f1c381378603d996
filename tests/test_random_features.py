"""Approach features and setup vectors of random walks against the slow twin.

The test also asserts that the cases it is there for did occur among its examples.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from hypothesis import example, given, settings

import kernels
from kernels.features import SIDES, VECTOR_DIMS
from resources.lake import table_path
from tests import oracle
from tests.compare import assert_same, plain_rows
from tests.conftest import DAY
from tests.random_walks import FAINT_WALL, NO_WALL, STRONG_WALL, Walk, bars_of, plain_walk, walks
from tests.seeded import SEEDED


def approach_cases(approach: list[list[dict]], vectors: list[dict]) -> Iterator[str]:
    """What is out of the ordinary in the features of some episodes."""
    for episode, vector in zip(approach, vectors, strict=True):
        trigger = oracle.setup_window(episode)[-1]
        dims = dict(zip(oracle.VECTOR_DIMS, vector["vector"], strict=True))
        yield f"{min(vector['lookback_bars'], 3)} bars before the trigger"
        yield f"side {trigger['bar5s_approach_side_of_level_eob']}"
        if trigger["bar5s_setup_start_dist_pts"] is None:
            yield "starts without a book"
        if trigger["bar5s_setup_total_trade_vol"] == 0:
            yield "no volume"
        if trigger["bar5s_setup_approach_bars"] and trigger["bar5s_setup_retreat_bars"]:
            yield "approach and retreat"
        for what in ("appeared", "disappeared"):
            if dims[f"setup_bid_wall_{what}"]:
                yield f"wall {what}"
        if dims["setup_bid_wall_closest_dist_min"] == oracle.MISSING_WALL_PTS:
            yield "no wall in the window"
        if any(row["bar5s_wall_bid_maxz_eob"] == FAINT_WALL for row in episode):
            yield "wall of z 2"
        if any(row["bar5s_lvl_depth_at_qty_eob"] for row in episode):
            yield "depth at the level"
        if any(row["bar5s_lvl_depth_above_qty_eob"] == 0 for row in episode):
            yield "no depth above the level"


APPROACH_CASES = {
    *(f"{bars} bars before the trigger" for bars in range(4)),
    *(f"side {side}" for side in (1, -1)),
    "approach and retreat",
    "depth at the level",
    "no depth above the level",
    "no volume",
    "no wall in the window",
    "starts without a book",
    "wall appeared",
    "wall disappeared",
    "wall of z 2",
}


def test_features_of_random_walks_equal_the_slow_twins(morning_bars):
    seen: set[str] = set()

    @settings(SEEDED, max_examples=40)
    @given(walks())
    @example(plain_walk((8, 1), (0, 1)))
    @example(plain_walk((8, 2), (0, 1)))
    @example(plain_walk((8, 4), (4, 3), bid_walls=(STRONG_WALL, NO_WALL)))
    def check(walk: Walk) -> None:
        bars = bars_of(walk, morning_bars)
        episodes = kernels.level_episodes(bars, walk.levels, DAY, walk.point)
        ids = episodes["episode_id"].unique(maintain_order=True)
        ends = [*ids.head(1), *ids.tail(1)]
        episodes = episodes.filter(pl.col("episode_id").is_in(ends))
        approach = oracle.approach_features(plain_rows(episodes), walk.point)
        vectors = oracle.setup_vectors(approach)
        fast = kernels.approach_features(episodes, walk.point)
        assert_same(fast, approach, "approach_features")
        assert_same(kernels.setup_vectors(fast), vectors, "setup_vectors")
        seen.update(approach_cases(oracle.split_episodes(approach), vectors))

    check()
    assert seen >= APPROACH_CASES, f"never occurred: {APPROACH_CASES - seen}"


def test_the_nearest_wall_may_be_farther_than_a_missing_one_counts(small_lake: Path) -> None:
    approach = pl.read_parquet(table_path(small_lake, "ES", "approach_features", DAY)).head(1_000)
    wall = "bar5s_wall_{}_nearest_strong_dist_pts_eob"
    far = pl.when(pl.col("bars_to_trigger") % 2 == 0).then(13.0)
    approach = approach.with_columns(far.alias(wall.format(side)) for side in SIDES)
    vectors = kernels.setup_vectors(approach)
    assert_same(vectors, oracle.setup_vectors(plain_rows(approach)), "setup_vectors")
    dims = [dim.name for dim in VECTOR_DIMS]
    for side in SIDES:
        nearest = vectors["vector"].arr.get(dims.index(f"setup_{side}_wall_closest_dist_min"))
        assert nearest.unique().to_list() == [13.0]
