"""Columns of MBP-10 records: `SCHEMA`, and the loop that takes records apart into it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import databento_dbn
import numpy as np
import polars as pl

from kernels.compiling import kernel
from kernels.features import ACTION, INSTANT, MBP10_RTYPE, NS_PER_DAY, SIDE
from resources.dbn_records import MBP10_DTYPE, REDELIVER, UNDEF_PRICE, DbnError

UNDEF_TIMESTAMP = databento_dbn.UNDEF_TIMESTAMP
PRICE_SCALE = float(databento_dbn.FIXED_PRICE_SCALE)

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

_WORD = 8
_UNKNOWN = 255
_TILE = 64
"""Records taken apart at a time: they stay in the first-level cache until every field is copied."""
_DAY_BITS = 31
"""Bits of a key that hold the day; with an unsigned 32-bit id they fill an int64 except its sign."""


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
        """The mappings of a header; ValueError or OverflowError if an id is no integer."""
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
        interval = _interval(self.keys, self.ends, instrument_id, ts_recv)
        return self.symbols[pl.Series(interval)]


def _key(instrument_id: int, day: int) -> int:
    return (instrument_id << _DAY_BITS) + day


@kernel
def _interval(keys, ends, instrument_id, ts_recv) -> np.ndarray:
    """Row of each record's mapping interval, 0 for none; mostly that of the record just before."""
    found = np.empty(instrument_id.size, np.uint32)
    at, until, since = 0, np.uint64(0), np.uint64(0)
    last_id = instrument_id[0] if instrument_id.size else 0
    for i in range(instrument_id.size):
        if instrument_id[i] != last_id or not since <= ts_recv[i] < until:
            last_id = instrument_id[i]
            day = np.int64(ts_recv[i] // np.uint64(NS_PER_DAY))
            since = np.uint64(day) * np.uint64(NS_PER_DAY)
            until = since + np.uint64(NS_PER_DAY)
            at = np.searchsorted(keys, (np.int64(last_id) << _DAY_BITS) + day, "right") - 1
            if keys[at] >> _DAY_BITS != last_id or day >= ends[at]:
                at = 0
        found[i] = at
    return found


def columns(
    path: Path, symbology: Symbology, names: list[str], records: np.ndarray, rows: np.ndarray
) -> pl.DataFrame:
    """The named columns of some of a block's records.

    Args:
        path: the file they are of, for errors.
        records: `MBP10_DTYPE`.
        rows: int64 indices into `records`, rising.

    Raises:
        DbnError: if a record has an action or side that does not exist.
    """
    fields = [name for name in names if name != "symbol"]
    if "symbol" in names:
        fields += [name for name in ("instrument_id", "ts_recv") if name not in names]
    raw = _take_apart(records, rows, tuple(fields))
    return pl.DataFrame(
        [
            symbology.symbol(raw["instrument_id"], raw["ts_recv"].view(np.uint64))
            if name == "symbol"
            else _column(path, name, raw[name], records["rtype"], rows)
            for name in names
        ]
    )


class _Plan(NamedTuple):
    """How fields are taken out of records: prices, other 8-byte fields and shorter ones, in this order.

    words: which of a record's words they are in. places, shifts: for each field, the index of its word
    among these and its first bit in it.
    """

    prices: list[str]
    longs: list[str]
    shorts: list[str]
    words: np.ndarray
    places: np.ndarray
    shifts: np.ndarray


@lru_cache
def _plan(fields: tuple[str, ...]) -> _Plan:
    prices = [name for name in fields if SCHEMA[name] == pl.Float64]
    longs = [name for name in fields if SCHEMA[name] == INSTANT]
    shorts = [name for name in fields if MBP10_DTYPE[name].itemsize < _WORD]
    offsets = [MBP10_DTYPE.fields[name][1] for name in (*prices, *longs, *shorts)]
    words, places = np.unique(np.array(offsets, np.int64) // _WORD, return_inverse=True)
    shifts = 8 * (np.array(offsets, np.int64) % _WORD)
    return _Plan(prices, longs, shorts, words, places, shifts)


def _take_apart(
    records: np.ndarray, rows: np.ndarray, fields: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """One contiguous array a field: float64 of prices, int64 of times, uint32 of the rest."""
    plan = _plan(fields)
    prices = np.empty((len(plan.prices), rows.size))
    longs = np.empty((len(plan.longs), rows.size), np.int64)
    shorts = np.empty((len(plan.shorts), rows.size), np.uint32)
    as_words = np.require(records, requirements="A").view(np.int64)
    as_words = as_words.reshape(-1, MBP10_DTYPE.itemsize // _WORD)
    _copy(as_words, rows, *plan[-3:], prices, longs, shorts)
    names = (*plan.prices, *plan.longs, *plan.shorts)
    return dict(zip(names, (*prices, *longs, *shorts), strict=True))


@kernel
def _copy(records, rows, words, places, shifts, prices, longs, shorts) -> None:
    """Copy each field of some records to its array, a tile of records at a time.

    records: (n, 46) int64. words, places, shifts: of a `_Plan`. prices, longs, shorts: (k, rows)
    float64, int64 and uint32; in what is narrower than 32 bits the bits above are garbage.

    A price is divided by its scale, which gives the double nearest to the decimal price; multiplying
    by 1e-9 would not.
    """
    tile = np.empty((words.size, _TILE), np.int64)
    first_long, first_short = prices.shape[0], prices.shape[0] + longs.shape[0]
    for start in range(0, rows.size, _TILE):
        size = min(_TILE, rows.size - start)
        for i in range(size):
            record = records[rows[start + i]]
            for word in range(words.size):
                tile[word, i] = record[words[word]]
        for j in range(prices.shape[0]):
            source, price = tile[places[j]], prices[j][start : start + size]
            for i in range(size):
                price[i] = source[i] / PRICE_SCALE
        for j in range(longs.shape[0]):
            source, long = tile[places[first_long + j]], longs[j][start : start + size]
            for i in range(size):
                long[i] = source[i]
        for j in range(shorts.shape[0]):
            source, shift = tile[places[first_short + j]], shifts[first_short + j]
            short = shorts[j][start : start + size]
            for i in range(size):
                short[i] = source[i] >> shift


def _column(
    path: Path, name: str, raw: np.ndarray, rtypes: np.ndarray, rows: np.ndarray
) -> pl.Series:
    """One column of `SCHEMA` from what `_take_apart` gives of a field of some records."""
    dtype = SCHEMA[name]
    if dtype == pl.Float64:
        return _null_where(pl.Series(name, raw), raw == UNDEF_PRICE / PRICE_SCALE)
    if dtype == INSTANT:
        undefined = raw.view(np.uint64) == UNDEF_TIMESTAMP
        return _null_where(pl.Series(name, raw).cast(INSTANT), undefined)
    if isinstance(dtype, pl.Enum):
        return _codes(path, name, raw, dtype, rtypes, rows)
    return pl.Series(name, raw.astype(MBP10_DTYPE[name], copy=False))


def _null_where(series: pl.Series, undefined: np.ndarray) -> pl.Series:
    return series.set(pl.Series(undefined), None) if undefined.any() else series


def _codes(
    path: Path, name: str, raw: np.ndarray, dtype: pl.Enum, rtypes: np.ndarray, rows: np.ndarray
) -> pl.Series:
    """Enum of one-letter codes (ASCII, 0 for none); another letter is a corrupt record.

    So is no letter in a record of a book; records of other types have none.
    """
    lookup = np.full(256, _UNKNOWN, np.uint8)
    lookup[[ord(letter) for letter in dtype.categories]] = np.arange(len(dtype.categories))
    codes = np.empty(raw.size, np.uint8)
    has_unknown = _look_up(raw, lookup, codes)
    series = pl.Series(name, codes)
    if has_unknown:
        unknown = codes == _UNKNOWN
        corrupt = raw[unknown & (rtypes[rows] == MBP10_RTYPE)].astype(np.uint8)
        if corrupt.size:
            raise DbnError(path, f"corrupt: unknown {name} {bytes(corrupt)[:8]}", REDELIVER)
        series = series.set(pl.Series(unknown), None)
    return series.cat.to(dtype)


@kernel
def _look_up(raw, lookup, codes) -> bool:
    """The codes of letters, in the lowest eight bits of `raw`; whether one is unknown."""
    has_unknown = False
    for i in range(raw.size):
        codes[i] = lookup[raw[i] & 0xFF]
        has_unknown |= codes[i] == _UNKNOWN
    return has_unknown
