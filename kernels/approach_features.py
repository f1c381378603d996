"""How price came to its level: position, derivatives, running sums, the level's own depth."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import polars as pl

from kernels.end_of_bar import STRONG_Z, Z_ROUNDING
from kernels.features import (
    BAND_EDGES,
    BELOW_ABOVE,
    CUMULATIVES,
    DERIVATIVES,
    LEVEL_TYPE,
    LEVELS,
    NEAR_BANDS,
    SAME_PTS,
    SIDES,
    THIRDS,
    WINDOWS,
    conform,
)

AT_LEVEL_PTS = 0.5 + SAME_PTS
_BAR = pl.col("bar_index_in_episode")


def approach_features(episodes: pl.DataFrame, point: float = 1.0) -> pl.DataFrame:
    """Features of each bar of each episode, relative to its level.

    Columns marked (future), all inherited, use bars after the trigger; `setup_` columns use bars up to
    it. Keys, and all that is measured from the level, reveal the touch and, before `valid_from`, a level
    not yet formed. No other column uses anything after its own bar.

    Args:
        episodes: table `level_episodes`.
        point: price of one point, in price units.

    Returns:
        Table `approach_features`, the rows of `episodes` in their order.
    """
    positioned = episodes.with_columns(_position(point))
    rows = (
        positioned.hstack(_derivatives(positioned))
        .lazy()
        .with_columns(_cumulatives())
        .with_columns(_cumulative_sums())
        .with_columns(_level_depth(point))
        .with_columns(_level_imbalances())
        .with_columns(_level_flow())
    )
    setup = setup_window(rows).agg(**_setup()).with_columns(**_setup_differences())
    return conform(
        rows.join(setup, on="episode_id", how="left", maintain_order="left"), "approach_features"
    ).collect()


def setup_window(rows: pl.LazyFrame) -> pl.lazyframe.group_by.LazyGroupBy:
    """Rows of each episode up to and including its trigger, grouped by episode in order."""
    return rows.filter(pl.col("bars_to_trigger") <= 0).group_by("episode_id", maintain_order=True)


def ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """numerator / denominator, 0 where the denominator is 0."""
    return pl.when(denominator == 0).then(0.0).otherwise(numerator / denominator)


def thirds(column: str) -> dict[str, pl.Expr]:
    """A setup window's early, mid and late third of a column: max(1, n // 3) bars, rest to late."""
    k = pl.max_horizontal(1, pl.len() // 3)
    values = pl.col(column)
    return dict(zip(THIRDS, (values.head(k), values.slice(k, k), values.slice(2 * k)), strict=True))


def has_wall(side: str) -> pl.Expr:
    """Whether a side has a wall of z > 2 at the bar's end (a strong one has >= 2)."""
    return pl.col(f"bar5s_wall_{side}_maxz_eob") > STRONG_Z + Z_ROUNDING


def _position(point: float) -> Iterator[pl.Expr]:
    level = pl.col("level_price")
    eob, twa = ((pl.col(f"bar5s_microprice_{when}") - level) / point for when in ("eob", "twa"))
    side = _sign(eob > SAME_PTS)
    polarity = _sign(pl.col("level_type").cast(pl.String).str.ends_with("HIGH"))
    yield eob.alias("bar5s_approach_dist_to_level_pts_eob")
    yield twa.alias("bar5s_approach_dist_to_level_pts_twa")
    yield eob.abs().alias("bar5s_approach_abs_dist_to_level_pts_eob")
    yield side.alias("bar5s_approach_side_of_level_eob")
    for level_type in LEVEL_TYPE.categories:
        yield (pl.col("level_type") == level_type).alias(f"bar5s_approach_is_{level_type.lower()}")
    yield polarity.alias("bar5s_approach_level_polarity")
    yield (-side * polarity).alias("bar5s_approach_alignment_eob")


def _sign(condition: pl.Expr) -> pl.Expr:
    """+1 or -1, null where the condition is null."""
    return 2 * condition.cast(pl.Int8) - 1


def _derivatives(rows: pl.DataFrame) -> pl.DataFrame:
    """First and second derivatives of every series; rows of an episode are adjacent.

    NumPy rather than Polars, which divides by a constant via its reciprocal, but not in every chunk:
    the last bit of a value would depend on how many rows follow it.
    """
    bar = rows["bar_index_in_episode"].to_numpy()
    derivatives = {}
    for (name, (column, _)), w in product(DERIVATIVES.items(), WINDOWS):
        first = _slope(rows[column].cast(pl.Float64).to_numpy(), bar, w)
        derivatives[f"bar5s_deriv_{name}_d1_w{w}"] = first
        derivatives[f"bar5s_deriv_{name}_d2_w{w}"] = _slope(first, bar, w)
    return pl.DataFrame(derivatives).fill_nan(None)


def _slope(x: np.ndarray, bar: np.ndarray, w: int) -> np.ndarray:
    """(x[t] - x[t-w]) / w, NaN in an episode's first w bars."""
    slope = np.full(x.size, np.nan)
    slope[w:] = (x[w:] - x[:-w]) / w
    slope[bar < w] = np.nan
    return slope


def _running(x: pl.Expr) -> pl.Expr:
    return x.cum_sum().over("episode_id")


def _cumulatives() -> Iterator[pl.Expr]:
    for name, column in CUMULATIVES.items():
        yield _running(pl.col(f"bar5s_{column}")).alias(f"bar5s_cumul_{name}")
    for side, band in product(SIDES, NEAR_BANDS):
        flow = pl.col(f"bar5s_flow_net_vol_{side}_{band}_sum")
        yield _running(flow).alias(f"bar5s_cumul_flow_net_{side}_{band}")


def _cumulative_sums() -> Iterator[pl.Expr]:
    bid, ask = (
        sum(pl.col(f"bar5s_cumul_flow_net_{side}_{band}") for band in NEAR_BANDS) for side in SIDES
    )
    yield bid.alias("bar5s_cumul_flow_net_bid")
    yield ask.alias("bar5s_cumul_flow_net_ask")
    yield (bid - ask).alias("bar5s_cumul_flow_imbal")
    yield ((bid - ask) / (_BAR + 1)).alias("bar5s_cumul_flow_imbal_rate")
    volume = pl.col("bar5s_cumul_signed_trade_vol")
    yield (volume / (_BAR + 1)).alias("bar5s_cumul_signed_trade_vol_rate")


def _ladder(side: str) -> list[tuple[pl.Expr, pl.Expr]]:
    """(price, size) of the ten levels at the bar's end."""
    return [
        (
            pl.col(f"bar5s_shape_{side}_px_l{level:02d}_eob"),
            pl.col(f"bar5s_shape_{side}_sz_l{level:02d}_eob"),
        )
        for level in range(LEVELS)
    ]


def _level_depth(point: float) -> Iterator[pl.Expr]:
    """Size of the end-of-bar ladder below, above and at the level, and by distance from it."""
    has_book = pl.col("bar5s_microprice_eob").is_not_null()
    level = pl.col("level_price")

    def total(sizes: list[pl.Expr]) -> pl.Expr:
        return pl.when(has_book).then(pl.sum_horizontal(sizes))

    at = []
    for where, side, outward in zip(BELOW_ABOVE, SIDES, (-1, 1), strict=True):
        away = [(outward * (px - level) / point, size) for px, size in _ladder(side)]
        yield total([pl.when(d > SAME_PTS).then(size) for d, size in away]).alias(
            f"bar5s_lvl_depth_{where}_qty_eob"
        )
        for band, low, high in zip(NEAR_BANDS, (0.0, *BAND_EDGES), BAND_EDGES, strict=False):
            inside = [
                pl.when((d > low + SAME_PTS) & (d <= high + SAME_PTS)).then(size)
                for d, size in away
            ]
            yield total(inside).alias(f"bar5s_lvl_depth_{where}_{band}_qty_eob")
        at += [pl.when(d.abs() <= AT_LEVEL_PTS).then(size) for d, size in away]
    yield total(at).alias("bar5s_lvl_depth_at_qty_eob")


def _level_imbalances() -> Iterator[pl.Expr]:
    for band, name in (("", "depth_imbal"), *((f"{band}_", f"cdi_{band}") for band in NEAR_BANDS)):
        below, above = (pl.col(f"bar5s_lvl_depth_{where}_{band}qty_eob") for where in BELOW_ABOVE)
        yield ratio(below - above, below + above).alias(f"bar5s_lvl_{name}_eob")


def _level_flow() -> Iterator[pl.Expr]:
    """Net flow of the side price must eat through to reach the level, and of the other."""
    bid, ask = (
        sum(pl.col(f"bar5s_flow_net_vol_{side}_{band}_sum") for band in NEAR_BANDS)
        for side in SIDES
    )
    is_above = pl.col("bar5s_approach_side_of_level_eob") == 1
    toward = pl.when(is_above).then(bid).otherwise(ask)
    away = pl.when(is_above).then(ask).otherwise(bid)
    yield toward.alias("bar5s_lvl_flow_toward_net_sum")
    yield away.alias("bar5s_lvl_flow_away_net_sum")
    yield (toward - away).alias("bar5s_lvl_flow_toward_away_imbal_sum")


def _setup() -> dict[str, pl.Expr]:
    """Summaries of the setup window that need its bars."""
    nearness = pl.col("bar5s_approach_abs_dist_to_level_pts_eob")
    comes_nearer, goes_away = nearness.diff() < -SAME_PTS, nearness.diff() > SAME_PTS
    volume, signed = pl.col("bar5s_trade_vol_sum"), pl.col("bar5s_trade_signed_vol_sum")
    summary = {
        "start_dist_pts": pl.col("bar5s_approach_dist_to_level_pts_eob").first(),
        "min_dist_pts": nearness.min(),
        "max_dist_pts": nearness.max(),
        "approach_bars": comes_nearer.sum(),
        "retreat_bars": goes_away.sum(),
        "approach_ratio": comes_nearer.sum() / pl.len(),
        "total_trade_vol": volume.sum(),
        "total_signed_vol": signed.sum(),
        "trade_imbal_pct": ratio(signed.sum(), volume.sum()),
        "flow_imbal_total": pl.col("bar5s_cumul_flow_imbal").last(),
    }
    for third, velocity in thirds("bar5s_deriv_dist_d1_w3").items():
        summary[f"{third}_velocity"] = velocity.mean().fill_null(0.0)
    for name in ("obi0", "obi10"):
        imbalance = pl.col(f"bar5s_state_{name}_eob")
        summary |= {
            f"{name}_start": imbalance.first(),
            f"{name}_end": imbalance.last(),
            f"{name}_min": imbalance.min(),
            f"{name}_max": imbalance.max(),
        }
    for side in SIDES:
        summary[f"{side}_wall_max_z"] = pl.col(f"bar5s_wall_{side}_maxz_eob").max()
        summary[f"{side}_wall_bars"] = has_wall(side).sum().cast(pl.Int32)
    return {f"bar5s_setup_{name}": value for name, value in summary.items()}


def _setup_differences() -> dict[str, pl.Expr]:
    def setup(name: str) -> pl.Expr:
        return pl.col(f"bar5s_setup_{name}")

    return {
        "bar5s_setup_dist_range_pts": setup("max_dist_pts") - setup("min_dist_pts"),
        "bar5s_setup_velocity_trend": setup("late_velocity") - setup("early_velocity"),
        "bar5s_setup_obi0_delta": setup("obi0_end") - setup("obi0_start"),
        "bar5s_setup_obi10_delta": setup("obi10_end") - setup("obi10_start"),
        "bar5s_setup_wall_imbal": setup("ask_wall_bars") - setup("bid_wall_bars"),
    }
