"""Which records a day keeps, and in which order."""

import random
import sys
from collections.abc import Iterable
from itertools import product

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import kernels
from kernels.features import schema
from kernels.instrument import Instrument
from pipeline_assets.stages import STAGES, TradingDay
from resources.dbn import SCHEMA, DbnRecords, read_dbn, scan_dbn
from resources.lake import read_facts, write_table
from tests import oracle
from tests.compare import assert_same, plain_rows
from tests.conftest import DAY
from tests.dbn_files import plain_records, write
from tests.seeded import SEEDED

ES = Instrument("ES")
KEY = ["ts_event", "sequence"]


@pytest.fixture(scope="module")
def dirty_day(day_file) -> DbnRecords:
    """Records of a simulated day of more than one block, some of them late."""
    return read_dbn(day_file(50_000, True))


@pytest.fixture(scope="module")
def some_records(day_file) -> pl.DataFrame:
    """A few thousand records of a dirty day."""
    return scan_dbn(day_file(4_000, True)).collect()


def in_batches(records: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    """The records in batches of at most `size`."""
    return list(records.iter_slices(size))


def cleaned(records: Iterable[pl.DataFrame], instrument: Instrument = ES) -> pl.DataFrame:
    return kernels.clean_ticks(records, instrument, DAY).ticks


def stably_sorted(records: pl.DataFrame, contract: str = "ESM5") -> pl.DataFrame:
    """What is to be kept of raw records, sorted at once, in the columns the two tables share."""
    is_crossed = (pl.col("bid_px_00") >= pl.col("ask_px_00")).fill_null(False)
    kept = records.filter(pl.col("rtype") == 10, pl.col("symbol") == contract, ~is_crossed)
    return kept.sort(KEY, maintain_order=True).select(SHARED)


SHARED = [name for name in schema("clean_ticks") if name in SCHEMA.names() and name != "symbol"]


def test_late_records_are_put_in_their_place(dirty_day):
    records = pl.concat(dirty_day)
    contract = records.filter(pl.col("symbol") == "ESM5")
    assert not contract["ts_event"].is_sorted()
    ticks = cleaned(dirty_day)
    assert ticks.schema == schema("clean_ticks")
    assert_frame_equal(ticks.select(SHARED), stably_sorted(records), check_exact=True)


@pytest.mark.parametrize("size", [100, 1_500, 5_000])
@pytest.mark.parametrize("seed", range(3))
def test_shuffled_records_come_out_sorted(seed, size, some_records):
    shuffled = some_records.sample(fraction=1, shuffle=True, seed=seed)
    ticks = cleaned(in_batches(shuffled, size))
    assert_frame_equal(ticks.select(SHARED), stably_sorted(shuffled), check_exact=True)


def test_one_record_hours_late_holds_no_others_back(some_records):
    """It is put in its place in the batch of then, and that is all; nothing more is read before."""
    in_order = some_records.filter(pl.col("symbol") == "ESM5").sort(KEY, maintain_order=True)
    records = pl.concat([in_order[:100], in_order[101:3_000], in_order[100:101]])
    first, second = [
        list(it.batches()) for it in kernels.readings(in_batches(records, 50), ES, DAY)
    ]
    ticks = pl.concat(second).select(SHARED)
    assert_frame_equal(ticks, stably_sorted(records), check_exact=True)
    assert [first[-1].height, second[-1].height] == [0, 49]
    assert max(batch.height for batch in second) == 51


def test_other_contracts_may_fill_the_first_batches(some_records):
    is_front = pl.col("symbol") == "ESM5"
    records = pl.concat([some_records.filter(~is_front), some_records.filter(is_front)[::-1]])
    ticks = cleaned(in_batches(records, 100))
    assert_frame_equal(ticks.select(SHARED), stably_sorted(records), check_exact=True)


@settings(SEEDED, max_examples=60)
@given(
    keys=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), min_size=1, max_size=60),
    size=st.integers(5, 70),
)
def test_ties_keep_input_order(keys, size):
    """Records with few distinct times and sequences, told apart by their size."""
    times, sequences = zip(*keys, strict=True)
    records = plain_records(["ESM5"] * len(keys)).with_columns(
        ts_event=pl.Series(times, dtype=pl.Int64).cast(SCHEMA["ts_event"]),
        sequence=pl.Series(sequences, dtype=pl.UInt32),
        size=pl.int_range(len(keys), dtype=pl.UInt32),
    )
    by_key = sorted(range(len(keys)), key=lambda row: keys[row])
    assert cleaned(in_batches(records, size))["size"].to_list() == by_key


