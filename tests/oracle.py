"""The slow, obvious twin of the feature pipeline, for tests to compare against.

A table is a list of plain dicts whose keys stand in column order. Instants are int
nanoseconds UTC, a missing value is None, and a `_pts` value is a price difference
divided by `point`.
"""

import math
import re
from datetime import date, datetime, time
from itertools import accumulate, pairwise
from statistics import fmean, stdev
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

Row = dict[str, Any]

SIDES = ("bid", "ask")
LEVELS = range(10)
FIELDS = ("px", "sz", "ct")
BANDS = {"p0_1": 1, "p1_2": 2, "p2_3": 3, "p3_5": 5, "p5_10": 10}
NEAR_BANDS = ("p0_1", "p1_2", "p2_3")


def ratio(numerator: float, denominator: float) -> float:
    """The quotient, and 0 where the denominator is 0."""
    return numerator / denominator if denominator else 0.0


def imbalance(a: float, b: float) -> float:
    return ratio(a - b, a + b)


def minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def present(values: list) -> list:
    return [value for value in values if value is not None]


def column(rows: list[Row], name: str) -> list:
    return [row[name] for row in rows]


def named(template: str, words: str) -> list[str]:
    """The template filled with every word in turn."""
    return [template.format(word) for word in words.split()]


# ---------------------------------------------------------------- clean_ticks

MONTH_CODES = "FGHJKMNQUVXZ"
DROP_REASONS = named("{}", "other_rtype other_root spread other_contract crossed_or_locked")
FLAGS = {"is_last": 0x80, "is_snapshot": 0x20, "is_bad_ts": 0x08, "is_bad_book": 0x04}
TICK_COLUMNS = [
    *named("{}", "ts_event ts_recv sequence action side depth price size flags"),
    *FLAGS,
    *named("{}", "publisher_id instrument_id symbol"),
    *(f"{side}_{field}_{i:02d}" for i in LEVELS for field in FIELDS for side in SIDES),
]


def is_outright(symbol: str, root: str) -> bool:
    """The root, a month letter and one or two digits of the year: ESH5, ESH25."""
    pattern = rf"{re.escape(root)}[{MONTH_CODES}][0-9]{{1,2}}"
    return re.fullmatch(pattern, symbol) is not None


def is_spread(symbol: str, root: str) -> bool:
    """Parts joined by '-', ':' or ' ', the root or an outright of it among them."""
    parts = re.split("[-: ]", symbol)
    return len(parts) > 1 and any(p == root or is_outright(p, root) for p in parts)


def expiry(symbol: str, root: str, day: date) -> tuple[int, int]:
    """First (year, month) of that letter and year ending not before the day's month."""
    code, digits = symbol[len(root)], symbol[len(root) + 1 :]
    month = MONTH_CODES.index(code) + 1
    year = day.year if month >= day.month else day.year + 1
    while not str(year).endswith(digits):
        year += 1
    return year, month


def choose_contract(outrights: list[Row], root: str, roll: str, day: date) -> str:
    """The one contract to keep.

    volume: the most traded size, ties to the nearest expiry; calendar: the nearest
    expiry whose month has not begun; anything else names the contract itself.
    """
    traded = {record["symbol"]: 0 for record in outrights}
    for record in outrights:
        if record["action"] == "T":
            traded[record["symbol"]] += record["size"]
    nearest_first = sorted(traded, key=lambda s: (expiry(s, root, day), s))
    if roll == "volume":
        return max(nearest_first, key=lambda symbol: traded[symbol])
    if roll == "calendar":
        for symbol in nearest_first:
            if date(*expiry(symbol, root, day), 1) > day:
                return symbol
        raise ValueError(f"the expiry month of every {root} contract has begun")
    if roll not in traded:
        raise ValueError(f"no record of the contract {roll}")
    return roll


