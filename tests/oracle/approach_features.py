"""Price's way to the level and back, bar by bar, and its summary up to the trigger."""

from itertools import accumulate, pairwise

from tests.oracle.arithmetic import Row, column, imbalance, mean, minus, present, ratio
from tests.oracle.bar5s import Z_ROUNDING
from tests.oracle.book import (
    BAR_LADDER,
    NEAR_BANDS,
    SAME_PTS,
    SIDES,
    band_quantities,
    quantity,
    read_book,
)
from tests.oracle.level_episodes import to_level_pts
from tests.oracle.session_levels import LEVEL_TYPES, polarity_of

WINDOWS = (3, 12, 36, 72)
DERIVED = {
    "dist": "bar5s_approach_dist_to_level_pts_eob",
    "obi0": "bar5s_state_obi0_eob",
    "obi10": "bar5s_state_obi10_eob",
    "cdi01": "bar5s_state_cdi_p0_1_eob",
    "cdi12": "bar5s_state_cdi_p1_2_eob",
    "dbid10": "bar5s_depth_bid10_qty_eob",
    "dask10": "bar5s_depth_ask10_qty_eob",
    "dbelow01": "bar5s_depth_below_p0_1_qty_eob",
    "dabove01": "bar5s_depth_above_p0_1_qty_eob",
    "wbidz": "bar5s_wall_bid_maxz_eob",
    "waskz": "bar5s_wall_ask_maxz_eob",
}


def split_episodes(rows: list[Row]) -> list[list[Row]]:
    by_id: dict[str, list[Row]] = {}
    for row in rows:
        by_id.setdefault(row["episode_id"], []).append(row)
    return list(by_id.values())


def setup_window(episode: list[Row]) -> list[Row]:
    """The bars up to and including the trigger."""
    return [row for row in episode if not row["is_post_trigger"]]


