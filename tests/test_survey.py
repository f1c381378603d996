"""Which contract a day keeps, by the roll rules, and what is dropped for it."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels
from kernels.instrument import Instrument
from kernels.survey import expiry
from resources.dbn import SCHEMA
from tests import oracle
from tests.compare import plain_rows
from tests.conftest import DAY
from tests.dbn_files import plain_records
from tests.seeded import SEEDED

ES = Instrument("ES")


def of_volumes(volumes: dict[str, int]) -> pl.DataFrame:
    """A record a symbol, in the dict's order: a trade of that size, or an add of 9 for 0."""
    return plain_records(list(volumes)).with_columns(
        size=pl.Series([volume or 9 for volume in volumes.values()], dtype=pl.UInt32),
        action=pl.Series(
            ["T" if volume else "A" for volume in volumes.values()], dtype=SCHEMA["action"]
        ),
    )


@pytest.mark.parametrize(
    ("volumes", "contract"),
    [
        ({"ESM5": 3, "ESU5": 5, "ESZ5": 4}, "ESU5"),
        ({"ESU5": 5, "ESM5": 5}, "ESM5"),
        ({"ESH6": 0, "ESZ5": 0, "ESU5": 0}, "ESU5"),
        ({"ESM5-ESU5": 9, "NQM5": 9, "ESM5": 0, "ESU5": 1}, "ESU5"),
    ],
    ids=["most traded", "tie", "no trade", "only outrights count"],
)
def test_the_most_traded_outright_is_kept(volumes, contract):
    assert kernels.clean_ticks([of_volumes(volumes)], ES, DAY).contract == contract


@pytest.mark.parametrize(
    ("day", "contract"),
    [
        (date(2025, 5, 31), "ESM5"),
        (date(2025, 6, 1), "ESU5"),
        (date(2025, 8, 31), "ESU5"),
        (date(2025, 9, 1), "ESH6"),
    ],
)
def test_calendar_roll_is_on_the_first_of_the_expiry_month(day, contract):
    records = of_volumes({"ESH6": 1, "ESM5": 9, "ESU5": 1})
    assert (
        kernels.clean_ticks([records], Instrument("ES", roll="calendar"), day).contract == contract
    )


def test_named_contract_is_kept_though_less_traded():
    records = of_volumes({"ESM5": 9, "ESU5": 1})
    kept = kernels.clean_ticks([records], Instrument("ES", roll="ESU5"), DAY)
    assert kept.contract == "ESU5"
    assert kept.ticks["symbol"].to_list() == ["ESU5"]
    assert kept.dropped["other_contract"] == 1


@pytest.mark.parametrize(
    ("symbol", "day", "expected"),
    [
        ("ESM5", date(2025, 6, 30), (2025, 6)),
        ("ESM5", date(2025, 7, 1), (2035, 6)),
        ("ESH0", date(2029, 12, 3), (2030, 3)),
        ("ESZ9", date(2029, 12, 3), (2029, 12)),
        ("ESZ9", date(2030, 1, 2), (2039, 12)),
        ("ESH30", date(2029, 12, 3), (2030, 3)),
        ("ESH25", date(2025, 6, 5), (2125, 3)),
        ("ESH00", date(2099, 12, 1), (2100, 3)),
        ("ESM5-ESU5", DAY, None),
        ("ESM125", DAY, None),
        ("ESA5", DAY, None),
        ("MESM5", DAY, None),
        ("ES", DAY, None),
        ("ESM\u0665", DAY, None),
    ],
)
def test_expiry_is_the_first_one_not_before_the_day(symbol, day, expected):
    assert expiry(symbol, "ES", day) == expected


def test_nearest_expiry_is_told_across_a_decade():
    records = of_volumes({"ESH0": 1, "ESZ9": 1, "ESH1": 1})
    kept = kernels.clean_ticks([records], Instrument("ES", roll="calendar"), date(2029, 12, 3))
    assert kept.contract == "ESH0"


def test_other_record_types_are_neither_books_nor_trades():
    """Though they be of an outright and look like large trades in a locked book."""
    records = plain_records(["ESM5", "ESU5", "ESM5", "ESU5"]).with_columns(
        rtype=pl.Series([10, 10, 1, 1], dtype=SCHEMA["rtype"]),
        size=pl.Series([2, 1, 9, 99], dtype=SCHEMA["size"]),
        bid_px_00=pl.Series([None, None, 5950.0, 5950.0]),
        ask_px_00=pl.Series([None, None, 5950.0, 5950.0]),
    )
    kept = kernels.clean_ticks([records], ES, DAY)
    assert kept.contract == "ESM5"
    assert {reason: n for reason, n in kept.dropped.items() if n} == {
        "other_rtype": 2,
        "other_contract": 1,
    }


@pytest.mark.parametrize("roll", ["volume", "calendar"])
def test_a_contract_without_books_is_not_chosen(roll):
    """Though it be the nearest one."""
    rtypes = pl.Series([1, 10], dtype=SCHEMA["rtype"])
    records = plain_records(["ESM5", "ESU5"]).with_columns(rtype=rtypes)
    kept = kernels.clean_ticks([records], Instrument("ES", roll=roll), date(2025, 5, 5))
    assert kept.contract == "ESU5"
    assert kept.dropped["other_rtype"] == 1


def test_a_day_without_books_is_unusable():
    records = plain_records(["ESM5"]).with_columns(rtype=pl.Series([1], dtype=SCHEMA["rtype"]))
    with pytest.raises(kernels.UnusableDay, match="ESM5 has no record of a book; request schema"):
        kernels.clean_ticks([records], ES, DAY)


def test_records_of_other_contracts_need_no_time():
    records = of_volumes({"ESM5": 5, "ESU5": 1}).with_columns(
        ts_event=pl.when(pl.col("symbol") == "ESM5").then("ts_event")
    )
    assert kernels.clean_ticks([records], ES, DAY).ticks["symbol"].to_list() == ["ESM5"]


SYMBOLS = ["ESH5", "ESM5", "ESM25", "ESU5", "ESZ5", "ESH6", "ESH0", "NQM5", "ESM5-ESU5"]


@settings(SEEDED, max_examples=80)
@given(
    volumes=st.dictionaries(st.sampled_from(SYMBOLS), st.integers(0, 2), min_size=1, max_size=6),
    roll=st.sampled_from(["volume", "calendar", "ESM5", "ESM25"]),
    day=st.sampled_from([date(2025, 3, 31), date(2025, 6, 5), date(2029, 12, 31)]),
)
def test_chooses_as_the_oracle_does(volumes, roll, day):
    records = of_volumes(volumes)
    rows = plain_rows(records)
    try:
        slow_ticks, slow_dropped = oracle.clean_ticks(rows, "ES", roll, day)
    except ValueError:
        with pytest.raises(kernels.UnusableDay):
            kernels.clean_ticks([records], Instrument("ES", roll=roll), day)
    else:
        kept = kernels.clean_ticks([records], Instrument("ES", roll=roll), day)
        assert kept.contract == slow_ticks[0]["symbol"]
        assert kept.dropped == slow_dropped
