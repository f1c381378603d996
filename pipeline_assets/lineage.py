"""Which columns every column is computed from, stage by stage.

A source of a column is one whose values can change the column's. What decides which rows there are
is a source of the columns that say so (`trigger_bar_ts`), not of all columns of the row.
Constants, what comes from the partition key alone, and clean_ticks, which has no table upstream, have
no sources.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from kernels.features import (
    BANDS,
    BELOW_ABOVE,
    BOOK_COLUMNS,
    CUMULATIVES,
    DERIVATIVES,
    LEVELS,
    NEAR_BANDS,
    RECENT_CHANGES,
    RECENT_SUMS,
    SETUP_IMBALANCES,
    SETUP_VOLUMES,
    SIDES,
    STATE,
    TABLES,
    VECTOR_DIMS,
    WINDOWS,
)

Source = tuple[str, str]
"""Table and column."""
Sources = Mapping[str, tuple[Source, ...]]


def sources(table: str) -> Sources:
    """The columns each column of a table is computed from, in catalogue order."""
    found = dict(_OF_TABLE[table]())
    return {
        column.name: tuple(dict.fromkeys(found.get(column.name, ()))) for column in TABLES[table]
    }


Found = Iterator[tuple[str, list[Source]]]


def _in(table: str, *names: str) -> list[Source]:
    return [(table, name) for name in names]


def _ticks(*names: str) -> list[Source]:
    return _in("clean_ticks", "ts_event", *names)


_TOP = ("bid_px_00", "ask_px_00", "bid_sz_00", "ask_sz_00")
"""Decide which book is two-sided, and make the microprice."""


def _book(sides: Iterable[str] = SIDES, what: Iterable[str] = ("px", "sz")) -> list[Source]:
    """The state's book: all ten levels of some sides."""
    return _ticks(
        *_TOP, *(name for side in sides for kind in what for name in BOOK_COLUMNS[f"{side}_{kind}"])
    )


def _bar5s() -> Found:
    yield "bar_ts", _ticks()
    yield "symbol", _in("clean_ticks", "symbol")
    yield "bar5s_midprice_eob", _ticks(*_TOP)
    for stem, *_ in STATE:
        for when in ("twa", "eob"):
            yield f"bar5s_{stem}_{when}", _state(stem)
    yield from _messages()
    for side in SIDES:
        yield from _shape(side)
        for stat in ("max", "mean"):
            yield f"bar5s_ladder_{side}_gap_{stat}_pts_eob", _book([side], ["px"])
        for what in ("maxz", "maxz_levelidx", "nearest_strong_dist_pts", "nearest_strong_levelidx"):
            yield f"bar5s_wall_{side}_{what}_eob", _book([side])
        for band in BANDS:
            yield from _flow(side, band)


def _state(stem: str) -> list[Source]:
    if stem in ("microprice", "state_spread_pts", "state_obi0"):
        return _ticks(*_TOP)
    for side, words in zip(SIDES, (("bid10", "below"), ("ask10", "above")), strict=True):
        if any(f"depth_{word}_" in f"{stem}_" for word in words):
            return _book([side])
    return _book()


def _messages() -> Found:
    yield "bar5s_meta_msg_cnt_sum", _ticks()
    for kind in ("clear", "add", "cancel", "modify", "trade"):
        yield f"bar5s_meta_{kind}_cnt_sum", _ticks("action")
    yield "bar5s_trade_cnt_sum", _ticks("action")
    yield "bar5s_trade_vol_sum", _ticks("action", "size")
    for way in ("aggbuy", "aggsell", "signed"):
        yield f"bar5s_trade_{way}_vol_sum", _ticks("action", "size", "side")


def _shape(side: str) -> Found:
    for level in range(LEVELS):
        px = f"{side}_px_{level:02d}"
        name = f"bar5s_shape_{side}_{{}}_l{level:02d}_eob"
        yield name.format("px"), _ticks(*_TOP, px)
        for what in ("sz", "ct"):
            yield name.format(what), _ticks(*_TOP, px, f"{side}_{what}_{level:02d}")
            yield name.format(f"{what}_frac"), _book([side], ["px", what])


