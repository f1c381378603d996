"""Files written with Databento's own encoder, as `scan_dbn` reads them."""

import io
import random
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import databento
import databento_dbn
import polars as pl
import pytest
import zstandard
from databento_dbn import UNDEF_PRICE, UNDEF_TIMESTAMP, Action, BidAskPair, Side, SType
from polars.testing import assert_frame_equal

import resources.dbn_records
from kernels.features import NS_PER_DAY
from resources.dbn import SCHEMA, DbnError, read_dbn, scan_dbn
from resources.dbn_records import BLOCK_RECORDS
from tests.conftest import DAY
from tests.dbn_files import (
    MAPPING,
    MIDNIGHT,
    NEXT_DAY,
    book_record,
    header,
    patched,
    write,
)
from tests.place import REPOSITORY

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


def random_record(rng: random.Random, day: int) -> bytes:
    """An MBP-10 record with any value in every field, on a day after `DAY`."""

    def price() -> int:
        return rng.choice((UNDEF_PRICE, rng.randrange(-(10**13), 10**13)))

    def size() -> int:
        return rng.randrange(2**32)

    ts_recv = MIDNIGHT + day * NS_PER_DAY + rng.randrange(NS_PER_DAY)
    return bytes(
        databento_dbn.MBP10Msg(
            rng.randrange(2**16),
            rng.choice((42, 43, 44)),
            rng.choice((UNDEF_TIMESTAMP, ts_recv - rng.randrange(10**9))),
            price=price(),
            size=size(),
            action=rng.choice(list(Action.variants())),
            side=rng.choice(list(Side.variants())),
            depth=rng.randrange(10),
            ts_recv=ts_recv,
            flags=rng.randrange(256),
            ts_in_delta=rng.randrange(-(2**31), 2**31),
            sequence=size(),
            levels=[BidAskPair(price(), price(), *(size() for _ in range(4))) for _ in range(10)],
        )
    )


def read_by_databento(path: Path) -> pl.DataFrame:
    """What `DBNStore.to_df` reads, in the columns and dtypes of `SCHEMA`."""
    rows = databento.DBNStore.from_file(path).to_df(
        price_type="float", pretty_ts=True, map_symbols=True
    )
    frame = pl.from_pandas(rows.reset_index(), nan_to_null=True)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_reads_what_databento_reads(version, compression, tmp_path):
    rng = random.Random(version)
    raw = header(version=version) + b"".join(random_record(rng, 0) for _ in range(400))
    store = databento.DBNStore.from_bytes(io.BytesIO(raw))
    store.to_file(tmp_path / "day.dbn", compression=compression)
    expected = read_by_databento(tmp_path / "day.dbn")
    assert expected.height == 400
    assert expected["price"].null_count() > 0
    assert expected["ts_event"].null_count() > 0
    assert_frame_equal(scan_dbn(tmp_path / "day.dbn").collect(), expected, check_exact=True)


ROLLED = {
    "ESM5": [(DAY, NEXT_DAY, "42"), (NEXT_DAY, NEXT_DAY + timedelta(days=1), "43")],
    "ESU5": [(DAY, NEXT_DAY, "43"), (NEXT_DAY, NEXT_DAY + timedelta(days=1), "42")],
}
ROLLED_BY_ID = {
    "42": [(DAY, NEXT_DAY, "ESM5"), (NEXT_DAY, NEXT_DAY + timedelta(days=1), "ESU5")],
    "43": [(DAY, NEXT_DAY, "ESU5"), (NEXT_DAY, NEXT_DAY + timedelta(days=1), "ESM5")],
}


@pytest.mark.parametrize(
    ("mappings", "stypes"),
    [
        (ROLLED, (SType.PARENT, SType.INSTRUMENT_ID)),
        (ROLLED_BY_ID, (SType.INSTRUMENT_ID, SType.RAW_SYMBOL)),
    ],
    ids=["symbols to ids", "ids to symbols"],
)
def test_symbol_is_the_mapping_of_the_records_day(mappings, stypes, tmp_path):
    """Two ids that trade symbols overnight, an id nobody mapped, a day after the last mapping."""
    records = [
        book_record(MIDNIGHT + day * NS_PER_DAY, instrument_id=number)
        for day in range(3)
        for number in (42, 43, 44)
    ]
    path = write(tmp_path / "days.dbn", header(mappings=mappings, stypes=stypes), *records)
    symbols = scan_dbn(path).collect()["symbol"]
    assert symbols.to_list() == ["ESM5", "ESU5", None, "ESU5", "ESM5", None, None, None, None]
    assert symbols.equals(read_by_databento(path)["symbol"], null_equal=True)


