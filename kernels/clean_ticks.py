"""Raw records to clean ticks: one contract, no crossed book, in time order."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from typing import NamedTuple

import polars as pl

from kernels.errors import UnusableDay
from kernels.features import (
    FLAG_BAD_TS_RECV,
    FLAG_LAST,
    FLAG_MAYBE_BAD_BOOK,
    FLAG_SNAPSHOT,
    INSTANT,
    MBP10_RTYPE,
    schema,
)
from kernels.instrument import Instrument
from kernels.survey import Survey

FLAGS = {
    "is_last": FLAG_LAST,
    "is_snapshot": FLAG_SNAPSHOT,
    "is_bad_ts": FLAG_BAD_TS_RECV,
    "is_bad_book": FLAG_MAYBE_BAD_BOOK,
}

BEFORE_MIDNIGHT = timedelta(minutes=1)
"""Files are cut by receive time, so an event may lie before its file's day, but not by more."""
OLD_SNAPSHOT = pl.duration(seconds=1, time_unit="ns")
"""A snapshot record older than this has an old order's time; events are received in milliseconds."""

_FIRST_RECORDS = 65_536
"""Enough to guess the contract right, except near a roll."""

_KEY = ("ts_event", "sequence")
_IS_BOOK = pl.col("rtype") == MBP10_RTYPE
_IS_CROSSED = (pl.col("bid_px_00") >= pl.col("ask_px_00")).fill_null(False)


class CleanTicks(NamedTuple):
    """A day's clean ticks, and what they leave out.

    contract: the symbol kept.
    dropped: number of records dropped, by reason (`DROP_REASONS`).
    """

    ticks: pl.DataFrame
    contract: str
    dropped: dict[str, int]


class Reading:
    """A day's ticks as they are read, assuming their contract and which of its records come late.

    contract: the symbol kept; "" if none is known yet, then there are no ticks.
    late: the late records that were found, as ticks in file order.
    survey: counts of every symbol's records; complete, like `late`, once all batches have been read.
    """

    def __init__(
        self,
        records: Iterable[pl.DataFrame],
        instrument: Instrument,
        day: date,
        contract: str,
        late: pl.DataFrame,
    ) -> None:
        self._records, self._known_late = records, late
        self.contract, self.late = contract, late.clear()
        self.survey = Survey(instrument, day)
        self.is_over = False
        flags = {name: pl.col("flags") & bit != 0 for name, bit in FLAGS.items()}
        source = flags | {"symbol": pl.lit(contract)}
        self._columns = [
            source.get(name, pl.col(name)).cast(dtype).alias(name)
            for name, dtype in schema("clean_ticks").items()
        ]

    def batches(self) -> Iterator[pl.DataFrame]:
        """Table `clean_ticks`, batch by batch; no more ticks once an assumption has proved wrong."""
        if self._known_late.is_empty():
            return self._in_order()
        return _merged(self._in_order(), self._known_late.sort(_KEY, maintain_order=True))

    def _in_order(self) -> Iterator[pl.DataFrame]:
        """The ticks except those that come late.

        `map` is used here, and wherever batches are passed on, as a loop would hold a batch until
        the next one has been made.
        """
        yield from map(self._ticks_of, self._records)
        self.is_over = True

    def _ticks_of(self, batch: pl.DataFrame) -> pl.DataFrame:
        """A batch's ticks that come in order; none once an assumption has proved wrong."""
        is_late = self.survey.add(batch)
        is_kept = _IS_BOOK & (pl.col("symbol") == self.contract) & ~_IS_CROSSED
        if self.contract and is_late.any():
            late = batch.filter(is_kept, is_late).select(self._columns)
            self.late = self.late.vstack(late)
        if not self.contract or self.late.height > self._known_late.height:
            return self.late.clear()
        return batch.filter(is_kept, ~is_late).select(self._columns)

    @property
    def dropped(self) -> dict[str, int]:
        """Number of records dropped, by reason; complete once all batches have been read."""
        return self.survey.dropped(self.contract)


def clean_ticks(records: Iterable[pl.DataFrame], instrument: Instrument, day: date) -> CleanTicks:
    """The records of one contract of a day, sorted by (ts_event, sequence), ties in file order.

    The last of `readings`, in memory: its Args and Raises hold here. Returns: `CleanTicks`.
    """
    for reading in readings(records, instrument, day):
        ticks = pl.concat([pl.DataFrame(schema=schema("clean_ticks")), *reading.batches()])
    return CleanTicks(ticks, reading.contract, reading.dropped)


