"""When the orders of a snapshot are: as it was made, since no order of it is news."""

from collections.abc import Iterable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels
from kernels.clean_ticks import FLAGS
from kernels.instrument import Instrument
from resources.dbn import SCHEMA
from tests import oracle
from tests.compare import assert_same, plain_rows
from tests.conftest import DAY
from tests.dbn_files import MIDNIGHT, plain_records
from tests.seeded import SEEDED

SECOND = 1_000_000_000
NOON = MIDNIGHT + 43_200 * SECOND


def ticks_of(records: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The clean ticks of records, in batches."""
    return kernels.clean_ticks(records, Instrument("ES"), DAY).ticks


@pytest.mark.parametrize(
    ("event", "received", "expected"),
    [
        (NOON - SECOND - 1, NOON, NOON),
        (NOON - SECOND, NOON, NOON - SECOND),
        (NOON, NOON - 3 * SECOND, NOON),
        (MIDNIGHT - 86_400 * SECOND, MIDNIGHT, MIDNIGHT),
        (MIDNIGHT - SECOND - 1, None, MIDNIGHT),
        (MIDNIGHT - SECOND, None, MIDNIGHT - SECOND),
    ],
)
def test_a_snapshot_of_old_orders_is_of_when_it_was_made(event, received, expected):
    """No other record's time is touched, to the nanosecond."""
    snapshot = FLAGS["is_snapshot"]
    records = plain_records(["ESM5"] * 2).with_columns(
        ts_event=pl.Series([event, event]).cast(SCHEMA["ts_event"]),
        ts_recv=pl.Series([received, received], dtype=pl.Int64).cast(SCHEMA["ts_recv"]),
        flags=pl.Series([snapshot, 0xFF - snapshot], dtype=SCHEMA["flags"]),
    )
    ticks = ticks_of([records]).sort("is_snapshot")
    assert ticks["ts_event"].to_physical().to_list() == [event, expected]


def test_a_snapshot_in_mid_day_is_not_seen_before_it_was_made():
    """Of what happened meanwhile, each tick has its own book, and the snapshot's comes last."""
    times = [NOON, NOON + 20 * SECOND, NOON - 7_200 * SECOND]
    received = [NOON, NOON + 20 * SECOND, NOON + 30 * SECOND]
    records = plain_records(["ESM5"] * 3).with_columns(
        ts_event=pl.Series(times).cast(SCHEMA["ts_event"]),
        ts_recv=pl.Series(received).cast(SCHEMA["ts_recv"]),
        flags=pl.Series([0, 0, FLAGS["is_snapshot"]], dtype=SCHEMA["flags"]),
        size=pl.int_range(3, dtype=pl.UInt32),
    )
    ticks = ticks_of([records])
    assert ticks["size"].to_list() == [0, 1, 2]
    assert ticks["ts_event"].to_physical().to_list() == received


def test_a_snapshot_is_in_the_order_it_was_made_in():
    """Its orders have times and sequences of their own; before it comes what was, after it what is."""
    made = NOON + 30 * SECOND
    of_snapshot = FLAGS["is_snapshot"] | FLAGS["is_bad_ts"]
    orders = [(made, 0), (made - 7_200 * SECOND, 752), (made - 1, 9_000), (made - 60 * SECOND, 100)]
    rows = [
        (NOON, 5, NOON, 0),
        *((event, sequence, made, of_snapshot) for event, sequence in orders),
        (made, 9_001, made + 1, 0),
    ]
    events, sequences, received, flags = zip(*rows, strict=True)
    records = plain_records(["ESM5"] * len(rows)).with_columns(
        ts_event=pl.Series(events).cast(SCHEMA["ts_event"]),
        sequence=pl.Series(sequences, dtype=pl.UInt32),
        ts_recv=pl.Series(received).cast(SCHEMA["ts_recv"]),
        flags=pl.Series(flags, dtype=SCHEMA["flags"]),
        size=pl.int_range(len(rows), dtype=pl.UInt32),
    )
    ticks = ticks_of([records])
    assert ticks["size"].to_list() == list(range(len(rows)))
    assert ticks["ts_event"].to_physical().to_list() == [NOON, *[made] * 5]
    assert ticks["sequence"].to_list() == [5, 0, 0, 0, 0, 9_001]


A_TIME = st.builds(
    lambda around, seconds, ns: around + seconds * SECOND + ns,
    st.sampled_from([MIDNIGHT, NOON]),
    st.integers(-3, 3),
    st.integers(-1, 1),
)


@settings(SEEDED, max_examples=200)
@given(
    rows=st.lists(
        st.tuples(
            A_TIME,
            st.none() | A_TIME,
            st.sampled_from([0, 0x20, 0x28, 0xA8, 0xD7]),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=12,
    ),
    size=st.integers(1, 12),
)
def test_times_and_their_order_are_the_oracles(rows, size):
    """Of records now and then, some of them of snapshots."""
    events, received, flags, sequences = zip(*rows, strict=True)
    records = plain_records(["ESM5"] * len(rows)).with_columns(
        ts_event=pl.Series(events).cast(SCHEMA["ts_event"]),
        ts_recv=pl.Series(received, dtype=pl.Int64).cast(SCHEMA["ts_recv"]),
        flags=pl.Series(flags, dtype=SCHEMA["flags"]),
        sequence=pl.Series(sequences, dtype=pl.UInt32),
        size=pl.int_range(len(rows), dtype=pl.UInt32),
    )
    slow_ticks, _ = oracle.clean_ticks(plain_rows(records), "ES", "volume", DAY)
    assert_same(ticks_of([*records.iter_slices(size)]), slow_ticks, "clean_ticks")
