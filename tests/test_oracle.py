"""Every stage against its slow, obvious twin."""

from datetime import date

import polars as pl
import pytest

import kernels
from kernels.instrument import Instrument
from resources.dbn import scan_dbn
from resources.simulated import simulate_day
from tests import oracle
from tests.compare import assert_same, plain_rows

DAY = date(2025, 6, 5)


@pytest.fixture(scope="module", params=[False, True], ids=["clean", "dirty"])
def records(request, tmp_path_factory) -> pl.LazyFrame:
    path = tmp_path_factory.mktemp("raw") / "ES-20250605.dbn.zst"
    return scan_dbn(simulate_day(path, DAY, events=20_000, seed=3, dirt=request.param))


def test_chain_equals_oracle(records):
    cleaned = kernels.clean_ticks(records, Instrument("ES"), DAY)
    ticks = cleaned.ticks.collect()
    slow_ticks, slow_dropped = oracle.clean_ticks(
        plain_rows(records.collect()), "ES", "volume", DAY
    )
    assert cleaned.dropped == slow_dropped
    assert_same(ticks, slow_ticks, "clean_ticks")

    bars = kernels.bar5s(ticks.lazy())
    slow_bars = oracle.bar5s(slow_ticks, 1.0)
    assert_same(bars, slow_bars, "bar5s")

    levels = kernels.session_levels(bars, DAY)
    slow_levels = oracle.session_levels(slow_bars, DAY)
    assert_same(levels, slow_levels, "session_levels")

    episodes = kernels.level_episodes(bars, levels, DAY)
    slow_episodes = oracle.level_episodes(slow_bars, slow_levels, DAY, 1.0)
    assert episodes["episode_id"].n_unique() > 10
    assert_same(episodes, slow_episodes, "level_episodes")

    approach = kernels.approach_features(episodes)
    slow_approach = oracle.approach_features(slow_episodes, 1.0)
    assert_same(approach, slow_approach, "approach_features")
    assert_same(
        kernels.setup_vectors(approach), oracle.setup_vectors(slow_approach), "setup_vectors"
    )