def _flow(side: str, band: str) -> Found:
    event = _ticks(*_TOP, "action", "side", "price")
    for kind in ("cnt_add", "cnt_cancel", "cnt_modify"):
        yield f"bar5s_flow_{kind}_{side}_{band}_sum", event
    for kind in ("add_vol", "rem_vol", "net_vol", "net_volnorm"):
        yield f"bar5s_flow_{kind}_{side}_{band}_sum", event + _book([side])


def _session_levels() -> Found:
    yield "symbol", _in("bar5s", "symbol")
    price = ("bar_ts", "bar5s_microprice_eob", "bar5s_meta_msg_cnt_sum")
    yield "level_price", _in("bar5s", *price)


def _level_episodes() -> Found:
    level = _in("session_levels", "level_price")
    price = _in("bar5s", "bar5s_microprice_eob")
    trigger = (
        _in("bar5s", "bar_ts", "bar5s_microprice_eob", "bar5s_trade_cnt_sum")
        + level
        + _in("session_levels", "valid_from")
    )
    polarity, level_type = (_in("session_levels", name) for name in ("polarity", "level_type"))
    volume = _in("bar5s", "bar5s_trade_vol_sum")
    yield from ((column.name, trigger) for column in TABLES["level_episodes"])
    yield from ((column.name, _in("bar5s", column.name)) for column in TABLES["bar5s"])
    yield "episode_id", trigger + _in("bar5s", "symbol") + level_type
    yield "level_type", level_type
    yield "level_price", level
    yield "is_standard_approach", trigger + polarity
    yield "dist_to_level_pts", price + level
    for name in ("outcome", "outcome_score"):
        yield name, trigger + volume


def _episodes(*names: str) -> list[Source]:
    return _in("level_episodes", *names)


_POSITION = _episodes("bar5s_microprice_eob", "level_price")


def _approach_features() -> Found:
    yield from ((column.name, _episodes(column.name)) for column in TABLES["level_episodes"])
    yield from _position()
    for (name, (column, _)), order, w in product(DERIVATIVES.items(), (1, 2), WINDOWS):
        series = _POSITION if name == "dist" else _episodes(column)
        yield f"bar5s_deriv_{name}_d{order}_w{w}", series + _episodes("bar_index_in_episode")
    yield from _cumulatives()
    yield from _level_relative()
    yield from _setup()


def _position() -> Found:
    for name in ("dist_to_level_pts", "abs_dist_to_level_pts", "side_of_level"):
        yield f"bar5s_approach_{name}_eob", _POSITION
    twa = _episodes("bar5s_microprice_twa", "level_price")
    yield "bar5s_approach_dist_to_level_pts_twa", twa
    for name in ("is_pm_high", "is_pm_low", "is_or_high", "is_or_low", "level_polarity"):
        yield f"bar5s_approach_{name}", _episodes("level_type")
    yield "bar5s_approach_alignment_eob", _POSITION + _episodes("level_type")


def _near_flow(*sides: str) -> list[Source]:
    return _episodes(
        *(f"bar5s_flow_net_vol_{side}_{band}_sum" for side, band in product(sides, NEAR_BANDS))
    )


def _cumulatives() -> Found:
    bars = _episodes("bar_index_in_episode")
    for name, column in CUMULATIVES.items():
        yield f"bar5s_cumul_{name}", _episodes(f"bar5s_{column}")
    yield (
        "bar5s_cumul_signed_trade_vol_rate",
        _episodes("bar5s_trade_signed_vol_sum") + bars,
    )
    for side in SIDES:
        yield f"bar5s_cumul_flow_net_{side}", _near_flow(side)
        for band in NEAR_BANDS:
            flow = _episodes(f"bar5s_flow_net_vol_{side}_{band}_sum")
            yield f"bar5s_cumul_flow_net_{side}_{band}", flow
    yield "bar5s_cumul_flow_imbal", _near_flow(*SIDES)
    yield "bar5s_cumul_flow_imbal_rate", _near_flow(*SIDES) + bars


