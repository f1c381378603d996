"""A date taken through its stages in one process: the tables are those of the stages one by one."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels
from kernels.features import TABLES
from kernels.instrument import INSTRUMENTS
from pipeline_assets.stages import STAGES, TradingDay, make_tables
from resources import dbn_records
from resources.lake import LakeDay, TableMissing, UnreadableTable, table_path
from tests.compare import parquet_bytes
from tests.conftest import DAY, make_one_by_one
from tests.seeded import SEEDED


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Iterator[None]:
    """Records come in blocks of which a day has several, as a real one does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dbn_records, "BLOCK_RECORDS", 7_000)
        patch.setattr(sys.modules["kernels.clean_ticks"], "_FIRST_RECORDS", 7_000)
        yield


def raw_of(path: Path, folder: Path) -> Path:
    """A folder of raw files with the file of `DAY`."""
    folder.mkdir(exist_ok=True)
    (folder / "ES").symlink_to(path.parent)
    return folder


@pytest.fixture(scope="module")
def raw(day_file, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of raw files with a clean `DAY`."""
    return raw_of(day_file(50_000, False), tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def one_by_one(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of that day, its stages made one after the other from its files."""
    return make_one_by_one(raw, tmp_path_factory.mktemp("lake"))


def content(lake: Path, table: str) -> bytes:
    """A table of the day, bit by bit."""
    return parquet_bytes(pl.read_parquet(table_path(lake, "ES", table, DAY)))


def test_tables_made_in_one_process_are_those_of_the_stages(
    day_file, dirt: bool, tmp_path: Path
) -> None:
    """Of a dirty day too, which is read twice, as some of its records are late."""
    raw = raw_of(day_file(50_000, dirt), tmp_path / "raw")
    one_by_one = make_one_by_one(raw, tmp_path / "one_by_one")
    made = make_tables(
        TradingDay(INSTRUMENTS["ES"], DAY, raw), LakeDay(tmp_path, "ES", DAY), TABLES
    )
    assert [table for table, _ in made] == list(TABLES)
    for table in TABLES:
        assert content(tmp_path, table) == content(one_by_one, table), table


def test_a_table_is_in_memory_as_long_as_another_is_made_of_it(raw: Path, tmp_path: Path) -> None:
    """As what is gone from the lake shows."""
    tables = LakeDay(tmp_path, "ES", DAY)
    for table, _ in make_tables(TradingDay(INSTRUMENTS["ES"], DAY, raw), tables, TABLES):
        tables.path(table).unlink()
    for table in ("bar5s", "session_levels", "level_episodes"):
        with pytest.raises(TableMissing):
            tables.scan(table)


@pytest.mark.parametrize("is_one_by_one", [True, False])
def test_points_are_the_instruments(
    is_one_by_one: bool, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of all known instruments are of one size."""
    half = replace(INSTRUMENTS["ES"], point=0.5)
    monkeypatch.setitem(INSTRUMENTS, "ES", half)
    tables = LakeDay(tmp_path, "ES", DAY)
    if is_one_by_one:
        make_one_by_one(raw, tmp_path)
    else:
        list(make_tables(TradingDay(half, DAY, raw), tables, TABLES))
    ticks, bars, levels, episodes, approach, _ = map(tables.scan, TABLES)
    assert bars.collect().equals(kernels.bar5s(ticks, 0.5))
    expected = kernels.level_episodes(bars.collect(), levels.collect(), DAY, 0.5)
    assert episodes.collect().equals(expected)
    assert approach.collect().equals(kernels.approach_features(expected, 0.5))


def test_only_wanted_tables_are_made_of_those_in_the_lake(
    raw: Path, one_by_one: Path, tmp_path: Path
) -> None:
    (tmp_path / "es").mkdir()
    (tmp_path / "es" / "clean_ticks").symlink_to(one_by_one / "es" / "clean_ticks")
    tables = LakeDay(tmp_path, "ES", DAY)
    made = make_tables(TradingDay(INSTRUMENTS["ES"], DAY, raw), tables, ["bar5s", "session_levels"])
    assert [table for table, _ in made] == ["bar5s", "session_levels"]
    assert content(tmp_path, "bar5s") == content(one_by_one, "bar5s")


@pytest.mark.parametrize("table", ["clean_ticks", "bar5s"])
def test_a_damaged_table_is_named(table: str, raw: Path, one_by_one: Path, tmp_path: Path) -> None:
    whole = table_path(one_by_one, "ES", table, DAY).read_bytes()
    damaged = table_path(tmp_path, "ES", table, DAY)
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(whole[: len(whole) // 2])
    tables = LakeDay(tmp_path, "ES", DAY)
    (reader,) = (stage.table for stage in STAGES if stage.reads == (table,))
    with pytest.raises(UnreadableTable, match=f"ES {DAY}: {table} in the lake .*materialise"):
        list(make_tables(TradingDay(INSTRUMENTS["ES"], DAY, raw), tables, [reader]))
    assert not tables.path(reader).exists()


@pytest.fixture(scope="module")
def ticks(one_by_one: Path) -> pl.DataFrame:
    """Busy ticks of the day, some bars of them longer than a tile."""
    ticks = pl.read_parquet(table_path(one_by_one, "ES", "clean_ticks", DAY)).head(4_000)
    start = ticks["ts_event"][0]
    return ticks.with_columns(ts_event=start + (pl.col("ts_event") - start) / 200)


@pytest.fixture(scope="module")
def bars(ticks: pl.DataFrame) -> bytes:
    """Their bars, bit by bit."""
    return parquet_bytes(kernels.bar5s(ticks.lazy()))


@settings(SEEDED, max_examples=60)
@given(st.lists(st.integers(0, 4_000), max_size=12), st.integers(1, 4))
def test_frames_of_ticks_may_end_anywhere(
    ticks: pl.DataFrame, bars: bytes, ends: list[int], threads: int
):
    cuts = [0, *sorted(ends), ticks.height]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pl, "thread_pool_size", lambda: threads)
        so_far = kernels.BarsSoFar()
        for start, end in pairwise(cuts):
            so_far.add(ticks[start:end])
        made = so_far.table()
    assert parquet_bytes(made) == bars
