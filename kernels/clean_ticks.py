"""Raw records to clean ticks: one contract, no crossed book, in time order."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

import polars as pl

from kernels.errors import UnusableDay
from kernels.features import schema
from kernels.instrument import Instrument
from kernels.survey import MBP10_RTYPE, Contract, Survey

FLAGS = {"is_last": 0x80, "is_snapshot": 0x20, "is_bad_ts": 0x08, "is_bad_book": 0x04}

_FIRST_RECORDS = 65_536
"""Records that tell which contract it will be on nearly every day but those of a roll."""

_KEY = ("ts_event", "sequence")
_IS_BOOK = pl.col("rtype") == MBP10_RTYPE
_IS_CROSSED = (pl.col("bid_px_00") >= pl.col("ask_px_00")).fill_null(False)

T = TypeVar("T")


class CleanTicks(NamedTuple, Generic[T]):
    """A day's clean ticks, or what was made of them, and what they leave out.

    contract: the symbol kept.
    dropped: number of records dropped, by reason (`DROP_REASONS`).
    """

    ticks: T
    contract: str
    dropped: dict[str, int]


class Reading:
    """A day's ticks as they are read, assuming a contract and how its records come.

    assumed: the contract; None if nothing is known of it yet, then there are no ticks.
    survey: what there is of every symbol; complete once all batches have been read.
    """

    def __init__(
        self,
        records: Iterable[pl.DataFrame],
        instrument: Instrument,
        day: date,
        assumed: Contract | None,
    ) -> None:
        self._records = records
        self.assumed = assumed
        self.survey = Survey(instrument, day)
        self.is_over = False
        flags = {name: pl.col("flags") & bit != 0 for name, bit in FLAGS.items()}
        source = flags | {"symbol": pl.lit(self.contract)}
        self._columns = [
            source.get(name, pl.col(name)).cast(dtype).alias(name)
            for name, dtype in schema("clean_ticks").items()
        ]

    def batches(self) -> Iterator[pl.DataFrame]:
        """Table `clean_ticks`, batch by batch; no more of it once an assumption proved wrong."""
        if self.assumed is None or self.assumed.lateness is None:
            return self._kept()
        return _in_time_order(self._kept(), self.assumed.lateness)

    def _kept(self) -> Iterator[pl.DataFrame]:
        for batch in self._records:
            self.survey.add(batch)
            if self.assumed is not None and self._is_in_order():
                kept = batch.filter(_IS_BOOK, pl.col("symbol") == self.contract, ~_IS_CROSSED)
                yield kept.select(self._columns)
        self.is_over = True

    def _is_in_order(self) -> bool:
        is_sorted = self.assumed.lateness is not None
        return is_sorted or self.survey.is_in_order(self.contract)

    @property
    def contract(self) -> str:
        """The symbol kept; nothing if none is known yet."""
        return self.assumed.symbol if self.assumed else ""

    @property
    def dropped(self) -> dict[str, int]:
        """Number of records dropped, by reason; complete once all batches have been read."""
        return self.survey.dropped(self.contract)


def collected(reading: Reading) -> pl.DataFrame:
    """All ticks of a reading, in memory."""
    return pl.concat([pl.DataFrame(schema=schema("clean_ticks")), *reading.batches()])


def clean_ticks(
    records: Iterable[pl.DataFrame],
    instrument: Instrument,
    day: date,
    take: Callable[[Reading], T] = collected,
) -> CleanTicks[T]:
    """The records of a day's one contract, sorted by (ts_event, sequence), ties in file order.

    Which contract that is, and whether its records come in order, is known only at the day's end.
    Both are assumed, the contract from the first records, so that the day is read once; where that
    proves wrong it is read again. Memory is a few batches, and the records as old as the most
    belated one if any is late.

    Args:
        records: raw MBP-10 records in batches, as `read_dbn` gives them, from the first one
            whenever iterated anew.
        instrument: the root to keep, and its roll rule.
        day: the trading day, which contract years and expiries are read against.
        take: what to do with the ticks, all batches of which it reads. If the day is read again it
            is called again, and what came of the first call is void.

    Raises:
        UnusableDay: no outright of the root, the named contract absent, no book or only crossed
            ones, or a record without a time.
        ValueError: `take` left batches unread.
    """
    assumed, batches = _likely_contract(records, instrument, day)
    while True:
        reading = Reading(batches, instrument, day, assumed)
        ticks = take(reading)
        if not reading.is_over:
            raise ValueError(f"{take} has to read all batches of the ticks")
        contract = reading.survey.contract()
        if contract == assumed:
            return CleanTicks(ticks, reading.contract, reading.dropped)
        assumed, batches = contract, records


def _likely_contract(
    records: Iterable[pl.DataFrame], instrument: Instrument, day: date
) -> tuple[Contract | None, Iterator[pl.DataFrame]]:
    """The contract to keep by a day's first records, in order, None if they cannot tell.

    With all batches, also those that were looked at.
    """
    batches, seen, first, left = iter(records), [], Survey(instrument, day), _FIRST_RECORDS
    for batch in batches:
        first.add(batch)
        seen.append(batch)
        left -= batch.height
        if left <= 0:
            break
    contract = None
    with suppress(UnusableDay):
        contract = first.contract()._replace(lateness=None)
    return contract, chain(seen, batches)


def _in_time_order(ticks: Iterator[pl.DataFrame], lateness: int) -> Iterator[pl.DataFrame]:
    """Batches stably sorted, none of their rows being more than `lateness` ns older than one before.

    What a record still to come may precede is held back.
    """
    held = None
    for batch in ticks:
        held = batch if held is None else pl.concat([held, batch])
        held = held.sort(_KEY, maintain_order=True)
        times = held["ts_event"].to_physical()
        settled = times.search_sorted(times[-1] - lateness, "left") if held.height else 0
        yield held[:settled]
        held = held[settled:]
    if held is not None:
        yield held
