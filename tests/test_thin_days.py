"""What a day of a few ticks gives."""

from collections.abc import Callable

import polars as pl
import pytest

import kernels
from kernels.features import LEVEL_TYPE, TABLES, schema
from tests.conftest import from_bars
from tests.dbn_files import MIDNIGHT, book_record, header
from tests.one_file import clean

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
NEW_YORK_MIDNIGHT = MIDNIGHT + 4 * HOUR
"""In nanoseconds: `DAY` is in summer."""


def tables_of(ticks: pl.LazyFrame) -> dict[str, pl.DataFrame]:
    """Every table of the day, each of the catalogue's schema."""
    frames = from_bars(kernels.bar5s(ticks))
    tables = dict(zip(TABLES, (ticks.collect(), *frames), strict=True))
    for name, frame in tables.items():
        assert frame.schema == schema(name)
    assert tables["session_levels"]["level_type"].to_list() == list(LEVEL_TYPE.categories)
    return tables


@pytest.fixture
def tables_at(tmp_path) -> Callable[..., dict[str, pl.DataFrame]]:
    """The tables of a file of ticks, each a book of its own time and bid, or one with no ask."""

    def tables(ticks: list[tuple[int, float | None]]) -> dict[str, pl.DataFrame]:
        path, out = tmp_path / "day.dbn", tmp_path / "ticks.parquet"
        records = [
            book_record(ts, ask=None) if bid is None else book_record(ts, bid=bid, ask=bid + 0.25)
            for ts, bid in ticks
        ]
        path.write_bytes(header() + b"".join(records))
        clean(path, out)
        return tables_of(pl.scan_parquet(out))

    return tables


def microprice(bid: float) -> float:
    """Of `book_record`: ten bid, twenty asked."""
    return (20 * bid + 10 * (bid + 0.25)) / 30


def heights(tables: dict[str, pl.DataFrame]) -> list[int]:
    return [table.height for table in tables.values()]


def levels_of(tables: dict[str, pl.DataFrame]) -> list[float | None]:
    return tables["session_levels"]["level_price"].to_list()


def test_one_tick_is_a_day(tables_at):
    tables = tables_at([(NEW_YORK_MIDNIGHT + 8 * HOUR, 5950.0)])
    price = microprice(5950.0)
    assert heights(tables) == [1, 1, 4, 0, 0, 0]
    assert levels_of(tables) == [price, price, None, None]
    assert tables["bar5s"]["bar5s_microprice_eob"].to_list() == [price]


def test_ticks_of_one_time_are_one_bar(tables_at):
    now = NEW_YORK_MIDNIGHT + 9 * HOUR + 45 * 60 * SECOND
    tables = tables_at([(now, 5950.0), (now, 5951.0), (now, 5952.0)])
    price = microprice(5952.0)
    assert heights(tables) == [3, 1, 4, 0, 0, 0]
    assert levels_of(tables) == [None, None, price, price]
    assert tables["bar5s"]["bar5s_meta_msg_cnt_sum"].to_list() == [3]
    assert tables["bar5s"]["bar5s_microprice_twa"].to_list() == [price]


def test_day_without_premarket_has_opening_range_levels_alone(tables_at):
    """A tick a minute from 09:30 to 11:00, up and down six points."""
    open_ = NEW_YORK_MIDNIGHT + 9 * HOUR + 30 * 60 * SECOND
    bids = [5950.0 + abs(6 - minute % 12) for minute in range(91)]
    tables = tables_at([(open_ + minute * 60 * SECOND, bid) for minute, bid in enumerate(bids)])
    assert levels_of(tables) == [None, None, microprice(5956.0), microprice(5950.0)]
    assert tables["bar5s"].height == 90 * 12 + 1
    assert set(tables["level_episodes"]["level_type"]) == {"OR_HIGH", "OR_LOW"}
    episodes = tables["level_episodes"]["episode_id"].n_unique()
    assert episodes == tables["setup_vectors"].height > 0
    vectors = tables["setup_vectors"]["vector"].explode()
    assert vectors.is_finite().all()
    assert vectors.null_count() == 0


def test_overnight_day_has_no_level(tables_at):
    """Ticks before 05:00 New York, though of the UTC day."""
    tables = tables_at([(MIDNIGHT + hour * HOUR, 5950.0 + hour) for hour in range(9)])
    assert heights(tables) == [9, 8 * 720 + 1, 4, 0, 0, 0]
    assert levels_of(tables) == [None] * 4
    assert tables["session_levels"]["symbol"].to_list() == ["ESM5"] * 4


def test_day_without_a_two_sided_book_has_no_level(tables_at):
    """Three premarket ticks, an hour apart, with no ask."""
    tables = tables_at([(NEW_YORK_MIDNIGHT + hour * HOUR, None) for hour in (6, 7, 8)])
    assert heights(tables) == [3, 1_441, 4, 0, 0, 0]
    assert levels_of(tables) == [None] * 4
    assert tables["bar5s"]["bar5s_microprice_eob"].null_count() == 1_441


def test_no_tick_gives_empty_tables_and_null_levels():
    tables = tables_of(pl.LazyFrame(schema=schema("clean_ticks")))
    assert heights(tables) == [0, 0, 4, 0, 0, 0]
    assert levels_of(tables) == tables["session_levels"]["symbol"].to_list() == [None] * 4
