"""Raw records to clean ticks: one contract, no crossed book, in time order."""

import re
from collections.abc import Iterator
from datetime import date
from itertools import chain
from typing import NamedTuple

import polars as pl
from polars.io.plugins import register_io_source

from kernels.errors import UnusableDay
from kernels.features import conform
from kernels.instrument import Instrument

DROP_REASONS = ("other_rtype", "other_root", "spread", "other_contract", "crossed_or_locked")
FLAGS = {"is_last": 0x80, "is_snapshot": 0x20, "is_bad_ts": 0x08, "is_bad_book": 0x04}
MBP10_RTYPE = 10

_MONTH_CODES = "FGHJKMNQUVXZ"
_SPREAD_SEPARATORS = re.compile(r"[-: ]")
_KEY = ("ts_event", "sequence")
_IS_BOOK = pl.col("rtype") == MBP10_RTYPE
_IS_CROSSED = (pl.col("bid_px_00") >= pl.col("ask_px_00")).fill_null(False)


class CleanTicks(NamedTuple):
    """A day's clean ticks, yet to be read, and what they leave out.

    ticks: table `clean_ticks`; collecting or sinking it reads the raw records.
    contract: the symbol kept.
    dropped: number of records dropped, by reason (`DROP_REASONS`).
    """

    ticks: pl.LazyFrame
    contract: str
    dropped: dict[str, int]


def clean_ticks(records: pl.LazyFrame, instrument: Instrument, day: date) -> CleanTicks:
    """The records of a day's one contract, sorted by (ts_event, sequence), ties in file order.

    The records are read twice, first to survey the contracts, then to write the chosen one.
    Memory is a few batches, and the records as old as the most belated one if any is late.

    Args:
        records: raw MBP-10 records, as `scan_dbn` reads them.
        instrument: the root to keep, and its roll rule.
        day: the trading day, which contract years and expiries are read against.

    Raises:
        UnusableDay: no outright of the root, the named contract absent, every book crossed, or a
            record without a time.
    """
    survey = _survey(records)
    expiries = {s: e for s in survey["symbol"] if s and (e := expiry(s, instrument.root, day))}
    contract = _choose(survey, expiries, instrument, day)
    dropped = _dropped(survey, contract, expiries, instrument.root)
    chosen = survey.row(by_predicate=pl.col("symbol") == contract, named=True)
    if chosen["books"] == chosen["crossed"]:
        raise UnusableDay(
            f"nothing left after cleaning: all {chosen['books']:,} books of {contract} are crossed"
            " or locked; check the file at its source"
        )
    if chosen["undated"]:
        raise UnusableDay(
            f"records of {contract} without a ts_event: {chosen['undated']:,};"
            " check the file at its source"
        )
    ticks = records.filter(_IS_BOOK, pl.col("symbol") == contract, ~_IS_CROSSED)
    if chosen["disordered"]:
        ticks = _in_time_order(ticks, chosen["lateness"])
    flags = {name: pl.col("flags") & bit != 0 for name, bit in FLAGS.items()}
    return CleanTicks(
        conform(ticks.with_columns(**flags, symbol=pl.lit(contract)), "clean_ticks"),
        contract,
        dropped,
    )


def _survey(records: pl.LazyFrame) -> pl.DataFrame:
    """One row a symbol: records by kind, traded size, whether and by how much records are late."""
    ts = pl.col("ts_event").to_physical()
    key = ts.cast(pl.Int128) * 2**32 + pl.col("sequence")
    surveyed = records.select(_SURVEYED)
    by_batch = [
        batch.group_by("symbol").agg(
            records=pl.len(),
            books=_IS_BOOK.sum(),
            crossed=(_IS_BOOK & _IS_CROSSED).sum(),
            volume=pl.col("size").filter(_IS_BOOK, pl.col("action") == "T").sum(),
            undated=ts.null_count(),
            disordered=(key.diff() < 0).any(),
            lateness=(ts.cum_max() - ts).max(),
            first_key=key.min(),
            last_key=key.max(),
            first_ts=ts.min(),
            last_ts=ts.max(),
        )
        for batch in chain([surveyed.clear().collect()], surveyed.collect_batches())
    ]
    newest_key, newest_ts = (pl.col(name).cum_max().shift() for name in ("last_key", "last_ts"))
    return (
        pl.concat(by_batch)
        .group_by(pl.col("symbol").cast(pl.String), maintain_order=True)
        .agg(
            pl.col("records", "books", "crossed", "volume", "undated").sum(),
            disordered=pl.col("disordered").any() | (pl.col("first_key") < newest_key).any(),
            lateness=pl.max_horizontal(
                pl.col("lateness").max(), (newest_ts - pl.col("first_ts")).max()
            ),
        )
    )


