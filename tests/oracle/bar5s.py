"""What happened in five seconds, and the book at their end."""

import math
from statistics import fmean

from tests.oracle.arithmetic import Row, column, minus, named, present, ratio
from tests.oracle.book import (
    BANDS,
    DEPTH_SIDE,
    FIELDS,
    LEVELS,
    NO_BOOK,
    NO_STATE,
    SIDES,
    STATE_NAMES,
    TICK_LADDER,
    Book,
    Level,
    State,
    band_of,
    is_two_sided,
    quantity,
    read_book,
    state_of,
)

BAR_NS = 5_000_000_000
META = {"clear": "R", "add": "A", "cancel": "C", "modify": "M", "trade": "T"}
FLOW_ACTIONS = {"A": "add", "C": "cancel", "M": "modify"}
EVENT_SIDE = {"B": "bid", "A": "ask"}
FLOW_NAMES = [
    f"{kind}_{side}_{band}"
    for kind in named("{}", "add_vol rem_vol net_vol cnt_add cnt_cancel cnt_modify")
    for side in SIDES
    for band in BANDS
]
Z_ROUNDING = 1e-9


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
