"""Counts a day's records by symbol, and chooses the contract to keep by the roll rule."""

import re
from datetime import date

import numpy as np
import polars as pl

from kernels.compiling import kernel
from kernels.errors import UnusableDay
from kernels.features import ACTION, MBP10_RTYPE
from kernels.instrument import Instrument
from kernels.order_flow import TRADE

DROP_REASONS = ("other_rtype", "other_root", "spread", "other_contract", "crossed_or_locked")

_MONTH_CODES = "FGHJKMNQUVXZ"
_SPREAD_SEPARATORS = re.compile(r"[-: ]")
_NO_ACTION, _NO_TIME = len(ACTION.categories), np.iinfo(np.int64).min
_TALLIES = (
    "records",
    "books",
    "crossed",
    "volume",
    "undated",
    "newest_ts",
    "newest_sequence",
)
_RECORDS, _BOOKS, _CROSSED, _VOLUME, _UNDATED, _NEWEST_TS, _NEWEST_SEQUENCE = range(len(_TALLIES))
_COUNTED = (
    # Row of the tallies: the symbol's code + 1, 0 for none.
    pl.col("symbol").cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(-1) + 1,
    pl.col("rtype"),
    pl.col("action").to_physical().fill_null(_NO_ACTION),
    pl.col("size"),
    pl.col("ts_event").to_physical().fill_null(_NO_TIME),
    pl.col("sequence"),
    pl.col("bid_px_00", "ask_px_00").fill_null(float("nan")),
)


class Survey:
    """Counts of the day's records added so far."""

    def __init__(self, instrument: Instrument, day: date) -> None:
        self._instrument, self._day = instrument, day
        self._tallies = np.zeros((0, len(_TALLIES)), np.int64)

    def add(self, records: pl.DataFrame) -> pl.Series:
        """Count a batch of raw records, later in the file than those before.

        Returns:
            Boolean per record, true if late: uncrossed, and without a time or below the greatest
            (ts_event, sequence) of its symbol's earlier uncrossed records.
        """
        symbol, *columns = (column.to_numpy() for column in records.select(_COUNTED))
        lacking = max(symbol.max(initial=-1) + 1 - len(self._tallies), 0)
        self._tallies = np.vstack([self._tallies, np.zeros((lacking, len(_TALLIES)), np.int64)])
        is_late = np.zeros(symbol.size, np.bool_)
        _tally(symbol, *columns, self._tallies, is_late)
        return pl.Series("is_late", is_late)

    def table(self) -> pl.DataFrame:
        """A row a symbol (String, may be null): `_TALLIES`, Int64."""
        seen = np.flatnonzero(self._tallies[:, _RECORDS])
        symbols = pl.Series("symbol", seen - 1, pl.Int64).replace(-1, None).cast(pl.UInt32)
        return pl.from_numpy(self._tallies[seen], _TALLIES, orient="row").with_columns(
            symbols.cat.to(pl.Categorical).cast(pl.String)
        )

    def contract(self) -> str:
        """The symbol to keep, by the instrument's roll rule.

        Raises:
            UnusableDay: no outright of the root, the named contract absent, no book or only crossed
                ones, a record without a time, or more records without a symbol than the contract has.
        """
        table = self.table()
        expiries = self._expiries(table.filter(pl.col("books") > 0)) or self._expiries(table)
        symbol = _choose(table, expiries, self._instrument, self._day)
        chosen = table.row(by_predicate=pl.col("symbol") == symbol, named=True)
        if not chosen["books"]:
            raise UnusableDay(
                f"nothing left after cleaning: {symbol} has no record of a book;"
                " request schema mbp-10"
            )
        if chosen["books"] == chosen["crossed"]:
            raise UnusableDay(
                f"nothing left after cleaning: all {chosen['books']:,} books of {symbol} are crossed"
                " or locked; check the file at its source"
            )
        if chosen["undated"]:
            raise UnusableDay(
                f"records of {symbol} without a ts_event: {chosen['undated']:,};"
                " check the file at its source"
            )
        nameless = table.filter(pl.col("symbol").is_null())["books"].sum()
        if nameless > chosen["books"]:
            raise UnusableDay(
                f"the file's header gives no symbol for {nameless:,} records, more than {symbol} has,"
                " so another contract may be meant; download the file again"
            )
        return symbol

    def dropped(self, contract: str) -> dict[str, int]:
        """Records left out if a contract is kept, each under the first reason that applies."""
        table, root = self.table(), self._instrument.root
        expiries, dropped = self._expiries(table), dict.fromkeys(DROP_REASONS, 0)
        for row in table.iter_rows(named=True):
            symbol = row["symbol"] or ""
            dropped["other_rtype"] += row["records"] - row["books"]
            if symbol == contract:
                dropped["crossed_or_locked"] += row["crossed"]
            elif symbol in expiries:
                dropped["other_contract"] += row["books"]
            else:
                dropped["spread" if _is_spread(symbol, root) else "other_root"] += row["books"]
        return dropped

    def _expiries(self, table: pl.DataFrame) -> dict[str, tuple[int, int]]:
        """(year, month) in which each outright of the root expires."""
        root, day = self._instrument.root, self._day
        return {s: e for s in table["symbol"] if s and (e := expiry(s, root, day))}