def thirds(values: list) -> tuple[list, list, list]:
    """Early, mid and late: what does not divide by three goes to the late third."""
    k = max(1, len(values) // 3)
    return values[:k], values[k : 2 * k], values[2 * k :]


def is_strong_wall(maxz: float | None) -> bool:
    return maxz is not None and maxz > 2 + Z_ROUNDING


def position_columns(row: Row, point: float) -> Row:
    level, level_type = row["level_price"], row["level_type"]
    dist = to_level_pts(row["bar5s_microprice_eob"], level, point)
    dist_twa = to_level_pts(row["bar5s_microprice_twa"], level, point)
    side = None if dist is None else 1 if dist > SAME_PTS else -1
    polarity = polarity_of(level_type)
    return {
        "bar5s_approach_dist_to_level_pts_eob": dist,
        "bar5s_approach_dist_to_level_pts_twa": dist_twa,
        "bar5s_approach_abs_dist_to_level_pts_eob": None if dist is None else abs(dist),
        "bar5s_approach_side_of_level_eob": side,
        **{f"bar5s_approach_is_{lv.lower()}": lv == level_type for lv in LEVEL_TYPES},
        "bar5s_approach_level_polarity": polarity,
        "bar5s_approach_alignment_eob": None if side is None else -side * polarity,
    }


def slope(values: list[float | None], w: int) -> list[float | None]:
    """Change per bar over w bars, None where the history is short."""
    slopes: list[float | None] = []
    for t in range(len(values)):
        change = minus(values[t], values[t - w]) if t >= w else None
        slopes.append(None if change is None else change / w)
    return slopes


def derivative_columns(episode: list[Row]) -> dict[str, list[float | None]]:
    """First and second derivative of every series over every window, bar by bar."""
    derivatives = {}
    for name, source in DERIVED.items():
        first = {w: slope(column(episode, source), w) for w in WINDOWS}
        second = {w: slope(first[w], w) for w in WINDOWS}
        derivatives |= {f"bar5s_deriv_{name}_d1_w{w}": first[w] for w in WINDOWS}
        derivatives |= {f"bar5s_deriv_{name}_d2_w{w}": second[w] for w in WINDOWS}
    return derivatives


def net_flow(row: Row, side: str) -> int:
    """Net flow of a side over the three near bands."""
    return sum(row[f"bar5s_flow_net_vol_{side}_{band}_sum"] for band in NEAR_BANDS)


def cumulative_columns(episode: list[Row]) -> dict[str, list]:
    """Totals over the bars so far, bar by bar; a rate is a total per bar so far."""

    def running(name: str) -> list[int]:
        return list(accumulate(column(episode, f"bar5s_{name}_sum")))

    def rate(totals: list[int]) -> list[float]:
        return [total / bars for bars, total in enumerate(totals, start=1)]

    signed = running("trade_signed_vol")
    bid, ask = (list(accumulate(net_flow(r, side) for r in episode)) for side in SIDES)
    imbal = [b - a for b, a in zip(bid, ask, strict=True)]
    totals = {
        "trade_vol": running("trade_vol"),
        "signed_trade_vol": signed,
        "aggbuy_vol": running("trade_aggbuy_vol"),
        "aggsell_vol": running("trade_aggsell_vol"),
        "signed_trade_vol_rate": rate(signed),
        "flow_net_bid": bid,
        "flow_net_ask": ask,
        "flow_imbal": imbal,
        "flow_imbal_rate": rate(imbal),
    }
    for side in SIDES:
        for band in NEAR_BANDS:
            totals[f"flow_net_{side}_{band}"] = running(f"flow_net_vol_{side}_{band}")
    totals |= {
        "msg_cnt": running("meta_msg_cnt"),
        "trade_cnt": running("trade_cnt"),
        "add_cnt": running("meta_add_cnt"),
        "cancel_cnt": running("meta_cancel_cnt"),
    }
    return {f"bar5s_cumul_{name}": values for name, values in totals.items()}


def level_depth_columns(row: Row, point: float) -> Row:
    """The end-of-bar ladder seen from the level: asks above it, bids below it.

    "At" is all size within half a point of the level, of either side.
    """
    price = row["level_price"]
    book = read_book(row, BAR_LADDER)
    bids, asks = ([lv for lv in book[side] if lv.px is not None] for side in SIDES)
    above = [lv for lv in asks if (lv.px - price) / point > SAME_PTS]
    below = [lv for lv in bids if (price - lv.px) / point > SAME_PTS]
    at = [lv for lv in bids + asks if abs(lv.px - price) / point <= 0.5 + SAME_PTS]
    above_by_band = band_quantities("ask", above, price, point)
    below_by_band = band_quantities("bid", below, price, point)
    columns: Row = {
        "bar5s_lvl_depth_above_qty_eob": quantity(above),
        "bar5s_lvl_depth_below_qty_eob": quantity(below),
        "bar5s_lvl_depth_at_qty_eob": quantity(at),
        "bar5s_lvl_depth_imbal_eob": imbalance(quantity(below), quantity(above)),
    }
    for band in NEAR_BANDS:
        cdi = imbalance(below_by_band[band], above_by_band[band])
        columns[f"bar5s_lvl_depth_above_{band}_qty_eob"] = above_by_band[band]
        columns[f"bar5s_lvl_depth_below_{band}_qty_eob"] = below_by_band[band]
        columns[f"bar5s_lvl_cdi_{band}_eob"] = cdi
    return dict.fromkeys(columns) if row["bar5s_microprice_eob"] is None else columns


def level_flow_columns(row: Row, side_of_level: int | None) -> Row:
    """Toward the level is the bid's net flow with price above it, else the ask's."""
    bid, ask = net_flow(row, "bid"), net_flow(row, "ask")
    toward, away = (bid, ask) if side_of_level == 1 else (ask, bid)
    return {
        "bar5s_lvl_flow_toward_net_sum": toward,
        "bar5s_lvl_flow_away_net_sum": away,
        "bar5s_lvl_flow_toward_away_imbal_sum": toward - away,
    }


def setup_columns(window: list[Row]) -> Row:
    """One value per episode, from the bars up to and including the trigger."""
    away = column(window, "bar5s_approach_abs_dist_to_level_pts_eob")
    nearest, farthest = min(present(away)), max(present(away))
    changes = present([minus(b, a) for a, b in pairwise(away)])
    fell = sum(change < -SAME_PTS for change in changes)
    velocity = column(window, "bar5s_deriv_dist_d1_w3")
    early, mid, late = (mean(third) or 0.0 for third in thirds(velocity))
    setup = {
        "start_dist_pts": window[0]["bar5s_approach_dist_to_level_pts_eob"],
        "min_dist_pts": nearest,
        "max_dist_pts": farthest,
        "dist_range_pts": farthest - nearest,
        "approach_bars": fell,
        "retreat_bars": sum(change > SAME_PTS for change in changes),
        "approach_ratio": fell / len(window),
        "early_velocity": early,
        "mid_velocity": mid,
        "late_velocity": late,
        "velocity_trend": late - early,
    }
    for name in ("obi0", "obi10"):
        obi = column(window, f"bar5s_state_{name}_eob")
        setup[f"{name}_start"] = obi[0]
        setup[f"{name}_end"] = obi[-1]
        setup[f"{name}_delta"] = minus(obi[-1], obi[0])
        setup[f"{name}_min"] = min(present(obi))
        setup[f"{name}_max"] = max(present(obi))
    volume = sum(column(window, "bar5s_trade_vol_sum"))
    signed = sum(column(window, "bar5s_trade_signed_vol_sum"))
    bid_z, ask_z = (column(window, f"bar5s_wall_{side}_maxz_eob") for side in SIDES)
    bid_bars, ask_bars = (sum(map(is_strong_wall, maxz)) for maxz in (bid_z, ask_z))
    setup |= {
        "total_trade_vol": volume,
        "total_signed_vol": signed,
        "trade_imbal_pct": ratio(signed, volume),
        "flow_imbal_total": window[-1]["bar5s_cumul_flow_imbal"],
        "bid_wall_max_z": max(present(bid_z)),
        "ask_wall_max_z": max(present(ask_z)),
        "bid_wall_bars": bid_bars,
        "ask_wall_bars": ask_bars,
        "wall_imbal": ask_bars - bid_bars,
    }
    return {f"bar5s_setup_{name}": value for name, value in setup.items()}


def approach_features(episodes: list[Row], point: float) -> list[Row]:
    """The episodes' rows with the features of price's approach to the level."""
    features = []
    for episode in split_episodes(episodes):
        rows = [row | position_columns(row, point) for row in episode]
        series = derivative_columns(rows) | cumulative_columns(rows)
        for i, row in enumerate(rows):
            row |= {name: values[i] for name, values in series.items()}
            row |= level_depth_columns(row, point)
            row |= level_flow_columns(row, row["bar5s_approach_side_of_level_eob"])
        setup = setup_columns(setup_window(rows))
        features += [row | setup for row in rows]
    return features
