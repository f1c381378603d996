"""Files of a day that have the same records: they would be counted twice."""

from pathlib import Path

import pytest

from resources.dbn import DbnError, read_dbn
from tests.conftest import DAY
from tests.dbn_files import MAPPING, MIDNIGHT, NEXT_DAY, book_record, header, patched, write

MINUTE = 60_000_000_000


@pytest.mark.parametrize(
    ("number", "minutes", "is_refused"),
    [(42, [0, 5], True), (42, [-9, 0, 10, 20], True), (42, [-9, 0, 0], False)]
    + [(42, [10, 20], False), (42, [2, 7], False), (43, [0, 10], False)],
    ids=["part", "more", "to its first minute", "from its last", "its gaps", "another symbol"],
)
def test_files_with_records_of_one_time_and_symbol_are_refused(
    number, minutes, is_refused, tmp_path
):
    """As of a day delivered twice, under two names."""

    def file(name: str, number: int, minutes: list[int]) -> Path:
        times = [MIDNIGHT + MINUTE * minute for minute in minutes]
        records = [book_record(time, instrument_id=number) for time in times]
        return write(tmp_path / name, header(), MAPPING, *records)

    records = read_dbn(file("a.dbn", 42, [0, 5, 10]), file("b.dbn.zst", number, minutes))
    if is_refused:
        with pytest.raises(DbnError, match=r"b\.dbn\.zst: .* as a\.dbn in .* keep one of the two"):
            list(records)
    else:
        assert sum(batch.height for batch in records) == 5 + len(minutes)


def test_a_symbol_is_the_same_under_another_id(tmp_path):
    """What is kept of a day goes by the symbol: two books under one would be mixed."""
    times, mappings = (MIDNIGHT, MIDNIGHT + 10 * MINUTE), {"ESM5": [(DAY, NEXT_DAY, "4916")]}
    first = write(tmp_path / "a.dbn", header(), *map(book_record, times))
    records = [book_record(time, instrument_id=4916) for time in times]
    second = write(tmp_path / "b.dbn", header(mappings=mappings), *records)
    with pytest.raises(DbnError, match=r"b\.dbn: has books of the same symbol as a\.dbn"):
        list(read_dbn(first, second))


def test_every_file_is_held_against_all_before_it(tmp_path):
    def file(name: str, *minutes: int) -> Path:
        records = [book_record(MIDNIGHT + MINUTE * minute) for minute in minutes]
        return write(tmp_path / name, header(), *records)

    first, second = file("a.dbn", 0, 10), file("b.dbn", 20, 30)
    with pytest.raises(DbnError, match=r"c\.dbn: .*as a\.dbn in 2 minutes between 00:00 and 00:10"):
        list(read_dbn(first, second, file("c.dbn", 0, 10)))


@pytest.mark.parametrize("flag", [0x20, 0x08])
def test_a_time_of_receipt_that_is_none_does_not_count(flag, tmp_path):
    records = [book_record(MIDNIGHT + MINUTE * minute) for minute in (0, 10)]
    path = write(tmp_path / "a.dbn", header(), *records)
    flagged = [patched(record, "flags", flag) for record in records]
    assert len(list(read_dbn(path, write(tmp_path / "b.dbn", header(), *flagged)))) == 2