@kernel
def _tally(symbol, rtype, action, size, ts, sequence, bid, ask, tallies, is_late) -> None:
    """Add a batch's records to the row of their symbol in `tallies` (int64, `_TALLIES`).

    is_late: (n,) bool, false before.
    """
    for i in range(symbol.size):
        tally = tallies[symbol[i]]
        tally[_RECORDS] += 1
        if rtype[i] != MBP10_RTYPE:
            continue
        is_crossed = bid[i] >= ask[i]
        tally[_BOOKS] += 1
        tally[_CROSSED] += is_crossed
        tally[_VOLUME] += size[i] if action[i] == TRADE else 0
        if is_crossed:
            continue
        newest = tally[_NEWEST_TS]
        if ts[i] > newest or (ts[i] == newest and sequence[i] >= tally[_NEWEST_SEQUENCE]):
            tally[_NEWEST_TS], tally[_NEWEST_SEQUENCE] = ts[i], sequence[i]
        else:
            tally[_UNDATED] += ts[i] < 0
            is_late[i] = True


def expiry(symbol: str, root: str, day: date) -> tuple[int, int] | None:
    """(year, month) in which an outright of a root expires, None for any other symbol.

    A year of one or two digits is the first one not before the day.
    """
    match = re.fullmatch(rf"{re.escape(root)}([{_MONTH_CODES}])([0-9]{{1,2}})", symbol)
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
    table: pl.DataFrame, expiries: dict[str, tuple[int, int]], instrument: Instrument, day: date
) -> str:
    root, roll = instrument.root, instrument.roll
    if table.is_empty():
        raise UnusableDay("the file has no records; download it again")
    if not expiries:
        found = ", ".join(table["symbol"].drop_nulls().head(8)) or "none"
        raise UnusableDay(
            f"no record of an outright of {root}, symbols found: {found};"
            f" request {root}.FUT with parent symbology, or set the right root"
        )
    if roll == "volume":
        volume = dict(table.select("symbol", "volume").iter_rows())
        return min(expiries, key=lambda symbol: (-volume[symbol], expiries[symbol], symbol))
    if roll == "calendar":
        eligible = {s: e for s, e in expiries.items() if e > (day.year, day.month)}
    else:
        eligible = {s: e for s, e in expiries.items() if s == roll}
    if not eligible:
        raise UnusableDay(
            f"no contract by roll rule {roll!r}, contracts found: {', '.join(sorted(expiries))};"
            " name one of them or use roll rule 'volume'"
        )
    return min(eligible, key=lambda symbol: (eligible[symbol], symbol))


def _is_spread(symbol: str, root: str) -> bool:
    """Whether a symbol combines a root's contracts, as `ESM5-ESU5`; true of its options too."""
    legs = _SPREAD_SEPARATORS.split(symbol)
    contract = re.compile(rf"{re.escape(root)}([{_MONTH_CODES}][0-9]{{1,2}})?")
    return len(legs) > 1 and any(map(contract.fullmatch, legs))
