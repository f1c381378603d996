"""DBN files for tests, written with Databento's own encoder, and records as they are read."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import databento_dbn
import polars as pl
import zstandard
from databento_dbn import UNDEF_TIMESTAMP, Action, BidAskPair, Schema, Side, SType

import resources.dbn_records
from kernels.features import NS_PER_DAY
from resources.dbn import SCHEMA
from tests.conftest import DAY

MIDNIGHT = (DAY - date(1970, 1, 1)).days * NS_PER_DAY
NEXT_DAY = DAY + timedelta(days=1)
IDS = {"ESM5": 42, "ESU5": 43}

Intervals = list[tuple[date, date, str]]
"""First day, day after the last and what a name stood for in between."""


def header(
    *,
    schema: Schema | None = Schema.MBP_10,
    version: int = 3,
    mappings: Mapping[str, Intervals] | None = None,
    stypes: tuple[SType, SType] = (SType.PARENT, SType.INSTRUMENT_ID),
    ts_out: bool = False,
) -> bytes:
    """A DBN header of `DAY`; without mappings the symbols of `IDS` stand for their ids."""
    if mappings is None:
        mappings = {symbol: [(DAY, NEXT_DAY, str(number))] for symbol, number in IDS.items()}
    return bytes(
        databento_dbn.Metadata(
            "GLBX.MDP3",
            start=MIDNIGHT,
            end=MIDNIGHT + NS_PER_DAY,
            stype_in=stypes[0],
            stype_out=stypes[1],
            schema=schema,
            symbols=["ES.FUT"],
            mappings=[
                SimpleNamespace(
                    raw_symbol=name,
                    intervals=[
                        SimpleNamespace(start_date=start, end_date=end, symbol=symbol)
                        for start, end, symbol in intervals
                    ],
                )
                for name, intervals in mappings.items()
            ],
            version=version,
            ts_out=ts_out,
        )
    )


def book_record(
    ts_event: int = MIDNIGHT,
    *,
    instrument_id: int = IDS["ESM5"],
    bid: float = 5950.0,
    ask: float | None = 5950.25,
    action: Action = Action.ADD,
    size: int = 1,
    sequence: int = 0,
) -> bytes:
    """An MBP-10 record on the bid, of a book with one level a side, or no ask."""
    best = BidAskPair(bid_px=round(bid * 1e9), bid_sz=10, bid_ct=3)
    if ask is not None:
        best = BidAskPair(round(bid * 1e9), round(ask * 1e9), 10, 20, 3, 4)
    return bytes(
        databento_dbn.MBP10Msg(
            1,
            instrument_id,
            ts_event,
            price=round(bid * 1e9),
            size=size,
            action=action,
            side=Side.BID,
            depth=0,
            ts_recv=MIDNIGHT + 1 if ts_event == UNDEF_TIMESTAMP else ts_event + 1,
            sequence=sequence,
            levels=[best] + [BidAskPair()] * 9,
        )
    )


def patched(record: bytes, field: str, value: int) -> bytes:
    """A record with the first byte of a field overwritten."""
    _, at = resources.dbn_records.MBP10_DTYPE.fields[field]
    return record[:at] + bytes([value]) + record[at + 1 :]


def write(path: Path, *parts: bytes) -> Path:
    """The parts as one file, each a zstd frame of its own if the name ends in `.zst`."""
    compress = zstandard.compress if path.suffix == ".zst" else bytes
    path.write_bytes(b"".join(map(compress, parts)))
    return path


MAPPING = bytes(
    databento_dbn.SymbolMappingMsg(
        1, 42, MIDNIGHT + 6, SType.PARENT, "ES.FUT", SType.RAW_SYMBOL, "ESM5", 0, 1
    )
)
"""A record that is no book's."""


PLAIN = {"rtype": 10, "ts_event": MIDNIGHT, "sequence": 0, "action": "T", "size": 1, "flags": 0}


def plain_records(symbols: list[str]) -> pl.DataFrame:
    """A record a symbol: one contract traded at midnight, with a book of null prices."""
    return pl.DataFrame({"symbol": symbols}, schema={"symbol": SCHEMA["symbol"]}).select(
        pl.col(name) if name == "symbol" else pl.lit(PLAIN.get(name), dtype).alias(name)
        for name, dtype in SCHEMA.items()
    )