def test_day_of_a_symbol_ends_at_utc_midnight_of_the_receive_time(tmp_path):
    last_of_day = book_record(MIDNIGHT + NS_PER_DAY - 2)
    first_of_next = book_record(MIDNIGHT + NS_PER_DAY - 1)
    path = write(tmp_path / "days.dbn", header(mappings=ROLLED), last_of_day, first_of_next)
    assert scan_dbn(path).collect()["symbol"].to_list() == ["ESM5", "ESU5"]


def test_ids_are_all_that_32_bits_hold(tmp_path):
    ids = {"ESM5": 0, "ESU5": 2**31 - 1, "ESZ5": 2**31, "ESH6": 2**32 - 1}
    mappings = {symbol: [(DAY, NEXT_DAY, str(number))] for symbol, number in ids.items()}
    records = [book_record(instrument_id=number) for number in (*ids.values(), 2**32 - 2)]
    path = write(tmp_path / "day.dbn", header(mappings=mappings), *records)
    symbols = scan_dbn(path).collect()["symbol"]
    assert symbols.to_list() == [*ids, None]
    assert symbols.equals(read_by_databento(path)["symbol"], null_equal=True)


@pytest.mark.parametrize(
    ("mappings", "stypes"),
    [
        (
            {"ESM5": [(DAY, NEXT_DAY, "42")], "ESU5": [(DAY, NEXT_DAY, "")]},
            (SType.PARENT, SType.INSTRUMENT_ID),
        ),
        (
            {"42": [(DAY, NEXT_DAY, "ESM5")], "43": [(DAY, NEXT_DAY, "")]},
            (SType.INSTRUMENT_ID, SType.RAW_SYMBOL),
        ),
    ],
    ids=["symbols to ids", "ids to symbols"],
)
def test_mapping_to_nothing_leaves_records_without_a_symbol(mappings, stypes, tmp_path):
    records = [book_record(instrument_id=number) for number in (42, 43)]
    path = write(tmp_path / "day.dbn", header(mappings=mappings, stypes=stypes), *records)
    assert scan_dbn(path).collect()["symbol"].to_list() == ["ESM5", None]


@pytest.fixture(scope="module")
def raw_day(day_file) -> bytes:
    """A simulated day's decompressed bytes: a header and records of more than one block."""
    path = day_file(2 * BLOCK_RECORDS, True)
    return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()


@pytest.fixture(scope="module")
def plain_day(raw_day, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("plain") / "day.dbn", raw_day)


def test_compression_and_frames_make_no_difference(raw_day, plain_day, tmp_path):
    cuts = [0, 100, 100, 5_000, 5_003, 3_000_000, len(raw_day)]
    frames = [raw_day[start:stop] for start, stop in pairwise(cuts)]
    expected = scan_dbn(plain_day).collect()
    assert scan_dbn(write(tmp_path / "one.zst", raw_day)).collect().equals(expected)
    assert scan_dbn(write(tmp_path / "frames.zst", *frames)).collect().equals(expected)
    skippable = [
        b"\x5f\x2a\x4d\x18\x03\x00\x00\x00any" + zstandard.compress(frame) for frame in frames
    ]
    assert scan_dbn(write(tmp_path / "skippable.dbn", *skippable)).collect().equals(expected)


def test_projection_equals_columns_of_the_whole(plain_day):
    asked = scan_dbn(plain_day).select("ask_px_03", "symbol").collect()
    assert asked.equals(scan_dbn(plain_day).collect().select("ask_px_03", "symbol"))


@pytest.fixture
def with_unknown_action(tmp_path) -> Path:
    """Three records, of which the second, the only one of size 7, has an action that is none."""
    unknown = patched(book_record(size=7), "action", ord("?"))
    return write(tmp_path / "day.dbn", header(), book_record(), unknown, book_record())


def test_projection_decodes_only_the_asked_columns(with_unknown_action):
    assert scan_dbn(with_unknown_action).select("size", "side").collect().shape == (3, 2)
    with pytest.raises(DbnError, match="unknown action"):
        scan_dbn(with_unknown_action).select("action").collect()


def test_predicate_spares_dropped_rows_the_decoding(with_unknown_action):
    kept = scan_dbn(with_unknown_action).filter(pl.col("size") != 7).collect()
    assert kept["action"].to_list() == ["A", "A"]


