"""What a day that cannot be used says."""

import errno
import os
import random
import sys
from collections import deque
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import zstandard
from databento_dbn import UNDEF_TIMESTAMP, Schema, SType

import kernels
import resources.dbn
import resources.dbn_records
from kernels.features import NS_PER_DAY
from kernels.instrument import Instrument
from pipeline_assets.stages import STAGES
from resources.dbn import DbnError, read_dbn, scan_dbn
from resources.dbn_records import read_metadata
from tests.conftest import DAY
from tests.dbn_files import (
    IDS,
    MIDNIGHT,
    NEXT_DAY,
    book_record,
    header,
    patched,
)
from tests.one_file import clean, day_of, make_all


def assert_refused(path: Path, error: type[Exception], *words: str, roll: str = "volume") -> None:
    """The day is refused in these words by both lanes, and nothing is written."""
    lake = path.parent / "lake"
    for lane in (clean, make_all):
        with pytest.raises(error) as caught:
            lane(path, lake / "ticks.parquet", roll)
        assert type(caught.value) is error
        for word in words:
            assert word in str(caught.value)
    assert not [file for file in lake.rglob("*") if file.is_file()]


BOOK = book_record()
DAY_BYTES = header() + BOOK * 50
ZSTD = zstandard.compress(DAY_BYTES)
NOISE = random.Random(0).randbytes(5_000)