def clean_ticks(
    records: list[Row], root: str, roll: str, day: date
) -> tuple[list[Row], dict[str, int]]:
    """One contract's MBP-10 records with an uncrossed book, in time order.

    Also the number of records dropped for each reason, a record being counted for
    the first reason that applies.
    """
    dropped = dict.fromkeys(DROP_REASONS, 0)
    outrights = []
    for record in records:
        symbol = record["symbol"] or ""
        if record["rtype"] != 10:
            dropped["other_rtype"] += 1
        elif is_outright(symbol, root):
            outrights.append(record)
        else:
            dropped["spread" if is_spread(symbol, root) else "other_root"] += 1
    if not outrights:
        raise ValueError(f"no record of an outright of {root}")

    contract = choose_contract(outrights, root, roll, day)
    kept = []
    for record in outrights:
        bid, ask = record["bid_px_00"], record["ask_px_00"]
        if record["symbol"] != contract:
            dropped["other_contract"] += 1
        elif bid is not None and ask is not None and bid >= ask:
            dropped["crossed_or_locked"] += 1
        else:
            flags = {name: record["flags"] & bit != 0 for name, bit in FLAGS.items()}
            tick = record | flags
            kept.append({name: tick[name] for name in TICK_COLUMNS})
    if not kept:
        raise ValueError(f"no record of {contract} is left after cleaning")
    return sorted(kept, key=lambda t: (t["ts_event"], t["sequence"])), dropped


# ---------------------------------------------------------------- bar5s

BAR_NS = 5_000_000_000
META = {"clear": "R", "add": "A", "cancel": "C", "modify": "M", "trade": "T"}
FLOW_ACTIONS = {"A": "add", "C": "cancel", "M": "modify"}
EVENT_SIDE = {"B": "bid", "A": "ask"}
DEPTH_SIDE = {"bid": "below", "ask": "above"}
STATE_NAMES = [
    *named("{}", "microprice midprice state_spread_pts state_obi0 state_obi10"),
    *(f"state_cdi_{band}" for band in BANDS),
    *(f"depth_{side}10_qty" for side in SIDES),
    *(f"depth_{where}_{band}_qty" for where in DEPTH_SIDE.values() for band in BANDS),
    *(f"depth_{where}_{band}_frac" for where in DEPTH_SIDE.values() for band in BANDS),
]
FLOW_NAMES = [
    f"{kind}_{side}_{band}"
    for kind in named("{}", "add_vol rem_vol net_vol cnt_add cnt_cancel cnt_modify")
    for side in SIDES
    for band in BANDS
]
TICK_LADDER = {
    side: [[f"{side}_{field}_{i:02d}" for field in FIELDS] for i in LEVELS] for side in SIDES
}
BAR_LADDER = {
    side: [[f"bar5s_shape_{side}_{f}_l{i:02d}_eob" for f in FIELDS] for i in LEVELS]
    for side in SIDES
}
Z_ROUNDING = 1e-9


class Level(NamedTuple):
    px: float | None
    sz: int
    ct: int


Book = dict[str, list[Level]]
NO_LEVEL = Level(None, 0, 0)
NO_BOOK: Book = {side: [NO_LEVEL] * len(LEVELS) for side in SIDES}


class State(NamedTuple):
    """A two-sided book and the value of each of the state's names."""

    book: Book
    values: Row


NO_STATE = State(NO_BOOK, dict.fromkeys(STATE_NAMES))


def read_book(row: Row, ladders: dict[str, list[list[str]]]) -> Book:
    """Both ladders, best first; a level without a price has no size and no count."""
    return {
        side: [
            NO_LEVEL if row[px] is None else Level(row[px], row[sz], row[ct])
            for px, sz, ct in ladders[side]
        ]
        for side in SIDES
    }


def is_two_sided(book: Book) -> bool:
    """Both best prices are defined and both best sizes are above 0."""
    return all(book[side][0].px is not None and book[side][0].sz > 0 for side in SIDES)


def quantity(levels: list[Level]) -> int:
    return sum(level.sz for level in levels)


def band_of(side: str, px: float, reference: float, point: float) -> str | None:
    """The band of a price by its distance from the reference on the side's own side.

    A bid's distance is counted downwards, an ask's upwards; a band includes its upper
    edge, the first one all negative distances, and beyond the last there is none.
    """
    distance = (reference - px if side == "bid" else px - reference) / point
    return next((band for band, upper in BANDS.items() if distance <= upper), None)


def band_quantities(
    side: str, levels: list[Level], reference: float, point: float
) -> dict[str | None, int]:
    quantities: dict[str | None, int] = dict.fromkeys([*BANDS, None], 0)
    for level in levels:
        if level.px is not None:
            quantities[band_of(side, level.px, reference, point)] += level.sz
    return quantities


