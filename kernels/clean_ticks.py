"""Raw records to clean ticks: one contract, no crossed book, in time order."""

import re
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import numpy as np
import polars as pl
from numba import njit
from polars.io.plugins import register_io_source

from kernels.errors import UnusableDay
from kernels.features import ACTION, conform
from kernels.instrument import Instrument

DROP_REASONS = ("other_rtype", "other_root", "spread", "other_contract", "crossed_or_locked")
FLAGS = {"is_last": 0x80, "is_snapshot": 0x20, "is_bad_ts": 0x08, "is_bad_book": 0x04}
MBP10_RTYPE = 10

_MONTH_CODES = "FGHJKMNQUVXZ"
_SPREAD_SEPARATORS = re.compile(r"[-: ]")
_KEY = ("ts_event", "sequence")
_TRADE = ACTION.categories.to_list().index("T")
_NO_ACTION, _NO_TIME = len(ACTION.categories), np.iinfo(np.int64).min
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
    """One row a symbol: its records by kind, traded size, and how late those to be kept are."""
    tallies = np.zeros((0, len(_TALLIES)), np.int64)
    for batch in records.select(_SURVEYED).collect_batches():
        symbol, *columns = (column.to_numpy() for column in batch)
        lacking = max(symbol.max(initial=-1) + 1 - len(tallies), 0)
        tallies = np.vstack([tallies, np.zeros((lacking, len(_TALLIES)), np.int64)])
        _tally(symbol, *columns, tallies)
    seen = np.flatnonzero(tallies[:, 0])
    symbols = pl.Series("symbol", seen - 1, pl.Int64).replace(-1, None).cast(pl.UInt32)
    return pl.from_numpy(tallies[seen], list(_TALLIES)).with_columns(
        symbols.cat.to(pl.Categorical).cast(pl.String)
    )


_SURVEYED = (
    pl.col("symbol").cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(-1) + 1,
    pl.col("rtype"),
    pl.col("action").to_physical().fill_null(_NO_ACTION),
    pl.col("size"),
    pl.col("ts_event").to_physical().fill_null(_NO_TIME),
    pl.col("sequence"),
    pl.col("bid_px_00", "ask_px_00").fill_null(float("nan")),
)
_TALLIES = (
    "records",
    "books",
    "crossed",
    "volume",
    "undated",
    "disordered",
    "lateness",
    "newest_ts",
    "newest_sequence",
)


@njit(cache=True, nogil=True)
def _tally(symbol, rtype, action, size, ts, sequence, bid, ask, tallies) -> None:
    """Add a batch's records to the row of their symbol in `tallies` (int64, `_TALLIES`)."""
    for i in range(symbol.size):
        tally = tallies[symbol[i]]
        tally[0] += 1
        if rtype[i] != MBP10_RTYPE:
            continue
        is_crossed = bid[i] >= ask[i]
        tally[1] += 1
        tally[2] += is_crossed
        tally[3] += size[i] if action[i] == _TRADE else 0
        if is_crossed:
            continue
        if ts[i] < 0:
            tally[4] += 1
        elif ts[i] > tally[7] or (ts[i] == tally[7] and sequence[i] >= tally[8]):
            tally[7], tally[8] = ts[i], sequence[i]
        else:
            tally[5] += 1
            tally[6] = max(tally[6], tally[7] - ts[i])


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
