"""Databento Binary Encoding (DBN) files as Polars lazy frames, in bounded memory.

`scan_dbn` is a Polars IO source: the file is decompressed into one small reused buffer, the
368-byte records are viewed in place as a NumPy structured array, and only the columns a query
asks for are copied out. Layout: https://databento.com/docs/standards-and-conventions
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import databento_dbn
import numpy as np
import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

LEVELS = 10
UNDEF_PRICE = databento_dbn.UNDEF_PRICE
UNDEF_TIMESTAMP = databento_dbn.UNDEF_TIMESTAMP
PRICE_SCALE = float(databento_dbn.FIXED_PRICE_SCALE)

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

MBP10_RTYPE = 10
ACTION = pl.Enum(["A", "C", "M", "R", "T", "F", "N"])
SIDE = pl.Enum(["A", "B", "N"])
INSTANT = pl.Datetime("ns", "UTC")

_TIMES = ("ts_recv", "ts_event")
_ENUMS = {"action": ACTION, "side": SIDE}
_NUMPY_TO_POLARS = {
    np.dtype("u1"): pl.UInt8,
    np.dtype("<u2"): pl.UInt16,
    np.dtype("<u4"): pl.UInt32,
    np.dtype("<i4"): pl.Int32,
    np.dtype("<i8"): pl.Float64,
}


def _polars_dtype(field: str) -> pl.DataType:
    if field in _TIMES:
        return INSTANT
    return _ENUMS.get(field) or _NUMPY_TO_POLARS[MBP10_DTYPE[field]]


SCHEMA = pl.Schema(
    {name: _polars_dtype(name) for name in MBP10_DTYPE.names if name != "length"}
    | {"symbol": pl.Categorical()}
)
"""Columns of `scan_dbn`: the record's fields in file order, then the symbol.

Prices are Float64 in the instrument's price units, times Datetime[ns, UTC]; both are null where
undefined. Rows of another record type than MBP-10 keep their header; the rest is 0 or null.
"""

_BLOCK_RECORDS = 32_768
_RECORD_WORDS = MBP10_DTYPE.itemsize // 4
_HEADER_BYTES = 16
_MAX_RECORD_BYTES = 4 * 255
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_RTYPES = np.array([int(rtype) for rtype in databento_dbn.RType.variants()], np.uint8)
_NS_PER_DAY = 86_400_000_000_000
_AS_IS = databento_dbn.VersionUpgradePolicy.AS_IS
_REDELIVER = "download the file again"


class DbnError(ValueError):
    """A DBN file that cannot be read as MBP-10; the message names the file and the remedy."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}; {remedy}.")