def state_of(book: Book, point: float) -> State:
    """The values of a two-sided book."""
    bid, ask = book["bid"][0], book["ask"][0]
    microprice = (ask.px * bid.sz + bid.px * ask.sz) / (bid.sz + ask.sz)
    total = {side: quantity(book[side]) for side in SIDES}
    qty = {side: band_quantities(side, book[side], microprice, point) for side in SIDES}
    values = {
        "microprice": microprice,
        "midprice": (bid.px + ask.px) / 2,
        "state_spread_pts": (ask.px - bid.px) / point,
        "state_obi0": imbalance(bid.sz, ask.sz),
        "state_obi10": imbalance(total["bid"], total["ask"]),
    }
    for band in BANDS:
        values[f"state_cdi_{band}"] = imbalance(qty["bid"][band], qty["ask"][band])
    for side, where in DEPTH_SIDE.items():
        values[f"depth_{side}10_qty"] = total[side]
        for band in BANDS:
            values[f"depth_{where}_{band}_qty"] = qty[side][band]
            values[f"depth_{where}_{band}_frac"] = ratio(qty[side][band], total[side])
    return State(book, values)


def time_averages(pieces: list[tuple[State, int]]) -> Row:
    """Each value's integral over the (state, ns held), by the ns a state existed."""
    held = [(state.values, ns) for state, ns in pieces if state is not NO_STATE]
    if not held:
        return NO_STATE.values
    covered = sum(ns for _, ns in held)
    return {
        name: math.fsum(values[name] * ns for values, ns in held) / covered for name in STATE_NAMES
    }


def meta_sums(ticks: list[Row]) -> Row:
    actions = column(ticks, "action")
    row = {"bar5s_meta_msg_cnt_sum": len(actions)}
    for name, letter in META.items():
        row[f"bar5s_meta_{name}_cnt_sum"] = actions.count(letter)
    return row


def trade_sums(ticks: list[Row]) -> Row:
    """A trade's side is its aggressor: B bought, A sold, N is in the volume only."""
    trades = [tick for tick in ticks if tick["action"] == "T"]
    buy = sum(trade["size"] for trade in trades if trade["side"] == "B")
    sell = sum(trade["size"] for trade in trades if trade["side"] == "A")
    return {
        "bar5s_trade_cnt_sum": len(trades),
        "bar5s_trade_vol_sum": sum(column(trades, "size")),
        "bar5s_trade_aggbuy_vol_sum": buy,
        "bar5s_trade_aggsell_vol_sum": sell,
        "bar5s_trade_signed_vol_sum": buy - sell,
    }


def add_flow_event(
    flow: dict[str, int],
    tick: Row,
    book: Book,
    previous: Book,
    state: State,
    point: float,
) -> None:
    """Add an add, cancel or modify to the flow of its side and band.

    The change is that of the size at the event's price against the book of the record
    before; the band is the price's distance from the microprice just before the event.
    """
    action, side = FLOW_ACTIONS.get(tick["action"]), EVENT_SIDE.get(tick["side"])
    px = tick["price"]
    if action is None or side is None or px is None or state is NO_STATE:
        return
    band = band_of(side, px, state.values["microprice"], point)
    if band is None:
        return
    before, after = (
        quantity([level for level in ladders[side] if level.px == px])
        for ladders in (previous, book)
    )
    flow[f"add_vol_{side}_{band}"] += max(after - before, 0)
    flow[f"rem_vol_{side}_{band}"] += max(before - after, 0)
    flow[f"net_vol_{side}_{band}"] += after - before
    flow[f"cnt_{action}_{side}_{band}"] += 1


def flow_columns(flow: dict[str, int], averages: Row) -> Row:
    """The sums, then net flow over the band's average quantity, that at least 1."""
    row: Row = {f"bar5s_flow_{name}_sum": value for name, value in flow.items()}
    for side, where in DEPTH_SIDE.items():
        for band in BANDS:
            norm = max(averages[f"depth_{where}_{band}_qty"] or 0, 1)
            net = flow[f"net_vol_{side}_{band}"]
            row[f"bar5s_flow_net_volnorm_{side}_{band}_sum"] = net / norm
    return row


