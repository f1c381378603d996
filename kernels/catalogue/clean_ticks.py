"""Columns of `clean_ticks`: one MBP-10 record a row, with the book after it."""

import polars as pl

from kernels.catalogue.column import Column, Columns
from kernels.catalogue.vocabulary import ACTION, F64, FLAG, INSTANT, LEVELS, SIDE, SIDES


def _book() -> Columns:
    for level in range(LEVELS):
        for what, dtype, unit, meaning in (
            ("px", F64, "price", "price of {} level {}; null: no such level"),
            ("sz", pl.UInt32(), "contracts", "size resting at {} level {}"),
            ("ct", pl.UInt32(), "orders", "orders resting at {} level {}"),
        ):
            for side in SIDES:
                name = f"{side}_{what}_{level:02d}"
                yield Column(name, dtype, unit, "book", meaning.format(side, level))


COLUMNS = (
    Column(
        "ts_event",
        INSTANT,
        "ns UTC",
        "time",
        "exchange time of the event, or when a snapshot was made; first sort key",
    ),
    Column("ts_recv", INSTANT, "ns UTC", "time", "receive time at Databento's capture server"),
    Column(
        "sequence",
        pl.UInt32(),
        "id",
        "time",
        "venue's message number, 0 for a snapshot with the time it was made; second sort key",
    ),
    Column(
        "action",
        ACTION,
        "code",
        "event",
        "A add, C cancel, M modify, R clear, T trade, F fill, N none; T leaves the book as it was",
    ),
    Column(
        "side",
        SIDE,
        "code",
        "event",
        "for A, C, M the resting side (B bid, A ask); for T the aggressor (B buyer, A seller); N unknown",
    ),
    Column("depth", pl.UInt8(), "level", "event", "book level the event touched, 0 the best"),
    Column("price", F64, "price", "event", "price of the event; null where it has none"),
    Column("size", pl.UInt32(), "contracts", "event", "size of the event"),
    Column("flags", pl.UInt8(), "bits", "flags", "Databento's record flags"),
    Column("is_last", FLAG, "flag", "flags", "flags & 0x80: last record of its event"),
    Column("is_snapshot", FLAG, "flag", "flags", "flags & 0x20: from a snapshot, not the feed"),
    Column("is_bad_ts", FLAG, "flag", "flags", "flags & 0x08: ts_recv is unreliable"),
    Column("is_bad_book", FLAG, "flag", "flags", "flags & 0x04: gap in the feed, book suspect"),
    Column("publisher_id", pl.UInt16(), "id", "instrument", "dataset and venue (Databento)"),
    Column("instrument_id", pl.UInt32(), "id", "instrument", "the venue's instrument id that day"),
    Column(
        "symbol", pl.String(), "id", "instrument", "outright contract, from the file's symbology"
    ),
    *_book(),
)
"""Every column, in order."""
