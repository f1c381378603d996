"""Checks of clean_ticks: order, books, what was dropped, the contract kept."""

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from kernels.survey import expiry
from pipeline_assets.checks.finding import Finding, found, make_again
from pipeline_assets.words import counted
from resources.lake import LakeDay

MAX_BAD_BOOK_SHARE = 0.01
"""A sound day has hardly any; one tick in a hundred is minutes of a busy market."""
MAX_CROSSED_SHARE = 0.01
"""Of the contract's own records. Auctions and gaps cross a few books, not one in a hundred."""
MAX_BEYOND_MIDNIGHT = timedelta(minutes=1)
"""Files are cut by receive time, so an event may lie just before midnight, but not far."""
NEIGHBOUR_DAYS = 7
"""The day before is at most a long weekend away; an older one tells nothing of a roll."""


class _Census(NamedTuple):
    """What the checks ask of a day's ticks; counts are of ticks.

    late: earlier than the one before. stray: outside the day.
    """

    ticks: int
    late: int
    crossed: int
    stray: int
    bad_books: int


@lru_cache(maxsize=1)
def _census(tables: LakeDay) -> _Census:
    """A day's ticks as they are when first asked for: read once for all checks, not once for each."""
    ts, sequence = pl.col("ts_event"), pl.col("sequence")
    midnight = datetime.combine(tables.day, time(), UTC)
    opens, closes = midnight - MAX_BEYOND_MIDNIGHT, midnight + timedelta(days=1)
    counts = tables.scan("clean_ticks").select(
        ticks=pl.len(),
        late=((ts < ts.shift()) | ((ts == ts.shift()) & (sequence < sequence.shift()))).sum(),
        crossed=(pl.col("bid_px_00") >= pl.col("ask_px_00")).sum(),
        stray=(~ts.is_between(opens, closes, closed="left")).sum(),
        bad_books=pl.col("is_bad_book").sum(),
    )
    return _Census(**counts.collect().row(0, named=True))


def ticks_are_in_time_order(tables: LakeDay) -> Finding:
    """No tick is earlier, by (ts_event, sequence), than the one before it."""
    late = _census(tables).late
    return found(
        f"{counted(late, 'tick')} earlier than the one before" if late else "",
        make_again(tables, "clean_ticks"),
        "ticks rise in (ts_event, sequence)",
        {"late_ticks": late},
    )


def no_book_is_crossed(tables: LakeDay) -> Finding:
    """Every best bid lies below the best ask."""
    crossed = _census(tables).crossed
    return found(
        f"{counted(crossed, 'book')} crossed or locked" if crossed else "",
        make_again(tables, "clean_ticks"),
        "every best bid lies below the best ask",
        {"crossed_books": crossed},
    )


def ticks_are_of_the_day(tables: LakeDay) -> Finding:
    """Every tick lies in the UTC day of its file, but for a minute's delay across midnight."""
    stray = _census(tables).stray
    return found(
        f"{counted(stray, 'tick')} outside {tables.day}" if stray else "",
        f"get the file of {tables.day} anew, its records or its name are of another day",
        f"every tick lies in {tables.day}",
        {"stray_ticks": stray},
    )


def bad_books_are_rare(tables: LakeDay) -> Finding:
    """Few ticks carry Databento's flag that the book may be bad."""
    census = _census(tables)
    share = census.bad_books / max(census.ticks, 1)
    says = f"{share:.2%} of the ticks are flagged as having a bad book"
    return found(
        says if share > MAX_BAD_BOOK_SHARE else "",
        f"over {MAX_BAD_BOOK_SHARE:.0%} the feed had a gap: see Databento's conditions of"
        f" {tables.day}, and do not trust the day's books",
        says,
        {"bad_book_share": share},
    )


def few_books_were_dropped(tables: LakeDay) -> Finding:
    """Few of the contract's own records were dropped as crossed or locked.

    Other contracts and spreads belong in a file of parent symbology and are not counted.
    """
    facts = tables.facts("clean_ticks")
    dropped = facts["dropped/crossed_or_locked"]
    share = dropped / (dropped + _census(tables).ticks) if dropped else 0.0
    says = f"{dropped:,} of the contract's records, {share:.2%}, were dropped as crossed or locked"
    return found(
        says if share > MAX_CROSSED_SHARE else "",
        f"over {MAX_CROSSED_SHARE:.0%} the file is suspect: compare"
        f" {facts['files']} with a new download of {tables.day}",
        says,
        {"crossed_share": share, "crossed_records": dropped},
    )


def front_contract_holds(tables: LakeDay) -> Finding:
    """The contract is that of the day before, or a later one: a roll."""
    contract = tables.facts("clean_ticks")["contract"]
    before = _day_before(tables)
    if before is None:
        return Finding(
            True, f"{contract}; no day before {tables.day} to compare with", {"months_rolled": 0}
        )
    previous = before.facts("clean_ticks")["contract"]
    months = _expiry_month(contract, tables) - _expiry_month(previous, before)
    says = f"{contract} after {previous} on {before.day}"
    return found(
        f"{says} goes back to an earlier expiry" if months < 0 else "",
        "set `roll` of the raw folder to the contract meant, or to `calendar`, and materialise"
        " the day again",
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
