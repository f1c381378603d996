"""One vector of 147 numbers an episode: what was known as the level was touched."""

import polars as pl

from kernels.approach_features import has_wall, ratio, setup_window, thirds
from kernels.features import (
    RECENT_CHANGES,
    RECENT_SUMS,
    SETUP_IMBALANCES,
    SETUP_VOLUMES,
    SIDES,
    VECTOR_DIMS,
    conform,
)

RECENT_BARS = 12
_EDGE_BARS = 3


def setup_vectors(approach: pl.DataFrame) -> pl.DataFrame:
    """Setup vectors of a day, one row per episode, from bars up to its trigger only.

    Args:
        approach: table `approach_features` of the day.

    Returns:
        Table `setup_vectors`, in the episodes' order. A missing wall distance is 10 points, any
        other missing dimension 0, so that every value is finite.
    """
    window = setup_window(approach.lazy())
    labels = {
        "date": pl.col("trigger_bar_ts").first().dt.date(),
        "lookback_bars": pl.len() - 1,
    }
    at_trigger = pl.exclude("episode_id").last()
    vectors = window.agg(at_trigger, **labels, **_setup(), **_recent())
    late, early = (pl.col(f"setup_trade_vol_{third}") for third in ("late", "early"))
    vectors = vectors.with_columns(setup_trade_vol_trend=late - early)
    dims = (pl.col(dim.name).cast(pl.Float64).fill_null(dim.null_as) for dim in VECTOR_DIMS)
    return conform(vectors.with_columns(vector=pl.concat_arr(*dims)), "setup_vectors").collect()


def _setup() -> dict[str, pl.Expr]:
    """Summaries of the setup window beyond those the approach table has."""
    imbalance = pl.col("bar5s_lvl_depth_imbal_eob")
    toward, away = (pl.col(f"bar5s_lvl_flow_{way}_net_sum").sum() for way in ("toward", "away"))
    summary = {
        "velocity_std": pl.col("bar5s_deriv_dist_d1_w3").std(),
        "lvl_depth_imbal_trend": imbalance.last() - imbalance.first(),
        "spread_mean": pl.col("bar5s_state_spread_pts_eob").mean(),
        "flow_toward_total": toward,
        "flow_away_total": away,
        "flow_toward_away_ratio": ratio(toward, away),
    }
    for name, column in SETUP_IMBALANCES.items():
        summary[f"{name}_mean"] = pl.col(column).mean()
        summary[f"{name}_std"] = pl.col(column).std()
    for name, column in SETUP_VOLUMES.items():
        summary |= {f"{name}_{third}": volume.sum() for third, volume in thirds(column).items()}
    for side in SIDES:
        wall = has_wall(side)
        first, last = wall.head(_EDGE_BARS).any(), wall.tail(_EDGE_BARS).any()
        summary[f"{side}_wall_mean_z"] = pl.col(f"bar5s_wall_{side}_maxz_eob").mean()
        nearest = pl.col(f"bar5s_wall_{side}_nearest_strong_dist_pts_eob")
        summary[f"{side}_wall_closest_dist_min"] = nearest.min()
        summary[f"{side}_wall_appeared"] = last & ~first
        summary[f"{side}_wall_disappeared"] = first & ~last
    return {f"setup_{name}": value for name, value in summary.items()}


def _recent() -> dict[str, pl.Expr]:
    """Sums over the last bars to the trigger, and changes since the bar before them."""
    recent = {}
    for name, column in RECENT_CHANGES.items():
        x = pl.col(column)
        recent[f"recent_{name}_delta"] = x.last() - x.tail(RECENT_BARS + 1).first()
    for name, column in RECENT_SUMS.items():
        recent[f"recent_{name}"] = pl.col(column).tail(RECENT_BARS).sum()
    return recent
