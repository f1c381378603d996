"""The laws: no look-ahead, conservation, grid, order and scale, on simulated days."""

import random
import sys
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kernels
from kernels.features import BANDS, SIDES, TABLES, VECTOR_DIMS
from kernels.instrument import Instrument
from resources.dbn import scan_dbn
from tests.compare import parquet_bytes
from tests.conftest import DAY, from_bars, ticks_of

EVENTS = 60_000
BAR = timedelta(seconds=5)
FUTURE = [
    "outcome",
    "outcome_score",
    "is_truncated_forward",
    "is_extended_forward",
    "extension_count",
]
"""The columns that tell what came after the trigger."""


class Day(NamedTuple):
    """The tables of one day."""

    ticks: pl.DataFrame
    bars: pl.DataFrame
    levels: pl.DataFrame
    episodes: pl.DataFrame
    approach: pl.DataFrame
    vectors: pl.DataFrame


def run(ticks: pl.DataFrame, point: float = 1.0) -> Day:
    """The whole chain from clean ticks."""
    return Day(ticks, *from_bars(kernels.bar5s(ticks.lazy(), point), DAY, point))


@pytest.fixture(scope="module")
def ticks(day_file, dirt) -> pl.DataFrame:
    return ticks_of(day_file(EVENTS, dirt))


@pytest.fixture(scope="module")
def day(ticks) -> Day:
    return run(ticks)


def assert_identical(one: pl.DataFrame, other: pl.DataFrame) -> None:
    assert_frame_equal(one, other, check_exact=True)


# ---------------------------------------------------------------- 1. no look-ahead