@dataclass(frozen=True)
class Symbology:
    """Which symbol an instrument id stood for on which UTC day, from a file's metadata.

    `keys` (int64, sorted) packs instrument id and first day since 1970 of a mapping interval,
    `ends` is the day after its last, `symbols` its symbol.
    """

    keys: np.ndarray
    ends: np.ndarray
    symbols: pl.Series

    @classmethod
    def of(cls, metadata: databento_dbn.Metadata) -> "Symbology":
        by_id = metadata.stype_in == databento_dbn.SType.INSTRUMENT_ID
        intervals = sorted(
            (
                _key(int(key if by_id else each["symbol"]), start),
                end,
                each["symbol"] if by_id else key,
            )
            for key, mapped in metadata.mappings.items()
            for each in mapped
            if each["symbol"]
            for start, end in [
                np.array([each["start_date"], each["end_date"]], "M8[D]").astype(int)
            ]
        )
        keys, ends, symbols = zip(*intervals, strict=True) if intervals else ((), (), ())
        return cls(
            np.array((-1, *keys), np.int64),
            np.array((-1, *ends), np.int64),
            pl.Series("symbol", (None, *symbols), dtype=pl.Categorical),
        )

    def symbol(self, instrument_id: np.ndarray, ts_recv: np.ndarray) -> pl.Series:
        """Symbol of each record (Categorical; null where unmapped) by its id and UTC day."""
        ids, day = instrument_id.astype(np.int64), (ts_recv // _NS_PER_DAY).astype(np.int64)
        interval = np.searchsorted(self.keys, _key(ids, day), "right") - 1
        mapped = (self.keys[interval] >> 32 == ids) & (day < self.ends[interval])
        return self.symbols.gather(np.where(mapped, interval, 0))


def _key(instrument_id, day):
    return (instrument_id << 32) + day


def scan_dbn(path: Path | str) -> pl.LazyFrame:
    """Lazily read one DBN file of schema MBP-10, versions 1-3, zstd-compressed or not.

    Columns are those of `SCHEMA`; a query decodes only the columns it names, and stops at its row
    limit. Memory is a few batches of 32,768 records, whatever the size of the file.

    Raises:
        DbnError: at once if the file is missing, empty, not DBN or of another schema; while it is
            read if it is truncated or corrupt.
    """
    path = Path(path)
    with _open(path) as stream:
        metadata = _read_metadata(path, stream)
    try:
        symbology = Symbology.of(metadata)
    except (ValueError, OverflowError) as error:
        raise DbnError(
            path,
            f"symbol mappings that name no instrument id ({error})",
            f"{_REDELIVER}, with stype_out instrument_id",
        ) from error
    return register_io_source(
        partial(_batches, path, symbology),
        schema=SCHEMA,
        is_pure=True,
        explain_name="DBN",
        explain_detail=str(path),
    )


def _open(path: Path) -> pa.NativeFile:
    try:
        file = pa.OSFile(str(path))
    except FileNotFoundError as error:
        raise DbnError(path, "no such file", "put the day's file there") from error
    except OSError as error:
        raise DbnError(path, f"cannot be opened ({error})", "put a readable file there") from error
    magic = file.read(len(_ZSTD_MAGIC))
    file.seek(0)
    return pa.CompressedInputStream(file, "zstd") if magic == _ZSTD_MAGIC else file


def _read_metadata(path: Path, stream: pa.NativeFile) -> databento_dbn.Metadata:
    """Decode the header and leave the stream at the first record."""
    with _stream_errors(path):
        prefix = stream.read(8)
        if not prefix:
            raise DbnError(path, "the file is empty", _REDELIVER)
        if prefix[:3] != b"DBN":
            raise DbnError(path, "not a DBN file", _REDELIVER)
        rest = stream.read(int.from_bytes(prefix[4:], "little"))
    try:
        metadata = databento_dbn.Metadata.decode(prefix + rest, upgrade_policy=_AS_IS)
    except databento_dbn.DBNError as error:
        raise DbnError(path, f"corrupt DBN header ({error})", _REDELIVER) from error
    if metadata.schema != databento_dbn.Schema.MBP_10:
        raise DbnError(path, f"schema is {metadata.schema}, not mbp-10", "request schema mbp-10")
    if metadata.ts_out:
        raise DbnError(path, "a live capture with ts_out", "use a historical file")
    return metadata


@contextmanager
def _stream_errors(path: Path) -> Iterator[None]:
    """Turn what Arrow's decompressor raises into a DbnError."""
    try:
        yield
    except OSError as error:
        raise DbnError(path, f"truncated or corrupt zstd stream ({error})", _REDELIVER) from error


def _batches(
    path: Path,
    symbology: Symbology,
    with_columns: list[str] | None,
    predicate: pl.Expr | None,
    n_rows: int | None,
    batch_size: int | None,
) -> Iterator[pl.DataFrame]:
    """The IO source's generator: one decoded frame a block, in file order.

    The predicate is tried on its own columns first, so that rows it drops are never decoded.
    """
    names = SCHEMA.names() if with_columns is None else with_columns
    left = np.iinfo(np.int64).max if n_rows is None else n_rows
    decode = partial(_decode, path, symbology)
    for block in read_records(path):
        records = block[:left]
        left -= len(records)
        if predicate is not None:
            tested = decode(predicate.meta.root_names(), records)
            kept = tested.select(predicate).to_series().fill_null(False)
            records = np.compress(kept.to_numpy(), records)
        yield decode(names, records)
        if not left:
            return


def _decode(
    path: Path, symbology: Symbology, names: list[str], records: np.ndarray
) -> pl.DataFrame:
    return pl.DataFrame([_column(path, symbology, name, records) for name in names])


def _column(path: Path, symbology: Symbology, name: str, records: np.ndarray) -> pl.Series:
    """One column of `SCHEMA` from a block of records."""
    if name == "symbol":
        return symbology.symbol(records["instrument_id"], records["ts_recv"])
    dtype = SCHEMA[name]
    if dtype == pl.Float64:
        return _prices(name, records[name])
    raw = records[name].copy()
    if dtype == INSTANT:
        return _times(name, raw)
    if isinstance(dtype, pl.Enum):
        return _codes(path, name, raw, dtype)
    return pl.Series(name, raw)


def _times(name: str, raw: np.ndarray) -> pl.Series:
    """Instants of nanoseconds since 1970, null where undefined."""
    series = pl.Series(name, raw.view(np.int64)).cast(INSTANT)
    undefined = raw == UNDEF_TIMESTAMP
    return series.set(pl.Series(undefined), None) if undefined.any() else series


def _prices(name: str, raw: np.ndarray) -> pl.Series:
    """Float64 prices of 1e-9 integers, null where undefined.

    Dividing gives the double nearest to the decimal price; multiplying by 1e-9 would not.
    """
    prices = raw / PRICE_SCALE
    undefined = prices == UNDEF_PRICE / PRICE_SCALE
    series = pl.Series(name, prices)
    return series.set(pl.Series(undefined), None) if undefined.any() else series


def _codes(path: Path, name: str, letters: np.ndarray, dtype: pl.Enum) -> pl.Series:
    """Enum of one-letter codes (uint8 ASCII, 0 for none); another letter is a corrupt record."""
    lookup = np.full(256, 255, np.uint8)
    lookup[[ord(letter) for letter in dtype.categories]] = np.arange(len(dtype.categories))
    codes = lookup[letters]
    series = pl.Series(name, codes)
    unknown = codes == 255
    if unknown.any():
        if letters[unknown].any():
            raise DbnError(
                path, f"corrupt: unknown {name} {bytes(letters[unknown])[:8]}", _REDELIVER
            )
        series = series.set(pl.Series(unknown), None)
    return series.cat.to(dtype)


def read_records(path: Path) -> Iterator[np.ndarray]:
    """Structured arrays (`MBP10_DTYPE`) of consecutive records, views of two reused buffers.

    While one block is used the next is decompressed into the other buffer by a thread; a view is
    good until the next one is asked for.

    Raises:
        DbnError: if the file is truncated or holds what cannot be a record.
    """
    block = _BLOCK_RECORDS * MBP10_DTYPE.itemsize
    buffers = cycle(np.empty((2, _MAX_RECORD_BYTES + block), np.uint8))
    rest = np.empty(0, np.uint8)
    with _open(path) as stream, ThreadPoolExecutor(1) as thread:

        def read_ahead() -> tuple[np.ndarray, Future[int]]:
            buffer = next(buffers)
            return buffer, thread.submit(stream.readinto, memoryview(buffer)[_MAX_RECORD_BYTES:])

        _read_metadata(path, stream)
        buffer, pending = read_ahead()
        while got := _result(path, pending):
            start = _MAX_RECORD_BYTES - rest.size
            buffer[start:_MAX_RECORD_BYTES] = rest
            raw = buffer[start : _MAX_RECORD_BYTES + got]
            buffer, pending = read_ahead()
            records, used = _whole_records(path, raw)
            rest = raw[used:].copy()
            yield records
    if rest.size:
        records, used = _mixed_records(path, rest)
        yield records
        if left := rest.size - used:
            raise DbnError(path, f"truncated: {left} bytes of a record at the end", _REDELIVER)


def _result(path: Path, pending: Future[int]) -> int:
    with _stream_errors(path):
        return pending.result()


def _whole_records(path: Path, raw: np.ndarray) -> tuple[np.ndarray, int]:
    """The whole records at the start of `raw` (bytes), and how many bytes they take."""
    size = MBP10_DTYPE.itemsize
    records = raw[: raw.size // size * size].view(MBP10_DTYPE)
    if ((records["length"] == _RECORD_WORDS) & (records["rtype"] == MBP10_RTYPE)).all():
        return records, records.nbytes
    return _mixed_records(path, raw)


def _mixed_records(path: Path, raw: np.ndarray) -> tuple[np.ndarray, int]:
    """As `_whole_records` where other record types lie between: of those only headers are kept."""
    records = np.zeros(raw.size // _HEADER_BYTES, MBP10_DTYPE)
    rows = records.view(np.uint8).reshape(len(records), MBP10_DTYPE.itemsize)
    count = at = 0
    while at + _HEADER_BYTES <= raw.size:
        size, rtype = 4 * int(raw[at]), raw[at + 1]
        is_book = rtype == MBP10_RTYPE
        if rtype not in _RTYPES or size < _HEADER_BYTES or (is_book and size != rows.shape[1]):
            raise DbnError(path, "corrupt: bytes that are no DBN record", _REDELIVER)
        if at + size > raw.size:
            break
        kept = size if is_book else _HEADER_BYTES
        rows[count, :kept] = raw[at : at + kept]
        count, at = count + 1, at + size
    return records[:count], at