def state_columns(averages: Row, values: Row) -> Row:
    row = {}
    for name in STATE_NAMES:
        if name not in ("microprice", "midprice"):
            row[f"bar5s_{name}_twa"] = averages[name]
            row[f"bar5s_{name}_eob"] = values[name]
    return row


def ladder_columns(book: Book, point: float) -> Row:
    """Largest and mean price gap between adjacent defined levels of each side."""
    row = {}
    for side in ("ask", "bid"):
        prices = present([level.px for level in book[side]])
        gaps = [abs(prices[i] - prices[i - 1]) / point for i in range(1, len(prices))]
        row[f"bar5s_ladder_{side}_gap_max_pts_eob"] = max(gaps, default=None)
        row[f"bar5s_ladder_{side}_gap_mean_pts_eob"] = fmean(gaps) if gaps else None
    return row


def shape_columns(book: Book) -> Row:
    """Price, size and count of every level, and the fractions of the ten's total."""
    values, fractions = {}, {}
    for field in FIELDS:
        for side in SIDES:
            ladder = [getattr(level, field) for level in book[side]]
            for i in LEVELS:
                values[f"bar5s_shape_{side}_{field}_l{i:02d}_eob"] = ladder[i]
                if field != "px":
                    share = ratio(ladder[i], sum(ladder))
                    fractions[f"bar5s_shape_{side}_{field}_frac_l{i:02d}_eob"] = share
    return values | fractions


def wall_z(levels: list[Level]) -> list[float]:
    """Standard scores of log(1 + size) among the ten levels, all 0 for equal sizes."""
    if len({level.sz for level in levels}) == 1:
        return [0.0] * len(levels)
    logs = [math.log1p(level.sz) for level in levels]
    mean = fmean(logs)
    std = math.sqrt(fmean((value - mean) ** 2 for value in logs))
    return [(value - mean) / std for value in logs]


def wall_of(levels: list[Level], microprice: float | None, point: float) -> Row:
    """The largest z and its level, and the nearest level whose z is at least 2."""
    z = wall_z(levels)
    strong = [i for i in LEVELS if z[i] >= 2 - Z_ROUNDING]
    distance = minus(levels[strong[0]].px, microprice) if strong else None
    return {
        "maxz": max(z),
        "maxz_levelidx": z.index(max(z)),
        "nearest_strong_dist_pts": None if distance is None else abs(distance) / point,
        "nearest_strong_levelidx": strong[0] if strong else -1,
    }


def wall_columns(state: State, point: float) -> Row:
    microprice = state.values["microprice"]
    wall = {side: wall_of(state.book[side], microprice, point) for side in SIDES}
    return {
        f"bar5s_wall_{side}_{name}_eob": wall[side][name] for name in wall["bid"] for side in SIDES
    }


def bar_row(
    bar: Row,
    ticks: list[Row],
    flow: dict[str, int],
    state: State,
    averages: Row,
    point: float,
) -> Row:
    """One bar; whatever describes the book is None as long as there is no state."""
    ladder, shape = ladder_columns(state.book, point), shape_columns(state.book)
    wall = wall_columns(state, point)
    if state is NO_STATE:
        ladder, shape, wall = map(dict.fromkeys, (ladder, shape, wall))
    return {
        **bar,
        "bar5s_microprice_eob": state.values["microprice"],
        "bar5s_microprice_twa": averages["microprice"],
        "bar5s_midprice_eob": state.values["midprice"],
        **meta_sums(ticks),
        **state_columns(averages, state.values),
        **ladder,
        **shape,
        **flow_columns(flow, averages),
        **trade_sums(ticks),
        **wall,
    }