@pytest.mark.parametrize(
    ("roll", "is_front_first", "is_in_order", "times"),
    [
        ("volume", True, True, 1),
        ("volume", True, False, 2),
        ("volume", False, True, 2),
        ("volume", False, False, 3),
        ("calendar", False, True, 1),
        ("calendar", True, True, 2),
        ("ESM5", False, False, 3),
        ("ESU5", True, True, 2),
        ("ESU5", False, True, 1),
    ],
)
def test_a_day_is_read_again_only_if_its_first_records_misled(
    roll, is_front_first, is_in_order, times, day_file, monkeypatch
):
    """The last reading is right, as are the facts that each has at its end."""
    monkeypatch.setattr(sys.modules["kernels.clean_ticks"], "_FIRST_RECORDS", 100)
    raw = scan_dbn(day_file(4_000, False)).collect().sort(KEY, maintain_order=True)
    is_front = pl.col("symbol") == "ESM5"
    parts = [raw.filter(is_front), raw.filter(pl.col("symbol") == "ESU5")]
    records = pl.concat(parts if is_front_first else parts[::-1])
    if not is_in_order:
        firsts = [records.filter(is_front).head(1), records.filter(~is_front).head(1)]
        records = pl.concat([records, *firsts])
    read = [
        (pl.concat(reading.batches()), reading.contract, reading.dropped)
        for reading in kernels.readings(in_batches(records, 100), Instrument("ES", roll=roll), DAY)
    ]
    assert len(read) == times
    ticks, contract, dropped = read[-1]
    assert contract == ("ESM5" if roll in ("volume", "ESM5") else "ESU5")
    assert dropped["other_contract"] == records.filter(pl.col("symbol") != contract).height
    assert_frame_equal(ticks.select(SHARED), stably_sorted(records, contract), check_exact=True)


def test_what_is_written_of_a_day_read_twice_is_the_second_reading(day_file, dirty_day, tmp_path):
    (tmp_path / "ES").symlink_to(day_file(50_000, True).parent)
    written = tmp_path / "ticks.parquet"
    write_table(STAGES[0].make(TradingDay(ES, DAY, tmp_path)), written)
    kept = kernels.clean_ticks(dirty_day, ES, DAY)
    assert pl.read_parquet(written).equals(kept.ticks)
    dropped = {f"dropped/{reason}": count for reason, count in kept.dropped.items()}
    assert dropped.items() <= read_facts(written).items()
    assert sum(dropped.values()) > 0


def test_ticks_have_to_be_read_to_their_end(day_file):
    readings = kernels.readings(read_dbn(day_file(50_000, False)), ES, DAY)
    next(next(readings).batches())
    with pytest.raises(ValueError, match="all batches of a reading have to be read"):
        next(readings)


@pytest.mark.parametrize("first", ["morning", "evening"])
def test_files_of_one_day_are_one_day(first, day_file, dirty_day, tmp_path):
    """In whichever order they are given; no time and sequence is in both."""
    path = day_file(50_000, True)
    raw = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    header_size = 8 + int.from_bytes(raw[4:8], "little")
    header, records = raw[:header_size], raw[header_size:]
    cut = len(records) // 368 * 2 // 3 * 368
    files = {
        "morning": write(tmp_path / "a.dbn", header, records[:cut]),
        "evening": write(tmp_path / "b.dbn.zst", header, records[cut:]),
    }
    names = sorted(files, key=lambda name: name != first)
    ticks = cleaned(read_dbn(*(files[name] for name in names)))
    assert ticks.equals(cleaned(dirty_day))


def test_every_reason_to_drop_is_counted_as_the_oracle_counts(some_records):
    rng = random.Random(0)
    names = ["NQM5", "NQM5-NQU5", "ESM5-ESU5", "ES:BF M5-U5-Z5", "ESM5 C5950", "ES", None, "ESM5"]
    odd = list(product([10, 23], names))
    rows = rng.sample(range(some_records.height), 20 * len(odd))
    rtypes, symbols = some_records["rtype"].to_list(), some_records["symbol"].to_list()
    for at, row in enumerate(rows):
        rtypes[row], symbols[row] = odd[at % len(odd)]
    records = some_records.with_columns(
        rtype=pl.Series(rtypes, dtype=pl.UInt8), symbol=pl.Series(symbols, dtype=SCHEMA["symbol"])
    )
    kept = kernels.clean_ticks(in_batches(records, 1_000), ES, DAY)
    slow_ticks, slow_dropped = oracle.clean_ticks(plain_rows(records), "ES", "volume", DAY)
    assert kept.dropped == slow_dropped
    assert all(slow_dropped.values())
    assert sum(kept.dropped.values()) + len(slow_ticks) == records.height
    assert_same(kept.ticks, slow_ticks, "clean_ticks")
