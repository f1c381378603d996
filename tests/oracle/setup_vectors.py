"""An episode up to its trigger as one vector."""

from datetime import date
from statistics import stdev

from tests.oracle.approach_features import is_strong_wall, setup_window, split_episodes, thirds
from tests.oracle.arithmetic import Row, column, mean, minus, named, present, ratio
from tests.oracle.book import SIDES


def derivative_dims(names: str, order: str, windows: tuple[int, ...]) -> list[str]:
    return [f"bar5s_deriv_{n}_{order}_w{w}" for n in names.split() for w in windows]


VECTOR_DIMS = [
    *named("bar5s_approach_{}_eob", "dist_to_level_pts side_of_level alignment"),
    *named("{}", "bar5s_approach_level_polarity is_standard_approach"),
    *named("bar5s_state_{}_eob", "obi0 obi10 spread_pts cdi_p0_1 cdi_p1_2 cdi_p2_3"),
    *named("bar5s_lvl_{}_eob", "depth_imbal cdi_p0_1 cdi_p1_2"),
    *named("bar5s_depth_{}_qty_eob", "bid10 ask10"),
    *named("bar5s_lvl_depth_{}_qty_eob", "above below"),
    *named("bar5s_wall_{}_maxz_eob", "bid ask"),
    *named("bar5s_wall_{}_maxz_levelidx_eob", "bid ask"),
    *named("bar5s_wall_{}_nearest_strong_dist_pts_eob", "bid ask"),
    *named("bar5s_wall_{}_nearest_strong_levelidx_eob", "bid ask"),
    *named("bar5s_cumul_{}", "signed_trade_vol flow_imbal flow_net_bid flow_net_ask"),
    *named("bar5s_lvl_flow_{}_sum", "toward_net away_net toward_away_imbal"),
    *named("bar5s_trade_{}_vol_sum", "signed aggbuy aggsell"),
    *derivative_dims("dist", "d1", (3, 12, 36, 72)),
    *derivative_dims("dist", "d2", (3, 12, 36, 72)),
    *derivative_dims("obi0 obi10 cdi01 cdi12", "d1", (12, 36)),
    *derivative_dims("obi0 obi10 cdi01 cdi12", "d2", (12, 36)),
    *derivative_dims("dbid10 dask10 dbelow01 dabove01 wbidz waskz", "d1", (12, 36)),
    *derivative_dims("wbidz waskz", "d2", (12, 36)),
    *named("bar5s_setup_{}_pts", "start_dist min_dist max_dist dist_range"),
    *named("bar5s_setup_{}", "approach_bars retreat_bars approach_ratio"),
    *named("bar5s_setup_{}_velocity", "early mid late"),
    "bar5s_setup_velocity_trend",
    *named("bar5s_setup_obi0_{}", "start end delta min max"),
    *named("bar5s_setup_obi10_{}", "start end delta min max"),
    *named("bar5s_setup_{}", "total_trade_vol total_signed_vol trade_imbal_pct"),
    *named("bar5s_setup_{}", "flow_imbal_total bid_wall_max_z ask_wall_max_z"),
    *named("bar5s_setup_{}", "bid_wall_bars ask_wall_bars wall_imbal"),
    *named("setup_{}", "velocity_std obi0_mean obi0_std obi10_mean obi10_std"),
    *named("setup_{}", "cdi01_mean cdi01_std lvl_depth_imbal_mean lvl_depth_imbal_std"),
    *named("setup_{}", "lvl_depth_imbal_trend spread_mean"),
    *named("setup_flow_{}", "toward_total away_total toward_away_ratio"),
    *named("setup_trade_vol_{}", "early mid late trend"),
    *named("setup_signed_vol_{}", "early mid late"),
    *named("setup_{}_wall_mean_z", "bid ask"),
    *named("setup_{}_wall_closest_dist_min", "bid ask"),
    *named("setup_{}_wall_appeared", "bid ask"),
    *named("setup_{}_wall_disappeared", "bid ask"),
    *named("recent_{}_delta", "dist obi0 obi10 cdi01"),
    *named("recent_{}", "trade_vol signed_vol flow_toward flow_away"),
    *named("recent_{}", "aggbuy_vol aggsell_vol bid_depth_delta ask_depth_delta"),
]
VECTOR_ROW_COLUMNS = [
    *named("{}", "symbol level_type level_price trigger_bar_ts approach_direction"),
    *named("{}", "is_standard_approach outcome outcome_score is_truncated_lookback"),
    "is_truncated_forward",
]
MISSING_WALL_PTS = 10.0


def sample_std(values: list[float | None]) -> float | None:
    return stdev(present(values)) if len(present(values)) > 1 else None