UNREADABLE = {
    "empty": (b"", "file is empty", "download"),
    "empty zstd": (zstandard.compress(b""), "file is empty", "download"),
    "random bytes": (NOISE, "not a DBN file", "download"),
    "zstd of random bytes": (zstandard.compress(NOISE), "not a DBN file", "download"),
    "zstd garbage": (ZSTD[:4] + NOISE, "truncated or corrupt", "download"),
    "zstd magic alone": (ZSTD[:4], "truncated", "download"),
    "truncated zstd": (ZSTD[:-3], "truncated", "download"),
    "truncated zstd frame": (
        zstandard.compress(DAY_BYTES) + zstandard.compress(BOOK)[:-3],
        "truncated",
        "download",
    ),
    "zstd with something after it": (ZSTD + b"something", "truncated or corrupt", "download"),
    "ends within the header": (DAY_BYTES[:50], "header", "download"),
    "ends within a record": (DAY_BYTES[:-100], "truncated: 268 bytes", "download"),
    "ends within a record's header": (DAY_BYTES + BOOK[:7], "truncated: 7 bytes", "download"),
    "header of a version to come": (b"DBN\xff" + DAY_BYTES[4:], "header", "download"),
    "header length too short": (DAY_BYTES[:4] + bytes(4) + DAY_BYTES[8:], "header", "download"),
    "header length too long": (DAY_BYTES[:4] + b"\xff" * 4 + DAY_BYTES[8:], "header", "download"),
    "bytes lost": (DAY_BYTES[:5_000] + DAY_BYTES[5_100:], "not a DBN record", "download"),
    "zeros after": (DAY_BYTES + bytes(1_000), "not a DBN record", "download"),
    "unknown action": (header() + patched(BOOK, "action", 1), "unknown action", "download"),
    "unknown side": (header() + patched(BOOK, "side", 1), "unknown side", "download"),
    "no action": (
        header() + BOOK + patched(BOOK, "action", 0) + BOOK,
        "unknown action",
        "download",
    ),
    "no side": (header() + BOOK + patched(BOOK, "side", 0) + BOOK, "unknown side", "download"),
    "book record too short": (
        header() + patched(BOOK, "length", 91),
        "not a DBN record",
        "download",
    ),
    "schema mbp-1": (header(schema=Schema.MBP_1), "mbp-1,", "request schema mbp-10"),
    "schema trades": (header(schema=Schema.TRADES), "trades,", "request schema mbp-10"),
    "live capture": (
        header(schema=None, mappings={}, stypes=(None, SType.INSTRUMENT_ID)) + BOOK,
        "a live capture, or of several schemas",
        "use a historical file of schema mbp-10",
    ),
    "send times appended": (header(ts_out=True) + BOOK, "live capture", "historical"),
    "mapped to no id": (
        header(
            mappings={"ESM5": [(DAY, NEXT_DAY, "ES.c.0")]},
            stypes=(SType.RAW_SYMBOL, SType.CONTINUOUS),
        ),
        "no instrument id",
        "stype_out instrument_id",
    ),
    "mapped to an id too large": (
        header(mappings={"ESM5": [(DAY, NEXT_DAY, str(2**32))]}),
        "no instrument id",
        "stype_out instrument_id",
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_file_is_refused(name, tmp_path):
    content, problem, remedy = UNREADABLE[name]
    path = tmp_path / "ES-20250605.dbn.zst"
    path.write_bytes(content)
    assert_refused(path, DbnError, str(path), problem, remedy)


def test_missing_file_is_refused(tmp_path):
    path = tmp_path / "ES-20250605.dbn.zst"
    assert_refused(path, DbnError, str(path), "no such file", "put")


def test_folder_is_refused(tmp_path):
    path = tmp_path / "ES-20250605.dbn"
    path.mkdir()
    assert_refused(path, DbnError, str(path), "cannot be opened", "put")


def test_file_whose_disk_fails_is_refused(tmp_path, monkeypatch):
    def failing(path: str) -> pa.PythonFile:
        file = Mock(closed=False, read=Mock(side_effect=OSError(errno.EIO, path)))
        return pa.PythonFile(file, "r")

    monkeypatch.setattr(pa, "OSFile", failing)
    path = tmp_path / "ES-20250605.dbn"
    path.write_bytes(DAY_BYTES)
    assert_refused(path, DbnError, str(path), "Errno 5", "download")


def test_any_changed_header_byte_reads_or_is_refused(tmp_path):
    """Not every change can be noticed; none gives another error than DbnError."""
    path = tmp_path / "day.dbn"
    rng = random.Random(1)
    for at in range(3, len(header())):
        content = bytearray(header() + BOOK)
        content[at] = rng.choice([0, ord("x"), content[at] ^ 1 << rng.randrange(8)])
        path.write_bytes(content)
        with suppress(DbnError):
            scan_dbn(path).select("symbol").collect()


NQ = {"NQM5": [(DAY, NEXT_DAY, str(IDS["ESM5"]))]}
LOCKED, CROSSED = book_record(ask=5950.0), book_record(ask=5949.75)

UNUSABLE = {
    "no record": ((header(),), "volume", "the file has no records", "download it again"),
    "another root": ((header(mappings=NQ), BOOK), "volume", "symbols found: NQM5", "ES.FUT"),
    "no mappings": ((header(mappings={}), BOOK), "volume", "symbols found: none", "ES.FUT"),
    "every book locked": ((header(), LOCKED * 9), "volume", "all 9 books of ESM5", "check"),
    "every book crossed": ((header(), CROSSED), "ESM5", "all 1 books of ESM5", "check"),
    "contract absent": ((header(), BOOK), "ESZ5", "'ESZ5', contracts found: ESM5", "name one"),
    "contract expiring": ((header(), BOOK), "calendar", "contracts found: ESM5", "'volume'"),
    "front contract nameless": (
        (header(mappings={"ESU5": [(DAY, NEXT_DAY, str(IDS["ESU5"]))]}), BOOK * 2)
        + (book_record(instrument_id=IDS["ESU5"]),),
        "volume",
        "no symbol for 2 records, more than ESU5 has",
        "download",
    ),
    "undated record": (
        (header(), BOOK, book_record(UNDEF_TIMESTAMP)),
        "volume",
        "records of ESM5 without a ts_event: 1",
        "check",
    ),
}


@pytest.mark.parametrize("block", [1, 65_536])
@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_day_is_refused(name, block, tmp_path, monkeypatch):
    """Whether its first records tell already or not."""
    monkeypatch.setattr(resources.dbn_records, "BLOCK_RECORDS", block)
    monkeypatch.setattr(sys.modules["kernels.clean_ticks"], "_FIRST_RECORDS", block)
    parts, roll, problem, remedy = UNUSABLE[name]
    path = tmp_path / "ES-20250605.dbn"
    path.write_bytes(b"".join(parts))
    assert_refused(path, kernels.UnusableDay, problem, remedy, roll=roll)


def test_no_bars_are_made_of_more_than_two_days(tmp_path):
    """A stray tick of an earlier year would have millions of bars made up to the day."""
    path, out = tmp_path / "day.dbn", tmp_path / "ticks.parquet"
    since = DAY - timedelta(days=3)
    symbols = {"ESM5": [(since, NEXT_DAY, str(IDS["ESM5"]))]}
    path.write_bytes(header(mappings=symbols) + book_record(MIDNIGHT - 3 * NS_PER_DAY) + BOOK)
    clean(path, out)
    with day_of(path, "ESM5") as of:
        from_the_lake = partial(STAGES[1].make, of, clean_ticks=pl.scan_parquet(out))
    for make in (from_the_lake, partial(make_all, path, out, "ESM5")):
        with pytest.raises(kernels.UnusableDay) as caught:
            make()
        assert f"ES {DAY}, clean_ticks: ESM5 has ticks from {since} 00:00 to {DAY} 00:00" in str(
            caught.value
        )
        assert "download the day's file again" in str(caught.value)
    assert not list(tmp_path.rglob("bar5s"))


def test_no_bar_is_made_that_ends_after_the_last_instant(tmp_path):
    path = tmp_path / "day.dbn"
    end = np.iinfo(np.int64).max
    symbols = {"ESM5": [(DAY, date(2262, 4, 12), str(IDS["ESM5"]))]}
    path.write_bytes(header(mappings=symbols) + book_record(end - 1))
    with pytest.raises(kernels.UnusableDay, match=r"from 2262-04-11 23:47 to .*, which cannot be"):
        make_all(path, tmp_path / "ticks.parquet", "ESM5")
    assert not list(tmp_path.rglob("bar5s"))


def test_file_replaced_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract would be that of another file than its ticks."""
    monkeypatch.setattr(resources.dbn_records, "BLOCK_RECORDS", 10)
    monkeypatch.setattr(sys.modules["kernels.clean_ticks"], "_FIRST_RECORDS", 20)
    path, out, other = (tmp_path / name for name in ("day.dbn", "ticks.parquet", "other.dbn"))
    path.write_bytes(DAY_BYTES)
    other.write_bytes(DAY_BYTES + BOOK)

    reading = next(kernels.readings(read_dbn(path), Instrument("ES"), DAY))
    other.replace(path)
    with pytest.raises(DbnError, match="replaced or removed while it was read; read it again"):
        deque(reading.batches())

    clean(path, out)
    assert pl.read_parquet(out).height == 51


def test_file_replaced_while_its_header_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The symbols would be those of another file than the records."""
    path, other = tmp_path / "day.dbn", tmp_path / "other.dbn"
    path.write_bytes(DAY_BYTES)
    swapped = {"ESM5": [(DAY, NEXT_DAY, "43")], "ESU5": [(DAY, NEXT_DAY, "42")]}
    other.write_bytes(header(mappings=swapped) + BOOK * 50)

    def and_replace(*read: object) -> object:
        if other.exists():
            other.replace(path)
        return read_metadata(*read)

    monkeypatch.setattr(resources.dbn, "read_metadata", and_replace)
    records = scan_dbn(path)
    with pytest.raises(DbnError, match="replaced or removed while it was read; read it again"):
        records.collect()
    assert scan_dbn(path).collect()["symbol"].unique().to_list() == ["ESU5"]


@pytest.mark.parametrize("change", ["inode", "size", "time"])
def test_whatever_tells_a_file_from_another_counts(change: str, tmp_path: Path) -> None:
    """One of its size and time may take its place, or it be written over or added to."""
    path = tmp_path / "day.dbn"
    path.write_bytes(DAY_BYTES)
    records, before = scan_dbn(path), path.stat()
    if change == "inode":
        path.rename(tmp_path / "before.dbn")
    path.write_bytes(DAY_BYTES + BOOK if change == "size" else DAY_BYTES)
    os.utime(path, ns=(0, 0 if change == "time" else before.st_mtime_ns))
    with pytest.raises(DbnError, match="replaced or removed while it was read; read it again"):
        records.collect()


def test_file_taken_away_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "day.dbn"
    path.write_bytes(DAY_BYTES)
    records = scan_dbn(path)

    def and_unlink(*read: object) -> object:
        path.unlink()
        return read_metadata(*read)

    monkeypatch.setattr(resources.dbn_records, "read_metadata", and_unlink)
    with pytest.raises(DbnError, match="replaced or removed while it was read; read it again"):
        records.collect()
