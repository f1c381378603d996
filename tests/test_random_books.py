"""Random streams of ticks, and random walks of price around levels, against the slow twin.

Hypothesis draws the same examples on every run. Each test also asserts that the cases it is there
for did occur among its examples.
"""

import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import accumulate, pairwise
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import kernels
from kernels.features import ACTION, OUTCOME, schema
from kernels.instrument import Instrument, new_york
from resources.dbn import scan_dbn
from tests import oracle
from tests.compare import assert_same, parquet_bytes, plain_rows
from tests.conftest import DAY
from tests.oracle import BANDS, BAR_NS, LEVELS, SIDES, TICK_LADDER, Book, State

SEEDED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MIDNIGHT_NS = oracle.new_york_ns(DAY, time())
PRICE_UNITS = 1_000_000_000


# ---------------------------------------------------------------- random ticks


class Grid(NamedTuple):
    """Prices of an instrument: k ticks from a base, in 1e-9; books are built in strides of ticks."""

    point: float
    tick: int
    stride: int
    base: int = 595_013

    def price(self, ticks: int) -> float:
        return (self.base + ticks) * self.tick / PRICE_UNITS


GRIDS = [
    Grid(1.0, 250_000_000, stride=1),
    Grid(1.0, 10_000_000, stride=25),
    Grid(0.25, 250_000_000, stride=1),
    Grid(0.25, 10_000_000, stride=5),
    Grid(10.0, 2_500_000_000, stride=1),
    Grid(10.0, 10_000_000, stride=250),
]
"""Points of 1 and others, ticks that binary fractions can and cannot express."""

