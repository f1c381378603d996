"""Checks of clean_ticks: order, books, what was dropped, the contract kept."""

from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

import polars as pl

from kernels.clean_ticks import BEFORE_MIDNIGHT
from kernels.survey import expiry
from pipeline_assets.checks.finding import Finding, found, make_again
from pipeline_assets.partitions import session_close
from pipeline_assets.words import counted
from resources.lake import LakeDay, UnreadableTable

MAX_BAD_BOOK_SHARE = 0.01
"""A sound day has hardly any; one tick in a hundred is minutes of a busy market."""
MAX_CROSSED_SHARE = 0.01
"""Of the contract's own records. Auctions and gaps cross a few books, not one in a hundred."""
QUIET = timedelta(hours=2)
"""How late the first tick of a whole day may be, or how early the last: sessions end with an hour's rest,
until 2012 on Fridays with nearly two, and nights are quiet."""
NEIGHBOUR_DAYS = 7
"""The day before is at most a long weekend away; an older one tells nothing of a roll."""


class Ticks(NamedTuple):
    """What the checks look at: a day's tables, and what one reading of its ticks gives.

    Counts are of ticks. late: earlier than the one before. stray: outside the day. first, last: the
    times of these ticks; None if there are no ticks.
    """

    tables: LakeDay
    kept: int
    late: int
    crossed: int
    stray: int
    bad_books: int
    first: datetime | None
    last: datetime | None

    @classmethod
    def of(cls, tables: LakeDay) -> "Ticks":
        """Read a day's ticks."""
        ts, sequence = pl.col("ts_event"), pl.col("sequence")
        midnight = datetime.combine(tables.day, time(), UTC)
        opens, closes = midnight - BEFORE_MIDNIGHT, midnight + timedelta(days=1)
        counts = tables.scan("clean_ticks").select(
            kept=pl.len(),
            late=((ts < ts.shift()) | ((ts == ts.shift()) & (sequence < sequence.shift()))).sum(),
            crossed=(pl.col("bid_px_00") >= pl.col("ask_px_00")).sum(),
            stray=(~ts.is_between(opens, closes, closed="left")).sum(),
            bad_books=pl.col("is_bad_book").sum(),
            first=ts.min(),
            last=ts.max(),
        )
        return cls(tables, **counts.collect().row(0, named=True))


def ticks_are_in_time_order(ticks: Ticks) -> Finding:
    """No tick is earlier, by (ts_event, sequence), than the one before it."""
    return found(
        f"{counted(ticks.late, 'tick')} earlier than the one before" if ticks.late else "",
        make_again(ticks.tables, "clean_ticks"),
        "ticks rise in (ts_event, sequence)",
        {"late_ticks": ticks.late},
    )


def no_book_is_crossed(ticks: Ticks) -> Finding:
    """Every best bid lies below the best ask."""
    return found(
        f"{counted(ticks.crossed, 'book')} crossed or locked" if ticks.crossed else "",
        make_again(ticks.tables, "clean_ticks"),
        "every best bid lies below the best ask",
        {"crossed_books": ticks.crossed},
    )


def ticks_are_of_the_day(ticks: Ticks) -> Finding:
    """Every tick lies in the UTC day of its file, or in the minute before it."""
    day = ticks.tables.day
    return found(
        f"{counted(ticks.stray, 'tick')} outside {day}" if ticks.stray else "",
        f"get the file of {day} again, split by day: its records or its name are of another day",
        f"every tick lies in {day}",
        {"stray_ticks": ticks.stray},
    )


def ticks_span_the_session(ticks: Ticks) -> Finding:
    """The ticks run from the day's beginning to the session's close, give or take two quiet hours."""
    if ticks.first is None:
        return Finding(True, "no ticks", {"hours_spanned": 0.0})
    opens = datetime.combine(ticks.tables.day, time(), UTC)
    closes = session_close(ticks.tables.day)
    is_whole = ticks.first <= opens + QUIET and ticks.last >= closes - QUIET
    says = f"ticks from {ticks.first:%H:%M} to {ticks.last:%H:%M} UTC"
    return found(
        "" if is_whole else f"{says}, the session closes at {closes:%H:%M}",
        f"the file is not the whole day's, or there was a halt: get it again for {ticks.tables.day}",
        says,
        {"hours_spanned": (ticks.last - ticks.first) / timedelta(hours=1)},
    )


def bad_books_are_rare(ticks: Ticks) -> Finding:
    """Few ticks carry Databento's flag that the book may be bad."""
    share = ticks.bad_books / max(ticks.kept, 1)
    says = f"{share:.2%} of the ticks are flagged as having a bad book"
    return found(
        says if share > MAX_BAD_BOOK_SHARE else "",
        f"over {MAX_BAD_BOOK_SHARE:.0%} the feed had a gap: see Databento's conditions of"
        f" {ticks.tables.day}, and do not trust the day's books",
        says,
        {"bad_book_share": share},
    )


def few_books_were_dropped(ticks: Ticks) -> Finding:
    """Few of the contract's own records were dropped as crossed or locked.

    Other contracts and spreads belong in a file of parent symbology and are not counted.
    """
    facts = ticks.tables.facts("clean_ticks")
    dropped = facts["dropped/crossed_or_locked"]
    share = dropped / (dropped + ticks.kept) if dropped else 0.0
    says = f"{dropped:,} of the contract's records, {share:.2%}, were dropped as crossed or locked"
    return found(
        says if share > MAX_CROSSED_SHARE else "",
        f"over {MAX_CROSSED_SHARE:.0%} the file is suspect: compare"
        f" {facts['files']} with a new download of {ticks.tables.day}",
        says,
        {"crossed_share": share, "crossed_records": dropped},
    )


def front_contract_holds(ticks: Ticks) -> Finding:
    """The contract is that of the nearest earlier day in the lake, or a later one: a roll."""
    tables = ticks.tables
    contract = tables.facts("clean_ticks")["contract"]
    before = _day_before(tables)
    if before is None:
        return Finding(
            True, f"{contract}; no day before {tables.day} to compare with", {"months_rolled": 0}
        )
    try:
        previous = before.facts("clean_ticks")["contract"]
    except UnreadableTable as error:
        return Finding(False, f"cannot be compared: {error}", {"months_rolled": 0})
    months = _expiry_month(contract, tables) - _expiry_month(previous, before)
    says = f"{contract} after {previous} on {before.day}"
    return found(
        f"{says} goes back to an earlier expiry" if months < 0 else "",
        "set MBP10_ROLL to the contract meant, or to `calendar`, and materialise the day again",
        f"{says}: a roll" if months else f"{contract}, as on {before.day}",
        {"months_rolled": months},
    )


def _day_before(tables: LakeDay) -> LakeDay | None:
    """The nearest earlier day in the lake, not more than `NEIGHBOUR_DAYS` away."""
    for days in range(1, NEIGHBOUR_DAYS + 1):
        before = LakeDay(tables.lake, tables.root, tables.day - timedelta(days=days))
        if before.path("clean_ticks").exists():
            return before
    return None


def _expiry_month(contract: str, tables: LakeDay) -> int:
    """Months from year 0 to a contract's expiry."""
    year, month = expiry(contract, tables.root.upper(), tables.day)
    return 12 * year + month
