"""Databento Binary Encoding (DBN) of MBP-10: the header, and the records as they lie in the file.

The file is decompressed into two small reused buffers and the 368-byte records are viewed in place
as a NumPy structured array. Layout: https://databento.com/docs/standards-and-conventions
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import databento_dbn
import numpy as np
import pyarrow as pa

from kernels.features import LEVELS, MBP10_RTYPE

UNDEF_PRICE = databento_dbn.UNDEF_PRICE

_LEVEL_FIELDS = (("px", "<i8"), ("sz", "<u4"), ("ct", "<u4"))
MBP10_DTYPE = np.dtype(
    [
        ("length", "u1"),
        ("rtype", "u1"),
        ("publisher_id", "<u2"),
        ("instrument_id", "<u4"),
        ("ts_event", "<u8"),
        ("price", "<i8"),
        ("size", "<u4"),
        ("action", "u1"),
        ("side", "u1"),
        ("flags", "u1"),
        ("depth", "u1"),
        ("ts_recv", "<u8"),
        ("ts_in_delta", "<i4"),
        ("sequence", "<u4"),
    ]
    + [
        (f"{side}_{field}_{level:02d}", dtype)
        for level in range(LEVELS)
        for field, dtype in _LEVEL_FIELDS
        for side in ("bid", "ask")
    ]
)
"""One MBP-10 record as it lies in the file, little-endian, 368 bytes."""

BLOCK_RECORDS = 65_536
"""Records decompressed at a time; more, if there are shorter ones among them."""
REDELIVER = "download the file again"

_BOOK_HEAD = MBP10_DTYPE.itemsize // 4 | MBP10_RTYPE << 8
"""The first two bytes of a record, little-endian: its length in words and its type."""
_HEADER_BYTES = 16
_ROOM_BEFORE = 1024
"""Room for the record that the last block cut off, up to 4 * 255 bytes; aligned."""
_ZSTD_MAGICS = {
    b"\x28\xb5\x2f\xfd",
    *(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60)),
}
"""First bytes of a frame, and of the skippable ones that pzstd puts before each."""
_RTYPES = np.array([int(rtype) for rtype in databento_dbn.RType.variants()], np.uint8)
_AS_IS = databento_dbn.VersionUpgradePolicy.AS_IS


class DbnError(ValueError):
    """A DBN file that cannot be read as MBP-10; the message names the file and the remedy."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}; {remedy}.")


def open_stream(path: Path) -> pa.NativeFile:
    """Open a file for reading, decompressing it if it is zstd.

    Raises:
        DbnError: if it is not there or cannot be opened.
    """
    try:
        file = pa.OSFile(str(path))
    except FileNotFoundError as error:
        raise DbnError(path, "no such file", "put the day's file there") from error
    except OSError as error:
        raise DbnError(path, f"cannot be opened ({error})", "put a readable file there") from error
    with _stream_errors(path):
        magic = file.read(4)
        file.seek(0)
    return pa.CompressedInputStream(file, "zstd") if magic in _ZSTD_MAGICS else file


def read_metadata(path: Path, stream: pa.NativeFile) -> databento_dbn.Metadata:
    """Decode the header and leave the stream at the first record.

    Raises:
        DbnError: if the file is empty, not DBN, corrupt or of another schema.
    """
    with _stream_errors(path):
        prefix = stream.read(8)
        if not prefix:
            raise DbnError(path, "the file is empty", REDELIVER)
        if prefix[:3] != b"DBN":
            raise DbnError(path, "not a DBN file", REDELIVER)
        rest = stream.read(int.from_bytes(prefix[4:], "little"))
    try:
        metadata = databento_dbn.Metadata.decode(prefix + rest, upgrade_policy=_AS_IS)
    except databento_dbn.DBNError as error:
        raise DbnError(path, f"corrupt DBN header ({error})", REDELIVER) from error
    if metadata.schema is None or metadata.ts_out:
        raise DbnError(
            path,
            "a live capture, or of several schemas",
            "use a historical file of schema mbp-10",
        )
    if metadata.schema != databento_dbn.Schema.MBP_10:
        raise DbnError(
            path,
            f"schema is {metadata.schema}, not mbp-10",
            "request schema mbp-10, and keep other files out of the folder",
        )
    return metadata


@contextmanager
def _stream_errors(path: Path) -> Iterator[None]:
    """Turn what Arrow raises of a file or its decompressor into a DbnError."""
    try:
        yield
    except OSError as error:
        raise DbnError(path, f"truncated or corrupt ({error})", REDELIVER) from error


def read_records(path: Path) -> Iterator[np.ndarray]:
    """Structured arrays (`MBP10_DTYPE`) of consecutive records, views of two reused buffers.

    While one block is used the next is decompressed into the other buffer by a thread; a view is
    good until the next one is asked for.

    Raises:
        DbnError: if the file is truncated or holds what cannot be a record.
    """
    block = BLOCK_RECORDS * MBP10_DTYPE.itemsize
    buffers = cycle(np.empty((2, _ROOM_BEFORE + block), np.uint8))
    rest = np.empty(0, np.uint8)
    with open_stream(path) as stream, ThreadPoolExecutor(1) as thread:

        def read_ahead() -> tuple[np.ndarray, Future[int]]:
            buffer = next(buffers)
            return buffer, thread.submit(stream.readinto, memoryview(buffer)[_ROOM_BEFORE:])

        read_metadata(path, stream)
        buffer, pending = read_ahead()
        while got := _result(path, pending):
            start = _ROOM_BEFORE - rest.size
            buffer[start:_ROOM_BEFORE] = rest
            raw = buffer[start : _ROOM_BEFORE + got]
            buffer, pending = read_ahead()
            records, used = _whole_records(path, raw)
            rest = raw[used:].copy()
            yield records
    if rest.size:  # shorter ones may be whole
        records, used = _mixed_records(path, rest)
        yield records
        if left := rest.size - used:
            raise DbnError(path, f"truncated: {left} bytes of a record at the end", REDELIVER)


def _result(path: Path, pending: Future[int]) -> int:
    with _stream_errors(path):
        return pending.result()


def _whole_records(path: Path, raw: np.ndarray) -> tuple[np.ndarray, int]:
    """The whole records at the start of `raw` (bytes), and how many bytes they take."""
    size = MBP10_DTYPE.itemsize
    records = raw[: raw.size // size * size].view(MBP10_DTYPE)
    if (records.view("<u2")[:: size // 2] == _BOOK_HEAD).all():
        return records, records.nbytes
    return _mixed_records(path, raw)


def _mixed_records(path: Path, raw: np.ndarray) -> tuple[np.ndarray, int]:
    """As `_whole_records`, with other record types in between, of which only headers are kept."""
    records = np.zeros(raw.size // _HEADER_BYTES, MBP10_DTYPE)
    rows = records.view(np.uint8).reshape(len(records), MBP10_DTYPE.itemsize)
    count = at = 0
    while at + _HEADER_BYTES <= raw.size:
        size, rtype = 4 * int(raw[at]), raw[at + 1]
        is_book = rtype == MBP10_RTYPE
        if rtype not in _RTYPES or size < _HEADER_BYTES or (is_book and size != rows.shape[1]):
            raise DbnError(path, "corrupt: bytes that are not a DBN record", REDELIVER)
        if at + size > raw.size:
            break
        kept = size if is_book else _HEADER_BYTES
        rows[count, :kept] = raw[at : at + kept]
        count, at = count + 1, at + size
    return records[:count], at