TAIL, ALONE, ALL = "tail", "alone", "all"
SIZES = st.sampled_from([0, 1, 1, 2, 3, 5, 5, 20, 900])
PAUSES_NS = st.sampled_from(
    [0, 0, 0, 1, 999, 700_000_000, 2_500_000_000, BAR_NS, 130 * BAR_NS // 5]
)
FIRST_TS = st.sampled_from([0, 1, 2_500_000_000, BAR_NS - 1])


@st.composite
def ladder_sizes(draw: st.DrawFn) -> list[int]:
    """Ten sizes: any, all the same, or one or two walls among equals (two have z = 2 exactly)."""
    walls = draw(st.sampled_from([None, None, None, 0, 1, 2]))
    if walls is None:
        return draw(st.lists(SIZES, min_size=10, max_size=10))
    at = draw(st.sets(st.integers(0, 9), min_size=walls, max_size=walls))
    usual = draw(st.sampled_from([1, 4, 4, 4, 30]))
    return [usual * 8 + 9 if level in at else usual for level in LEVELS]


@st.composite
def ladders(draw: st.DrawFn, stride: int, best: int, outward: int) -> list[tuple]:
    """Ten levels (ticks or None, size, count), best first, from a best price outwards."""
    gap = st.sampled_from([1, stride, stride, stride, 2 * stride, 4 * stride, 9 * stride])
    gaps = draw(st.lists(gap, min_size=9, max_size=9))
    prices: list[int | None] = list(accumulate((outward * g for g in gaps), initial=best))
    missing = draw(st.sampled_from([None, None, None, None, TAIL, ALONE, ALL]))
    first = draw(st.sampled_from([0, 0, 1, 1, 2, 5, 9]))
    if missing is not None:
        gone = {TAIL: range(first, 10), ALONE: [first], ALL: LEVELS}[missing]
        prices = [None if level in gone else px for level, px in enumerate(prices)]
    return list(zip(prices, draw(ladder_sizes()), draw(ladder_sizes()), strict=True))


@st.composite
def books(draw: st.DrawFn, stride: int) -> dict[str, list[tuple]]:
    """A book whose best bid is below its best ask; any of its levels may be missing."""
    bid = draw(st.integers(-6, 6)) * stride
    ask = bid + draw(st.sampled_from([1, stride, 2 * stride, 2 * stride, 8 * stride, 30 * stride]))
    return {"bid": draw(ladders(stride, bid, -1)), "ask": draw(ladders(stride, ask, 1))}


@st.composite
def tick_streams(draw: st.DrawFn) -> tuple[pl.DataFrame, float]:
    """Clean ticks and their point: a few books that follow one another in any order."""
    grid = draw(st.sampled_from(GRIDS))
    pool = draw(st.lists(books(grid.stride), min_size=1, max_size=5))
    places = [px for book in pool for side in SIDES for px, *_ in book[side] if px is not None]
    event_price = st.one_of(
        *([st.sampled_from(places)] * 2 if places else []),
        *(st.integers(-far, far).map(lambda k: k * grid.stride) for far in (5, 14, 60)),
        st.none(),
    )
    event = st.tuples(
        PAUSES_NS,
        st.sampled_from([*"AACCMMT", *ACTION.categories]),
        st.sampled_from("AABBN"),
        event_price,
        st.integers(0, 50),
        st.sampled_from([0, 1, 2, 5, 9, 10, 255]),
        st.sampled_from(pool),
    )
    length = draw(st.integers(1, 40))
    events = draw(st.lists(event, min_size=length, max_size=length))
    ts = MIDNIGHT_NS + draw(FIRST_TS)
    rows = []
    for sequence, (pause, action, side, px, size, depth, book) in enumerate(events):
        ts += pause
        row = dict.fromkeys(schema("clean_ticks"), 0) | {"is_bad_ts": False, "is_bad_book": False}
        row |= {"is_last": True, "is_snapshot": False, "symbol": "ESM5", "sequence": sequence}
        row |= {"ts_event": ts, "ts_recv": ts, "action": action, "side": side, "size": size}
        row |= {"depth": depth, "price": None if px is None else grid.price(px)}
        for ladder_side in SIDES:
            for names, (level_px, *counts) in zip(
                TICK_LADDER[ladder_side], book[ladder_side], strict=True
            ):
                price = None if level_px is None else grid.price(level_px)
                row |= zip(names, (price, *counts), strict=True)
        rows.append(row)
    return pl.DataFrame(rows, schema=schema("clean_ticks")), grid.point


def tick_cases(ticks: list[dict], bars: list[dict], point: float) -> Iterator[str]:
    """What is out of the ordinary in a stream of ticks and its bars."""
    yield f"point {point}"
    books = [oracle.read_book(tick, TICK_LADDER) for tick in ticks]
    two_sided = [oracle.is_two_sided(book) for book in books]
    if not two_sided[0]:
        yield "starts without a two-sided book"
    if not any(two_sided):
        yield "no two-sided book at all"
    for tick, book in zip(ticks, books, strict=True):
        yield from book_cases(tick, book)
    for before, after in pairwise(ticks):
        if before["ts_event"] == after["ts_event"]:
            yield "ticks of one instant"
    if any(tick["ts_event"] % BAR_NS == 0 for tick in ticks):
        yield "tick at a bar's start"
    yield from event_cases(ticks, books, point)
    for bar in bars:
        yield from bar_cases(bar)


def book_cases(tick: dict, book: Book) -> Iterator[str]:
    defined = {side: [level.px is not None for level in book[side]] for side in SIDES}
    count = [sum(defined[side]) for side in SIDES]
    if count == [0, 0]:
        yield "both sides empty"
    elif 0 in count:
        yield "one side empty"
    for side in SIDES:
        if 0 < sum(defined[side]) < 10:
            is_tail = defined[side] == sorted(defined[side], reverse=True)
            yield "tail missing" if is_tail else "level missing in the middle"
        if not defined[side][0] and any(defined[side]):
            yield "best level missing before others"
        if defined[side][0] and book[side][0].sz == 0:
            yield "best level of no size"
        for px, sz, _ in TICK_LADDER[side]:
            if tick[px] is None and tick[sz] > 0:
                yield "size without a price"


def event_cases(ticks: list[dict], books: list[Book], point: float) -> Iterator[str]:
    state: State = oracle.NO_STATE
    for tick, book in zip(ticks, books, strict=True):
        yield f"action {tick['action']} side {tick['side']}"
        side = oracle.EVENT_SIDE.get(tick["side"])
        if tick["action"] in oracle.FLOW_ACTIONS and side is not None:
            px, centre = tick["price"], state.values["microprice"]
            if px is None:
                yield "flow without a price"
            elif centre is None:
                yield "flow before the first two-sided book"
            else:
                band = oracle.band_of(side, px, centre, point)
                yield f"flow in band {band}"
                if abs(px - centre) / point in BANDS.values():
                    yield "flow at a band's edge"
                if px not in [level.px for level in book[side]]:
                    yield "flow outside the book"
        if oracle.is_two_sided(book):
            state = oracle.state_of(book, point)


def bar_cases(bar: dict) -> Iterator[str]:
    if bar["bar5s_microprice_eob"] is None:
        yield "bar before the first two-sided book"
        return
    if bar["bar5s_meta_msg_cnt_sum"] == 0:
        yield "bar without a tick"
    for side in SIDES:
        if bar[f"bar5s_wall_{side}_maxz_eob"] == 0:
            yield "equal sizes"
        if abs(bar[f"bar5s_wall_{side}_maxz_eob"] - 2) < 1e-9:
            yield "two equal walls"
        if bar[f"bar5s_wall_{side}_nearest_strong_levelidx_eob"] == -1:
            yield "no wall"
        if bar[f"bar5s_ladder_{side}_gap_max_pts_eob"] is None:
            yield "ladder of one level"


TICK_CASES = {
    *(f"point {grid.point}" for grid in GRIDS),
    *(f"action {action} side {side}" for action in ACTION.categories for side in "ABN"),
    *(f"flow in band {band}" for band in (*BANDS, None)),
    "bar before the first two-sided book",
    "bar without a tick",
    "best level missing before others",
    "best level of no size",
    "both sides empty",
    "equal sizes",
    "flow at a band's edge",
    "flow before the first two-sided book",
    "flow outside the book",
    "flow without a price",
    "ladder of one level",
    "level missing in the middle",
    "no two-sided book at all",
    "no wall",
    "one side empty",
    "size without a price",
    "starts without a two-sided book",
    "tail missing",
    "tick at a bar's start",
    "ticks of one instant",
    "two equal walls",
}


def test_bars_of_random_ticks_equal_the_slow_twins():
    seen: set[str] = set()

    @settings(SEEDED, max_examples=150)
    @given(tick_streams())
    def check(stream: tuple[pl.DataFrame, float]) -> None:
        ticks, point = stream
        rows = plain_rows(ticks)
        bars = oracle.bar5s(rows, point)
        assert_same(kernels.bar5s(ticks.lazy(), point), bars, "bar5s")
        seen.update(tick_cases(rows, bars, point))

    check()
    assert seen >= TICK_CASES, f"never occurred: {TICK_CASES - seen}"


def bars_in_batches_of(size: int, ticks: pl.DataFrame, point: float) -> bytes:
    """The bars, as Parquet, when ticks are read so many at a time."""
    module = sys.modules["kernels.bar5s"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BATCH", size)
        return parquet_bytes(kernels.bar5s(ticks.lazy(), point))


@settings(SEEDED, max_examples=20)
@given(tick_streams(), st.integers(1, 7))
def test_bars_of_random_ticks_do_not_depend_on_the_batch(stream, size):
    ticks, point = stream
    assert bars_in_batches_of(size, ticks, point) == bars_in_batches_of(100_000, ticks, point)


@pytest.mark.parametrize("size", [7, 100, 511, 512, 513, 1024])
def test_bars_of_a_busy_hour_do_not_depend_on_the_batch(busy_ticks, size):
    assert bars_in_batches_of(size, busy_ticks, 1.0) == bars_in_batches_of(100_000, busy_ticks, 1.0)


@pytest.fixture(scope="module")
def busy_ticks(day_file) -> pl.DataFrame:
    """Enough ticks of a dirty day's open to fill several batches of any size tried."""
    records = scan_dbn(day_file(15_000, True))
    ticks = kernels.clean_ticks(records, Instrument("ES"), DAY).ticks
    opens = new_york(DAY, time(9, 25))
    return ticks.filter(pl.col("ts_event") >= opens).head(1_500).collect()


# ---------------------------------------------------------------- random walks

CENTRE = 5950.0
QUARTER = 0.25
NO_WALL, FAINT_WALL, STRONG_WALL = 1.5, 2.0, 3.0


class Stretch(NamedTuple):
    """Some bars at one place, in quarter points from the centre."""

    place: int
    bars: int
    volume: int
    bid_wall_z: float


class Walk(NamedTuple):
    """A day of stretches, its first bars without a book, and the levels it meets."""

    starts: datetime
    bookless: int
    stretches: list[Stretch]
    levels: pl.DataFrame
    point: float


STARTS = [time(9, 58), time(12), time(13, 10), time(13, 20), time(13, 27), time(13, 31)]
"""New York times; the last ones let 13:30 come within the walk, or before it."""

PLACES = [-13, -10, -9, -5, -4, -1, 0, 0, 0, 1, 4, 5, 8, 9, 12]
LENGTHS = [1, 2, 5, 6, 7, 12, 23, 24, 25, 48, 73, 97]
LEVEL_PLACES = [0, 0, 0, -8, 6, None]


def level_row(level_type: str, price: float | None, valid_from: datetime) -> dict:
    return {
        "date": DAY,
        "symbol": "ESM5",
        "level_type": level_type,
        "level_price": price,
        "polarity": oracle.polarity_of(level_type),
        "formed_from": valid_from - timedelta(minutes=30),
        "formed_to": valid_from,
        "valid_from": valid_from,
    }


@st.composite
def walks(draw: st.DrawFn) -> Walk:
    """A walk drawn whole from one seed; Hypothesis would rather vary few walks than try many."""
    pick = draw(st.randoms(use_true_random=True)).choice
    starts, point = new_york(DAY, pick(STARTS)), pick([1.0, 0.25, 10.0])
    stretches = [
        Stretch(
            pick(PLACES),
            pick(LENGTHS),
            pick([0, 0, 1, 7]),
            pick([NO_WALL, FAINT_WALL, STRONG_WALL]),
        )
        for _ in range(pick(range(1, 13)))
    ]
    levels = []
    for level_type in pick([["PM_HIGH"], ["OR_LOW"], ["PM_LOW", "OR_HIGH"]]):
        place, waits = pick(LEVEL_PLACES), timedelta(seconds=pick([-60, 0, 3, 300]))
        price = None if place is None else CENTRE + place * QUARTER * point
        levels.append(level_row(level_type, price, starts + waits))
    levels = pl.DataFrame(levels, schema=schema("session_levels"))
    return Walk(starts, pick([0, 0, 1, 4, 20]), stretches, levels, point)


def bars_of(walk: Walk, template: pl.DataFrame) -> pl.DataFrame:
    """Bars whose book follows the walk; flow and depth are the template's."""
    steps = [stretch for stretch in walk.stretches for _ in range(stretch.bars)]
    n = len(steps)
    tick = QUARTER * walk.point
    price = CENTRE + pl.Series([step.place for step in steps]) * tick
    volume = pl.Series([step.volume for step in steps], dtype=pl.Float64)
    bid_z = pl.Series([step.bid_wall_z for step in steps])
    columns = {
        "ts": pl.datetime_range(
            walk.starts,
            walk.starts + timedelta(seconds=5 * (n - 1)),
            "5s",
            time_unit="ns",
            eager=True,
        ),
        "microprice_eob": price,
        "microprice_twa": price + tick / 8,
        "midprice_eob": price,
        "trade_cnt_sum": (volume > 0).cast(pl.Float64),
        "meta_trade_cnt_sum": (volume > 0).cast(pl.Float64),
        "trade_vol_sum": volume,
        "trade_aggbuy_vol_sum": volume - volume // 3,
        "trade_aggsell_vol_sum": volume // 3,
        "trade_signed_vol_sum": volume - volume // 3 * 2,
    }
    for side, outward, z in (("bid", -1, bid_z), ("ask", 1, FAINT_WALL + STRONG_WALL - bid_z)):
        is_wall = z >= FAINT_WALL
        columns[f"wall_{side}_maxz_eob"] = z
        columns[f"wall_{side}_nearest_strong_dist_pts_eob"] = pl.select(
            pl.when(is_wall).then(z / 2)
        ).to_series()
        columns[f"wall_{side}_nearest_strong_levelidx_eob"] = is_wall.cast(pl.Int32) * 5 - 1
        for i in LEVELS:
            columns[f"shape_{side}_px_l{i:02d}_eob"] = price + outward * (i + 1) * tick
    bars = template.sample(n, with_replacement=True, seed=n).with_columns(
        columns.pop("ts").alias("bar_ts"),
        *(values.alias(f"bar5s_{name}") for name, values in columns.items()),
    )
    has_book = pl.int_range(pl.len()) >= walk.bookless
    return bars.with_columns(
        pl.when(has_book).then(pl.col(name))
        for name in bars.columns
        if name.endswith(("_eob", "_twa"))
    )


@pytest.fixture(scope="module")
def template(day_file) -> pl.DataFrame:
    """Bars of a simulated morning."""
    records = scan_dbn(day_file(15_000, False))
    ticks = kernels.clean_ticks(records, Instrument("ES"), DAY).ticks
    opens, closes = (new_york(DAY, clock) for clock in (time(9, 30), time(11)))
    return kernels.bar5s(ticks).filter(pl.col("bar_ts").is_between(opens, closes))


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


def plain_walk(*stretches: tuple[int, int], bid_walls: tuple[float, ...] = ()) -> Walk:
    """A walk of (place, bars) with trades all the time, around a high that is valid at once."""
    noon = new_york(DAY, time(12))
    levels = pl.DataFrame([level_row("PM_HIGH", CENTRE, noon)], schema=schema("session_levels"))
    walls = bid_walls or [NO_WALL] * len(stretches)
    steady = [Stretch(*where, 1, wall) for where, wall in zip(stretches, walls, strict=True)]
    return Walk(noon, 0, steady, levels, 1.0)


def test_episodes_of_random_walks_equal_the_slow_twins(template):
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
    def check(walk: Walk) -> None:
        bars = bars_of(walk, template)
        episodes = oracle.level_episodes(plain_rows(bars), plain_rows(walk.levels), DAY, walk.point)
        fast = kernels.level_episodes(bars, walk.levels, DAY, walk.point)
        assert_same(fast, episodes, "level_episodes")
        seen.update(episode_cases(walk, oracle.split_episodes(episodes)))

    check()
    assert seen >= EPISODE_CASES, f"never occurred: {EPISODE_CASES - seen}"


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


def test_features_of_random_walks_equal_the_slow_twins(template):
    seen: set[str] = set()

    @settings(SEEDED, max_examples=40)
    @given(walks())
    @example(plain_walk((8, 1), (0, 1)))
    @example(plain_walk((8, 2), (0, 1)))
    @example(plain_walk((8, 4), (4, 3), bid_walls=(STRONG_WALL, NO_WALL)))
    def check(walk: Walk) -> None:
        bars = bars_of(walk, template)
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


SESSION_STARTS = [time(4, 55), time(5), time(9, 20), time(9, 30), time(9, 50), time(10)]
SESSION_DAYS = [date(2025, 1, 15), date(2025, 3, 7), date(2025, 3, 10), DAY]
"""Winter and summer, and both sides of the change of clocks."""


def test_levels_of_random_walks_equal_the_slow_twins(template):
    seen: set[str] = set()

    @settings(SEEDED, max_examples=40)
    @given(walks(), st.sampled_from(SESSION_DAYS), st.sampled_from(SESSION_STARTS), st.booleans())
    def check(walk: Walk, day: date, clock: time, is_silent: bool) -> None:
        bars = bars_of(walk._replace(starts=new_york(day, clock)), template)
        if is_silent:
            bars = bars.with_columns(bar5s_meta_msg_cnt_sum=0.0)
        levels = oracle.session_levels(plain_rows(bars), day)
        assert_same(kernels.session_levels(bars, day), levels, "session_levels")
        for level in levels:
            seen.add(f"{level['level_type']} {'none' if level['level_price'] is None else 'some'}")

    check()
    assert seen == {f"{name} {price}" for name in oracle.LEVEL_TYPES for price in ("some", "none")}
