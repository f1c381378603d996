"""Every stage against its slow, obvious twin, over whole simulated days."""

from typing import NamedTuple

import polars as pl
import pytest

import kernels
from kernels.instrument import Instrument
from resources.dbn import scan_dbn
from tests import oracle
from tests.compare import assert_same, plain_rows
from tests.conftest import DAY, from_bars

EVENTS = 15_000
POINT = 1.0


class Stages(NamedTuple):
    """The tables of one day, Polars frames or the oracle's rows."""

    clean_ticks: pl.DataFrame | list[dict]
    dropped: dict[str, int]
    bar5s: pl.DataFrame | list[dict]
    session_levels: pl.DataFrame | list[dict]
    level_episodes: pl.DataFrame | list[dict]
    approach_features: pl.DataFrame | list[dict]
    setup_vectors: pl.DataFrame | list[dict]


def run_kernels(records: pl.DataFrame) -> Stages:
    cleaned = kernels.clean_ticks([records], Instrument("ES", POINT), DAY)
    bars = kernels.bar5s(cleaned.ticks.lazy(), POINT)
    return Stages(cleaned.ticks, cleaned.dropped, *from_bars(bars, DAY, POINT))


def run_oracle(records: pl.DataFrame) -> Stages:
    ticks, dropped = oracle.clean_ticks(plain_rows(records), "ES", "volume", DAY)
    bars = oracle.bar5s(ticks, POINT)
    levels = oracle.session_levels(bars, DAY)
    episodes = oracle.level_episodes(bars, levels, DAY, POINT)
    approach = oracle.approach_features(episodes, POINT)
    return Stages(ticks, dropped, bars, levels, episodes, approach, oracle.setup_vectors(approach))


@pytest.fixture(scope="module")
def fast_and_slow(day_file, dirt) -> tuple[Stages, Stages]:
    records = scan_dbn(day_file(EVENTS, dirt)).collect()
    return run_kernels(records), run_oracle(records)


TABLES = [name for name in Stages._fields if name != "dropped"]


@pytest.mark.parametrize("table", TABLES)
def test_stage_equals_its_slow_twin(fast_and_slow, table):
    fast, slow = fast_and_slow
    assert_same(getattr(fast, table), getattr(slow, table), table)


def test_dropped_records_are_counted_like_the_slow_twin_does(fast_and_slow, dirt):
    fast, slow = fast_and_slow
    assert fast.dropped == slow.dropped
    assert (fast.dropped["crossed_or_locked"] > 0) == dirt


def test_day_has_episodes_enough_to_compare(fast_and_slow):
    fast, _ = fast_and_slow
    assert fast.setup_vectors.height >= 10