def window_dims(window: list[Row]) -> Row:
    """The dimensions drawn from the whole setup window."""
    lvl_imbal = column(window, "bar5s_lvl_depth_imbal_eob")
    toward = sum(column(window, "bar5s_lvl_flow_toward_net_sum"))
    away = sum(column(window, "bar5s_lvl_flow_away_net_sum"))
    volume = [sum(x) for x in thirds(column(window, "bar5s_trade_vol_sum"))]
    signed = [sum(x) for x in thirds(column(window, "bar5s_trade_signed_vol_sum"))]
    dims: Row = {
        "setup_velocity_std": sample_std(column(window, "bar5s_deriv_dist_d1_w3")),
        "setup_lvl_depth_imbal_trend": minus(lvl_imbal[-1], lvl_imbal[0]),
        "setup_spread_mean": mean(column(window, "bar5s_state_spread_pts_eob")),
        "setup_flow_toward_total": toward,
        "setup_flow_away_total": away,
        "setup_flow_toward_away_ratio": ratio(toward, away),
        "setup_trade_vol_trend": volume[2] - volume[0],
    }
    for i, third in enumerate(("early", "mid", "late")):
        dims[f"setup_trade_vol_{third}"] = volume[i]
        dims[f"setup_signed_vol_{third}"] = signed[i]
    for name, source in {
        "obi0": "bar5s_state_obi0_eob",
        "obi10": "bar5s_state_obi10_eob",
        "cdi01": "bar5s_state_cdi_p0_1_eob",
        "lvl_depth_imbal": "bar5s_lvl_depth_imbal_eob",
    }.items():
        dims[f"setup_{name}_mean"] = mean(column(window, source))
        dims[f"setup_{name}_std"] = sample_std(column(window, source))
    for side in SIDES:
        dims |= wall_dims(window, side)
    return dims


def wall_dims(window: list[Row], side: str) -> Row:
    """A wall appeared if strong in the last three bars but not in the first three."""
    maxz = column(window, f"bar5s_wall_{side}_maxz_eob")
    distances = column(window, f"bar5s_wall_{side}_nearest_strong_dist_pts_eob")
    first, last = (any(map(is_strong_wall, bars)) for bars in (maxz[:3], maxz[-3:]))
    return {
        f"setup_{side}_wall_mean_z": mean(maxz),
        f"setup_{side}_wall_closest_dist_min": min(present(distances), default=MISSING_WALL_PTS),
        f"setup_{side}_wall_appeared": last and not first,
        f"setup_{side}_wall_disappeared": first and not last,
    }


def recent_dims(window: list[Row]) -> Row:
    """Sums over the last 12 bars, changes against the bar 12 before the trigger.

    In a shorter window the changes are against its first bar.
    """
    trigger, reference = window[-1], window[max(0, len(window) - 1 - 12)]

    def total(name: str) -> int:
        return sum(column(window[-12:], name))

    def delta(name: str) -> float | None:
        return minus(trigger[name], reference[name])

    return {
        "recent_dist_delta": delta("bar5s_approach_dist_to_level_pts_eob"),
        "recent_obi0_delta": delta("bar5s_state_obi0_eob"),
        "recent_obi10_delta": delta("bar5s_state_obi10_eob"),
        "recent_cdi01_delta": delta("bar5s_state_cdi_p0_1_eob"),
        "recent_trade_vol": total("bar5s_trade_vol_sum"),
        "recent_signed_vol": total("bar5s_trade_signed_vol_sum"),
        "recent_flow_toward": total("bar5s_lvl_flow_toward_net_sum"),
        "recent_flow_away": total("bar5s_lvl_flow_away_net_sum"),
        "recent_aggbuy_vol": total("bar5s_trade_aggbuy_vol_sum"),
        "recent_aggsell_vol": total("bar5s_trade_aggsell_vol_sum"),
        "recent_bid_depth_delta": delta("bar5s_depth_bid10_qty_eob"),
        "recent_ask_depth_delta": delta("bar5s_depth_ask10_qty_eob"),
    }


def vector_value(dim: str, value: float | None) -> float:
    """A missing wall distance is 10 points, anything else missing is 0."""
    missing = MISSING_WALL_PTS if "nearest_strong_dist" in dim else 0.0
    return missing if value is None else float(value)


def setup_vectors(approach: list[Row]) -> list[Row]:
    """One row per episode: what was known of it at its trigger bar, as a vector."""
    vectors = []
    for episode in split_episodes(approach):
        window = setup_window(episode)
        trigger = window[-1]
        values = trigger | window_dims(window) | recent_dims(window)
        vectors.append(
            {
                "episode_id": trigger["episode_id"],
                "date": date.fromisoformat(trigger["episode_id"].split("_")[0]),
                **{name: trigger[name] for name in VECTOR_ROW_COLUMNS},
                "lookback_bars": len(window) - 1,
                "vector": [vector_value(dim, values[dim]) for dim in VECTOR_DIMS],
            }
        )
    return vectors