def _ladder(*sides: str) -> list[Source]:
    """The end-of-bar ladder of some sides, and the level it is seen from."""
    return [
        *_POSITION,
        *_episodes(
            *(
                f"bar5s_shape_{side}_{what}_l{level:02d}_eob"
                for side, what, level in product(sides, ("px", "sz"), range(LEVELS))
            )
        ),
    ]


def _level_relative() -> Found:
    for where, side in zip(BELOW_ABOVE, SIDES, strict=True):
        for band in ("", *(f"{band}_" for band in NEAR_BANDS)):
            yield f"bar5s_lvl_depth_{where}_{band}qty_eob", _ladder(side)
    for name in ("depth_at_qty", "depth_imbal", *(f"cdi_{band}" for band in NEAR_BANDS)):
        yield f"bar5s_lvl_{name}_eob", _ladder(*SIDES)
    for name in ("toward_net", "away_net", "toward_away_imbal"):
        yield f"bar5s_lvl_flow_{name}_sum", _POSITION + _near_flow(*SIDES)


def _setup() -> Found:
    """One value an episode, over the bars up to the trigger."""
    series = {
        ("start_dist_pts", "min_dist_pts", "max_dist_pts", "dist_range_pts"): _POSITION,
        ("approach_bars", "retreat_bars", "approach_ratio"): _POSITION,
        ("early_velocity", "mid_velocity", "late_velocity", "velocity_trend"): _POSITION
        + _episodes("bar_index_in_episode"),
        ("total_trade_vol",): _episodes("bar5s_trade_vol_sum"),
        ("total_signed_vol",): _episodes("bar5s_trade_signed_vol_sum"),
        ("trade_imbal_pct",): _episodes("bar5s_trade_signed_vol_sum", "bar5s_trade_vol_sum"),
        ("flow_imbal_total",): _near_flow(*SIDES),
        ("wall_imbal",): _episodes(*(f"bar5s_wall_{side}_maxz_eob" for side in SIDES)),
    }
    for name in ("obi0", "obi10"):
        names = tuple(f"{name}_{stat}" for stat in ("start", "end", "delta", "min", "max"))
        series[names] = _episodes(f"bar5s_state_{name}_eob")
    for side in SIDES:
        names = (f"{side}_wall_max_z", f"{side}_wall_bars")
        series[names] = _episodes(f"bar5s_wall_{side}_maxz_eob")
    for names, found in series.items():
        for name in names:
            yield f"bar5s_setup_{name}", found + _episodes("bars_to_trigger")


_SUMMARISED = (
    "bars_to_trigger",
    "bar5s_deriv_dist_d1_w3",
    "bar5s_state_spread_pts_eob",
    *SETUP_IMBALANCES.values(),
    *SETUP_VOLUMES.values(),
    *RECENT_CHANGES.values(),
    *RECENT_SUMS.values(),
    *(
        f"bar5s_wall_{side}_{what}_eob"
        for what, side in product(("maxz", "nearest_strong_dist_pts"), SIDES)
    ),
)
"""Series the vector's setup and recent dimensions summarise."""


def _setup_vectors() -> Found:
    approach = {column.name for column in TABLES["approach_features"]}
    yield from (
        (column.name, _in("approach_features", column.name))
        for column in TABLES["setup_vectors"]
        if column.name in approach
    )
    yield "date", _in("approach_features", "trigger_bar_ts")
    yield "lookback_bars", _in("approach_features", "bars_to_trigger")
    at_trigger = (dim.name for dim in VECTOR_DIMS if dim.name in approach)
    yield "vector", _in("approach_features", *at_trigger, *_SUMMARISED)


_OF_TABLE = {
    "clean_ticks": lambda: (),
    "bar5s": _bar5s,
    "session_levels": _session_levels,
    "level_episodes": _level_episodes,
    "approach_features": _approach_features,
    "setup_vectors": _setup_vectors,
}