def bar5s(ticks: list[Row], point: float) -> list[Row]:
    """Five-second bars, without a gap from the first tick's bar to the last tick's.

    The state is the latest two-sided book; it holds until the next one, across the
    ends of bars, so a bar without a tick averages to the state it inherits.
    """
    ticks_of: dict[int, list[Row]] = {}
    for tick in ticks:
        ticks_of.setdefault(tick["ts_event"] // BAR_NS * BAR_NS, []).append(tick)
    if not ticks_of:
        return []

    bars = []
    state, previous = NO_STATE, NO_BOOK
    for start in range(min(ticks_of), max(ticks_of) + BAR_NS, BAR_NS):
        in_bar = ticks_of.get(start, [])
        flow, pieces, since = dict.fromkeys(FLOW_NAMES, 0), [], start
        for tick in in_bar:
            book = read_book(tick, TICK_LADDER)
            add_flow_event(flow, tick, book, previous, state, point)
            pieces.append((state, tick["ts_event"] - since))
            if is_two_sided(book):
                state = state_of(book, point)
            previous, since = book, tick["ts_event"]
        pieces.append((state, start + BAR_NS - since))
        averages = time_averages(pieces) if in_bar else state.values
        bar = {"bar_ts": start, "symbol": ticks[0]["symbol"]}
        bars.append(bar_row(bar, in_bar, flow, state, averages, point))
    return bars


# ---------------------------------------------------------------- session_levels

NEW_YORK = ZoneInfo("America/New_York")
SESSIONS = {"PM": (time(5, 0), time(9, 30)), "OR": (time(9, 30), time(10, 0))}
LEVEL_TYPES = ("PM_HIGH", "PM_LOW", "OR_HIGH", "OR_LOW")


def new_york_ns(day: date, clock: time) -> int:
    return int(datetime.combine(day, clock, NEW_YORK).timestamp()) * 1_000_000_000


def polarity_of(level_type: str) -> int:
    return 1 if level_type.endswith("HIGH") else -1


def session_levels(bars: list[Row], day: date) -> list[Row]:
    """High and low of the end-of-bar microprice, pre-market and opening range.

    The price is None where the window has no tick or no microprice.
    """
    levels = []
    for level_type in LEVEL_TYPES:
        session, extreme = level_type.split("_")
        opens, closes = (new_york_ns(day, clock) for clock in SESSIONS[session])
        window = [bar for bar in bars if opens <= bar["bar_ts"] < closes]
        prices = present(column(window, "bar5s_microprice_eob"))
        price = None
        if prices and sum(column(window, "bar5s_meta_msg_cnt_sum")) > 0:
            price = max(prices) if extreme == "HIGH" else min(prices)
        levels.append(
            {
                "date": day,
                "symbol": bars[0]["symbol"] if bars else None,
                "level_type": level_type,
                "level_price": price,
                "polarity": polarity_of(level_type),
                "formed_from": opens,
                "formed_to": closes,
                "valid_from": closes,
            }
        )
    return levels


# ---------------------------------------------------------------- level_episodes
# dist[t] is the signed distance of bar t's microprice from the level, in points.

Distances = list[float | None]
EPISODES_END = time(13, 30)


def to_level_pts(price: float | None, level: float, point: float) -> float | None:
    return None if price is None else (price - level) / point


def in_band(distance: float | None) -> bool:
    return distance is not None and abs(distance) <= 1


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

    The mean is below where the distances add up to less than 0. With no price before
    the trigger, the trigger's own counts.
    """
    before = present(dist[max(0, t - 12) : t]) or [dist[t]]
    return 1 if math.fsum(before) < 0 else -1


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
    if w1 > 1:
        outcome = "STRONG_BREAK" if w2 > 2 else "WEAK_BREAK"
    elif w1 < -1:
        outcome = "STRONG_BOUNCE" if w2 < -2 else "WEAK_BOUNCE"
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


# ---------------------------------------------------------------- approach_features

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
    side = None if dist is None else 1 if dist > 0 else -1
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
    above = [lv for lv in asks if lv.px > price]
    below = [lv for lv in bids if lv.px < price]
    at = [lv for lv in bids + asks if abs(lv.px - price) / point <= 0.5]
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
    fell = sum(change < 0 for change in changes)
    velocity = column(window, "bar5s_deriv_dist_d1_w3")
    early, mid, late = (mean(third) or 0.0 for third in thirds(velocity))
    setup = {
        "start_dist_pts": window[0]["bar5s_approach_dist_to_level_pts_eob"],
        "min_dist_pts": nearest,
        "max_dist_pts": farthest,
        "dist_range_pts": farthest - nearest,
        "approach_bars": fell,
        "retreat_bars": sum(change > 0 for change in changes),
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


# ---------------------------------------------------------------- setup_vectors


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


def mean(values: list[float | None]) -> float | None:
    return fmean(present(values)) if present(values) else None


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
        f"setup_{side}_wall_closest_dist_min": min(
            MISSING_WALL_PTS if d is None else d for d in distances
        ),
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