def test_row_limit_stops_reading(raw_day, tmp_path):
    cut = write(tmp_path / "cut.dbn", raw_day[: len(raw_day) * 3 // 4 + 7])
    whole = write(tmp_path / "whole.dbn", raw_day)
    assert scan_dbn(cut).head(5).collect().equals(scan_dbn(whole).collect().head(5))
    with pytest.raises(DbnError, match="truncated"):
        scan_dbn(cut).collect()


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
@pytest.mark.parametrize(
    "query",
    [
        lambda rows: rows.filter(pl.col("action") == "T"),
        lambda rows: rows.filter(pl.col("symbol") == "ESU5", pl.col("ask_px_00") > 6000),
        lambda rows: rows.filter(pl.col("price").is_null()).select("sequence"),
        lambda rows: rows.filter(pl.col("bid_px_00") >= pl.col("ask_px_00")),
        lambda rows: rows.filter(pl.col("price").is_between(5900, 5960), pl.col("price") != 5950),
        lambda rows: rows.filter(pl.lit(True)),
        lambda rows: rows.filter(pl.lit(False)),
        lambda rows: rows.filter(pl.col("size") > 5).head(40_000),
        lambda rows: rows.head(40_000).filter(pl.col("size") > 5),
        lambda rows: rows.slice(33_000, 10).select("ts_recv"),
        lambda rows: rows.head(0),
        lambda rows: rows.select(pl.len()),
    ],
)
def test_pushed_down_queries_equal_eager_ones(query, engine, plain_day):
    eager = query(scan_dbn(plain_day).collect())
    assert query(scan_dbn(plain_day)).collect(engine=engine).equals(eager)


SYSTEM = bytes(databento_dbn.SystemMsg(MIDNIGHT + 5, "heartbeat"))


@pytest.mark.parametrize("block_records", [1, 2, 65_536])
@pytest.mark.parametrize("order", ["BSBMB", "SMBBB", "BBBMS", "SSSSM", "BBBBS", "BBBBB"])
def test_other_record_types_keep_their_headers(order, block_records, tmp_path, monkeypatch):
    """Wherever they lie, and wherever the blocks of the file are cut."""
    monkeypatch.setattr(resources.dbn_records, "BLOCK_RECORDS", block_records)
    parts = {"B": book_record(sequence=9, size=3), "S": SYSTEM, "M": MAPPING}
    path = write(tmp_path / "day.dbn", header(), *(parts[kind] for kind in order))
    book = scan_dbn(write(tmp_path / "book.dbn", header(), parts["B"])).collect()
    rows = scan_dbn(path).collect()
    kinds = {10: "B", 22: "M", 23: "S"}
    assert "".join(kinds[rtype] for rtype in rows["rtype"]) == order
    assert rows.filter(pl.col("rtype") == 10).equals(book[[0] * order.count("B")])
    others = rows.filter(pl.col("rtype") != 10)
    assert set(others["ts_event"].to_physical()) <= {MIDNIGHT + 5, MIDNIGHT + 6}
    assert others["size"].sum() == others["bid_sz_00"].sum() == 0
    assert others.select("action", "side", "symbol").null_count().row(0) == (others.height,) * 3


def test_batches_are_what_is_scanned_each_time_from_the_first(day_file, monkeypatch):
    path = day_file(50_000, True)
    records, scanned = read_dbn(path), scan_dbn(path).collect()
    monkeypatch.setattr(resources.dbn_records, "BLOCK_RECORDS", 7_000)
    for _ in range(2):
        batches = list(records)
        assert max(batch.height for batch in batches) <= 7_000
        assert pl.concat(batches).equals(scanned)


SINK = """
import sys
from resources.dbn import scan_dbn
from resources.machine import peak_memory
scan_dbn(sys.argv[1]).sink_parquet(sys.argv[2], compression="uncompressed")
print(peak_memory())
"""


def test_memory_does_not_grow_with_the_file(raw_day, tmp_path):
    """Peaks of fresh processes, the least of three each; the larger file holds 193 MB more."""
    size = 8 + int.from_bytes(raw_day[4:8], "little")
    opening, records = map(zstandard.compress, (raw_day[:size], raw_day[size:]))

    def peak_megabytes(repeats: int) -> float:
        path = tmp_path / f"{repeats}.dbn.zst"
        path.write_bytes(opening + repeats * records)
        command = [sys.executable, "-c", SINK, path, tmp_path / "out.parquet"]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        return int(done.stdout) / 2**20

    few, many = (min(peak_megabytes(repeats) for _ in range(3)) for repeats in (2, 6))
    assert many - few < 60