_SURVEYED = ("rtype", "symbol", "action", "size", *_KEY, "bid_px_00", "ask_px_00")


def expiry(symbol: str, root: str, day: date) -> tuple[int, int] | None:
    """(year, month) in which an outright of a root expires, None for any other symbol.

    A year of one or two digits is the first one not before the day.
    """
    match = re.fullmatch(rf"{re.escape(root)}([{_MONTH_CODES}])(\d{{1,2}})", symbol)
    if match is None:
        return None
    month, digits = _MONTH_CODES.index(match[1]) + 1, match[2]
    years = range(day.year, day.year + 101)
    return next(
        (year, month)
        for year in years
        if str(year).endswith(digits) and (year, month) >= (day.year, day.month)
    )


def _choose(
    survey: pl.DataFrame, expiries: dict[str, tuple[int, int]], instrument: Instrument, day: date
) -> str:
    """The contract to keep, by the instrument's roll rule."""
    root, roll = instrument.root, instrument.roll
    if not expiries:
        found = ", ".join(survey["symbol"].drop_nulls().head(8)) or "none"
        raise UnusableDay(
            f"no record of an outright of {root}, symbols in it: {found};"
            f" request {root}.FUT with parent symbology, or set the right root"
        )
    if roll == "volume":
        volume = dict(survey.select("symbol", "volume").iter_rows())
        return min(expiries, key=lambda symbol: (-volume[symbol], expiries[symbol], symbol))
    if roll == "calendar":
        eligible = {s: e for s, e in expiries.items() if e > (day.year, day.month)}
    else:
        eligible = {s: e for s, e in expiries.items() if s == roll}
    if not eligible:
        raise UnusableDay(
            f"no contract by roll rule {roll!r}, contracts in it: {', '.join(sorted(expiries))};"
            " name one of them or use roll rule 'volume'"
        )
    return min(eligible, key=lambda symbol: (eligible[symbol], symbol))


def _dropped(
    survey: pl.DataFrame, contract: str, expiries: dict[str, tuple[int, int]], root: str
) -> dict[str, int]:
    """Records left out, each under the first reason that applies."""
    dropped = dict.fromkeys(DROP_REASONS, 0)
    for row in survey.iter_rows(named=True):
        symbol = row["symbol"] or ""
        dropped["other_rtype"] += row["records"] - row["books"]
        if symbol == contract:
            dropped["crossed_or_locked"] += row["crossed"]
        elif symbol in expiries:
            dropped["other_contract"] += row["books"]
        else:
            dropped["spread" if _is_spread(symbol, root) else "other_root"] += row["books"]
    return dropped


def _is_spread(symbol: str, root: str) -> bool:
    """Whether a symbol is a combination of a root's contracts, `ESM5-ESU5` or `ES:BF M5-U5-Z5`."""
    legs = _SPREAD_SEPARATORS.split(symbol)
    contract = re.compile(rf"{re.escape(root)}([{_MONTH_CODES}]\d{{1,2}})?")
    return len(legs) > 1 and any(map(contract.fullmatch, legs))


def _in_time_order(ticks: pl.LazyFrame, lateness: int) -> pl.LazyFrame:
    """The ticks stably sorted, none being more than `lateness` ns older than one before it."""
    schema = ticks.collect_schema()

    def batches(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        names = schema.names() if with_columns is None else with_columns
        tested = [] if predicate is None else predicate.meta.root_names()
        left = n_rows
        for batch in _sorted(ticks.select({*names, *tested, *_KEY}), lateness):
            rows = batch[:left]
            if left is not None:
                left -= rows.height
            if predicate is not None:
                rows = rows.filter(predicate)
            yield rows.select(names)
            if left == 0:
                return

    return register_io_source(batches, schema=schema)


def _sorted(ticks: pl.LazyFrame, lateness: int) -> Iterator[pl.DataFrame]:
    """Batches of the sorted ticks, holding back only what a record still to come may precede."""
    held = pl.DataFrame(schema=ticks.collect_schema())
    for batch in ticks.collect_batches():
        held = pl.concat([held, batch]).sort(_KEY, maintain_order=True)
        times = held["ts_event"].to_physical()
        settled = times.search_sorted(times[-1] - lateness, "left") if held.height else 0
        yield held[:settled]
        held = held[settled:]
    yield held