def known_at_trigger(day: Day, episode_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """An episode's vector, and its approach rows up to the trigger."""
    episode = pl.col("episode_id") == episode_id
    up_to_trigger = pl.col("bars_to_trigger") <= 0
    return (
        day.vectors.filter(episode).drop(FUTURE, strict=False),
        day.approach.filter(episode, up_to_trigger).drop(FUTURE),
    )


def assert_same_without_the_future(day: Day, episode_id: str, trigger_bar_ts: datetime) -> None:
    """What is known at the trigger does not change if the ticks end with the trigger's bar."""
    cut = run(day.ticks.filter(pl.col("ts_event") < trigger_bar_ts + BAR))
    assert cut.bars["bar_ts"].last() == trigger_bar_ts
    vector, rows = known_at_trigger(day, episode_id)
    cut_vector, cut_rows = known_at_trigger(cut, episode_id)
    assert_identical(cut_rows, rows)
    assert_identical(cut_vector, vector)


def test_cutting_the_ticks_after_a_trigger_changes_nothing_known_at_it(day):
    episodes = day.vectors.select("episode_id", "trigger_bar_ts").rows()
    assert len(episodes) >= 10
    for episode_id, trigger_bar_ts in episodes:
        assert_same_without_the_future(day, episode_id, trigger_bar_ts)


def test_setup_window_that_reached_past_the_trigger_would_be_noticed(day, monkeypatch):
    def whole_episode(rows: pl.LazyFrame) -> pl.lazyframe.group_by.LazyGroupBy:
        return rows.group_by("episode_id", maintain_order=True)

    monkeypatch.setattr(sys.modules["kernels.approach_features"], "setup_window", whole_episode)
    peeking = run(day.ticks)
    episode_id, trigger_bar_ts = day.vectors.select("episode_id", "trigger_bar_ts").row(-1)
    with pytest.raises(AssertionError, match='mismatch for column "bar5s_setup_'):
        assert_same_without_the_future(peeking, episode_id, trigger_bar_ts)


# ---------------------------------------------------------------- 2. conservation


def test_bar_sums_over_a_day_equal_the_sums_over_its_ticks(day):
    action, side, size = pl.col("action"), pl.col("side"), pl.col("size").cast(pl.Int64)
    trade = action == "T"
    counts = {"clear": "R", "add": "A", "cancel": "C", "modify": "M", "trade": "T"}
    over_ticks = day.ticks.select(
        pl.len().alias("meta_msg_cnt"),
        *((action == letter).sum().alias(f"meta_{kind}_cnt") for kind, letter in counts.items()),
        trade_cnt=trade.sum(),
        trade_vol=size.filter(trade).sum(),
        trade_aggbuy_vol=size.filter(trade, side == "B").sum(),
        trade_aggsell_vol=size.filter(trade, side == "A").sum(),
    ).row(0, named=True)
    for name, total in over_ticks.items():
        assert day.bars[f"bar5s_{name}_sum"].sum() == total, name


def test_signed_volume_is_buys_less_sells_in_every_bar(day):
    signed, buy, sell = (
        day.bars[f"bar5s_trade_{what}_vol_sum"] for what in ("signed", "aggbuy", "aggsell")
    )
    assert (signed == buy - sell).all()
    assert (buy + sell <= day.bars["bar5s_trade_vol_sum"]).all()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("band", BANDS)
def test_net_flow_is_added_less_removed_in_every_bar(day, side, band):
    net, added, removed = (
        day.bars[f"bar5s_flow_{what}_vol_{side}_{band}_sum"] for what in ("net", "add", "rem")
    )
    assert (net == added - removed).all()


@pytest.mark.parametrize("kind", ["add", "cancel", "modify"])
def test_no_flow_event_is_counted_twice(day, kind):
    counted = day.bars.select(pl.sum_horizontal(rf"^bar5s_flow_cnt_{kind}_.*$")).to_series()
    assert (counted <= day.bars[f"bar5s_meta_{kind}_cnt_sum"]).all()
    assert counted.sum() > 0


# ---------------------------------------------------------------- 3. grid


def test_bars_are_five_seconds_apart_from_first_tick_to_last(day):
    starts, ts = day.bars["bar_ts"], day.ticks["ts_event"]
    assert (starts.diff().drop_nulls() == BAR).all()
    assert (starts.to_physical() % 5_000_000_000 == 0).all()
    assert starts.first() <= ts.first() < starts.first() + BAR
    assert starts.last() <= ts.last() < starts.last() + BAR


def test_every_episode_has_one_trigger_row_and_gapless_bars(day):
    to_trigger = pl.col("bars_to_trigger")
    checks = day.episodes.group_by("episode_id").agg(
        one_trigger=pl.col("is_trigger_bar").sum() == 1,
        trigger_is_bar_0=(pl.col("is_trigger_bar") == (to_trigger == 0)).all(),
        rises_by_one=(to_trigger.diff().drop_nulls() == 1).all(),
        index_from_0=(pl.col("bar_index_in_episode") == pl.int_range(pl.len())).all(),
        on_the_grid=(pl.col("bar_ts") == pl.col("trigger_bar_ts") + to_trigger * BAR).all(),
    )
    assert checks.select(pl.exclude("episode_id").all()).row(0) == (True,) * 5
    assert day.vectors["episode_id"].to_list() == list(dict.fromkeys(day.episodes["episode_id"]))
    assert day.vectors["episode_id"].is_unique().all()


# ---------------------------------------------------------------- 4. order


def test_two_runs_on_the_same_file_give_byte_equal_tables(day, day_file, dirt):
    again = run(ticks_of(day_file(EVENTS, dirt)))
    for table, one, other in zip(Day._fields, day, again, strict=True):
        assert parquet_bytes(one) == parquet_bytes(other), table


@pytest.mark.parametrize("is_shuffled", [False, True], ids=["in order", "shuffled"])
def test_records_of_equal_time_and_sequence_keep_their_order(day_file, dirt, is_shuffled):
    records = scan_dbn(day_file(EVENTS, dirt)).head(20_000).collect()
    if is_shuffled:
        places = list(range(records.height))
        random.Random(0).shuffle(places)
        records = records[places]
    minute = pl.col("ts_event").dt.truncate("1m")
    place = pl.int_range(pl.len()).cast(pl.Datetime("ns", "UTC"))
    records = records.with_columns(ts_event=minute, sequence=pl.col("sequence") % 3, ts_recv=place)
    ticks = kernels.clean_ticks([records], Instrument("ES"), DAY).ticks
    order = ticks.select(pl.col("ts_event", "sequence", "ts_recv").to_physical()).rows()
    assert order == sorted(order)
    assert ticks.select("ts_event", "sequence").n_unique() < ticks.height / 4


# ---------------------------------------------------------------- 5. scale

SCALES = {4.0: 0.0, 0.1: 1e-9}
"""Factors, and how far values may be off: by a power of two no rounding differs."""


@pytest.fixture(scope="module", params=SCALES)
def scale(request: pytest.FixtureRequest) -> float:
    return request.param


@pytest.fixture(scope="module")
def scaled(ticks, scale) -> Day:
    prices = [c.name for c in TABLES["clean_ticks"] if c.unit == "price"]
    return run(ticks.with_columns(pl.col(prices) * scale), point=scale)


@pytest.mark.parametrize("stage", ["bars", "levels", "episodes", "approach", "vectors"])
def test_scaling_prices_and_point_scales_prices_alone(day, scale, scaled, stage):
    table = {"bars": "bar5s", "levels": "session_levels", "episodes": "level_episodes"} | {
        "approach": "approach_features",
        "vectors": "setup_vectors",
    }
    prices = [column.name for column in TABLES[table[stage]] if column.unit == "price"]
    expected = getattr(day, stage).with_columns(pl.col(prices) * scale)
    tolerance = SCALES[scale]
    assert_frame_equal(getattr(scaled, stage), expected, rel_tol=tolerance, abs_tol=tolerance)


def test_no_feature_in_points_or_of_a_vector_is_a_price():
    assert not [dim.name for dim in VECTOR_DIMS if dim.unit == "price"]
    for table, columns in TABLES.items():
        assert not [f"{table}.{c.name}" for c in columns if "_pts" in c.name and c.unit == "price"]