def readings(
    records: Iterable[pl.DataFrame], instrument: Instrument, day: date
) -> Iterator[Reading]:
    """Table `clean_ticks` of a day, in batches, read until what a reading assumes proves right.

    Which contract it is of, and which of its records come late, is known only at the day's end. Both
    are assumed (the contract that the first records suggest, no late records) so that the day is read
    once; if that proves wrong, it is read again. Memory is a few batches and the late records.

    Args:
        records: batches of raw MBP-10 records, as from `read_dbn`; iterated more than
            once, so no generator.
        instrument: the root to keep, and its roll rule.
        day: the trading day, which contract years and expiries are read against.

    Returns:
        Readings, each to be read to its end before the next. Keep the ticks of the last, discard
        those of the others.

    Raises:
        UnusableDay: no outright of the root, the named contract absent, no book or only crossed
            ones, a record without a time, or more records without a symbol than the contract has.
        ValueError: batches of a reading were left unread.
    """
    contract, batches = _likely_contract(_timed(records, day), instrument, day)
    late = pl.DataFrame(schema=schema("clean_ticks"))
    while True:
        reading = Reading(batches, instrument, day, contract, late)
        yield reading
        if not reading.is_over:
            raise ValueError("all batches of a reading have to be read before the next one")
        contract = reading.survey.contract()
        if contract == reading.contract and reading.late.height == late.height:
            return
        late = reading.late if contract == reading.contract else late.clear()
        batches = _timed(records, day)


def _timed(records: Iterable[pl.DataFrame], day: date) -> Iterator[pl.DataFrame]:
    """The records in file order, those of snapshots timed by when the snapshot was made.

    That is their `ts_recv`, which is marked as bad. Their `ts_event` and `sequence` are those of an
    order in the book, placed a moment or days before, when the book was not yet known.
    https://databento.com/docs/standards-and-conventions/mbo-snapshot
    """
    midnight = pl.lit(datetime.combine(day, time(), UTC), INSTANT)
    ts, made = pl.col("ts_event"), pl.max_horizontal("ts_event", "ts_recv", midnight)
    is_snapshot, is_bad_ts = (
        pl.col("flags") & bit != 0 for bit in (FLAG_SNAPSHOT, FLAG_BAD_TS_RECV)
    )
    is_moved = is_snapshot & (is_bad_ts | (made - ts > OLD_SNAPSHOT))
    timed = {
        "ts_event": pl.when(is_moved).then(made).otherwise(ts),
        "sequence": pl.when(is_moved).then(0).otherwise("sequence").cast(pl.UInt32),
    }

    def as_timed(batch: pl.DataFrame) -> pl.DataFrame:
        return batch.with_columns(**timed)

    return map(as_timed, records)


def _likely_contract(
    batches: Iterator[pl.DataFrame], instrument: Instrument, day: date
) -> tuple[str, Iterator[pl.DataFrame]]:
    """The contract that a day's first records suggest, "" if none, and all batches.

    The batches include those already read.
    """
    seen, first, left = [], Survey(instrument, day), _FIRST_RECORDS
    for batch in batches:
        first.add(batch)
        seen.append(batch)
        left -= batch.height
        if left <= 0:
            break
    contract = ""
    with suppress(UnusableDay):
        contract = first.contract()
    return contract, chain(seen, batches)


def _merged(ticks: Iterator[pl.DataFrame], late: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Batches in order, with late ticks, sorted, each in its place.

    That is after ticks of an equal key: a late tick follows one of a greater key, and no in-order tick
    after it has a smaller key than that one. Its book is as of its receipt, later events included.
    """
    ts, sequence = pl.col("ts_event").to_physical(), pl.col("sequence")
    for batch in ticks:
        if late.height and batch.height:
            last_ts, last_sequence = batch[-1].select(ts, sequence).row(0)
            is_before = (ts < last_ts) | ((ts == last_ts) & (sequence < last_sequence))
            if due := late.select(is_before.sum()).item():
                batch = pl.concat([batch, late[:due]]).sort(_KEY, maintain_order=True)
                late = late[due:]
        yield batch
