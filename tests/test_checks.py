"""Checks: a good day passes all, each fails on the fault it is there for, and Dagster heeds them."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import polars as pl
import pytest

from kernels.features import OUTCOME, TABLES, VECTOR_DIMS, schema
from kernels.instrument import INSTRUMENTS
from pipeline_assets.checks import CHECKS, Finding, findings
from pipeline_assets.checks.episodes import MIN_EPISODES
from pipeline_assets.order_book import RawFolder, order_book_assets
from pipeline_assets.panel import PanelLake
from resources.lake import LakeDay, table_path, write_table
from resources.simulated import simulate_day
from tests.conftest import DAY

ES = INSTRUMENTS["ES"]
FACTS = {"contract": "ESM5", "files": "ES-20250605.dbn.zst", "dropped/crossed_or_locked": 0}
BY_NAME = {check.name: check for check in CHECKS}


@pytest.fixture
def tables(small_lake: Path) -> LakeDay:
    """The good day, for a test to spoil."""
    return LakeDay(small_lake, "es", DAY)


def look(name: str, tables: LakeDay) -> Finding:
    """What a check finds."""
    return BY_NAME[name].look(tables)


def test_a_good_day_passes_every_check(tables: LakeDay) -> None:
    found = [entry for table in TABLES for entry in findings(tables, table)]
    assert [check for check, _ in found] == list(CHECKS)
    failed = {check.name: finding.message for check, finding in found if not finding.passed}
    assert failed == {}
    assert all(finding.message for _, finding in found)
    assert look("no_dimension_is_constant", tables).message == "every dimension varies"


def test_empty_tables_pass(tmp_path: Path) -> None:
    tables = LakeDay(tmp_path, "es", DAY)
    for table in TABLES:
        write_table(pl.LazyFrame(schema=schema(table)), tables.path(table), FACTS)
        for check, finding in findings(tables, table):
            assert finding.passed, (check.name, finding.message)


class Fault(NamedTuple):
    """A way to spoil a table, and what the check that sees it must say."""

    check: str
    is_fatal: bool
    table: str
    spoil: Callable[[pl.DataFrame], pl.DataFrame]
    says: tuple[str, ...]


def in_row(row: int, **values: pl.Expr | object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Other values in one row."""

    def spoil(frame: pl.DataFrame) -> pl.DataFrame:
        is_row = pl.int_range(pl.len()) == row
        return frame.with_columns(
            pl.when(is_row).then(value).otherwise(name).cast(frame.schema[name]).alias(name)
            for name, value in values.items()
        )

    return spoil


def swap_ticks(ticks: pl.DataFrame) -> pl.DataFrame:
    """Two ticks in the wrong order."""
    return pl.concat([ticks[:100], ticks[101:102], ticks[100:101], ticks[102:]])


def dimension(number: int, value: float) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """One dimension of all vectors with the same value."""

    def spoil(vectors: pl.DataFrame) -> pl.DataFrame:
        matrix = vectors["vector"].to_numpy().copy()
        matrix[:, number] = value
        return vectors.with_columns(vector=pl.Series(matrix, dtype=vectors.schema["vector"]))

    return spoil


def all_outcomes(value: str | None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Every episode with the same outcome."""
    return lambda frame: frame.with_columns(outcome=pl.lit(value, OUTCOME))


AGAIN = "materialise {table} of 2025-06-05 again"

FAULTS = [
    Fault(
        "ticks_are_in_time_order",
        True,
        "clean_ticks",
        swap_ticks,
        ("1 ticks are earlier", AGAIN, "clean_ticks/2025-06-05.parquet"),
    ),
    Fault(
        "ticks_are_in_time_order",
        True,
        "clean_ticks",
        lambda t: t.with_columns(ts_event=pl.lit(t["ts_event"][0])).sort("sequence").reverse(),
        ("ticks are earlier",),
    ),
    Fault(
        "no_book_is_crossed",
        True,
        "clean_ticks",
        in_row(7, bid_px_00=pl.col("ask_px_00")),
        ("1 books are crossed or locked", AGAIN),
    ),
    Fault(
        "ticks_are_of_the_day",
        True,
        "clean_ticks",
        in_row(0, ts_event=pl.col("ts_event") - timedelta(hours=1)),
        ("1 ticks lie outside 2025-06-05", "get the file of 2025-06-05 anew"),
    ),
    Fault(
        "ticks_are_of_the_day",
        True,
        "clean_ticks",
        in_row(50, ts_event=pl.col("ts_event") + timedelta(days=1)),
        ("1 ticks lie outside 2025-06-05",),
    ),
    Fault(
        "bad_books_are_rare",
        False,
        "clean_ticks",
        lambda t: t.with_columns(is_bad_book=pl.int_range(pl.len()) % 50 == 0),
        ("2.00% of the ticks are flagged", "over 1%", "Databento's conditions of 2025-06-05"),
    ),
    Fault(
        "grid_is_gapless",
        True,
        "bar5s",
        lambda bars: pl.concat([bars[:500], bars[501:]]),
        ("1 bars do not follow the one before by 5 s", AGAIN),
    ),
    Fault(
        "ticks_are_conserved",
        True,
        "bar5s",
        in_row(9_000, bar5s_trade_vol_sum=pl.col("bar5s_trade_vol_sum") + 3),
        ("trade_vol is", "in the ticks and", "in the bars", AGAIN),
    ),
    Fault(
        "ticks_are_conserved",
        True,
        "clean_ticks",
        lambda t: t[:-1],
        ("meta_msg_cnt is", AGAIN),
    ),
    Fault(
        "volumes_balance",
        True,
        "bar5s",
        in_row(40, bar5s_trade_signed_vol_sum=pl.col("bar5s_trade_signed_vol_sum") + 1),
        ("signed_volume does not balance in 1 bars", AGAIN),
    ),
    Fault(
        "volumes_balance",
        True,
        "bar5s",
        in_row(40, bar5s_flow_net_vol_ask_p1_2_sum=-1e6),
        ("net_flow does not balance in 1 bars", AGAIN),
    ),
    Fault(
        "lows_lie_below_highs",
        True,
        "session_levels",
        in_row(1, level_price=9_999.0),
        ("PM_LOW 9999.0 is above its high", AGAIN),
    ),
    Fault(
        "lows_lie_below_highs",
        True,
        "session_levels",
        in_row(2, level_price=1.0),
        ("OR_LOW", "is above its high"),
    ),
    Fault(
        "levels_lie_in_the_days_range",
        True,
        "session_levels",
        in_row(0, level_price=9_999.0),
        ("PM_HIGH 9999.0 outside the day's", AGAIN),
    ),
    Fault(
        "levels_lie_in_the_days_range",
        True,
        "bar5s",
        lambda bars: bars.clear(),
        ("PM_HIGH", "outside the day's None"),
    ),
    Fault(
        "one_trigger_an_episode",
        True,
        "level_episodes",
        in_row(0, is_trigger_bar=True),
        ("1 episodes have no trigger bar, several", "2025-06-05_ESM5_", AGAIN),
    ),
    Fault(
        "one_trigger_an_episode",
        True,
        "level_episodes",
        lambda episodes: episodes.filter(~pl.col("is_trigger_bar")),
        ("have no trigger bar",),
    ),
    Fault(
        "bars_run_through_the_trigger",
        True,
        "level_episodes",
        lambda episodes: pl.concat([episodes[:20], episodes[21:]]),
        ("1 episodes have bars that do not follow one another", AGAIN),
    ),
    Fault(
        "outcomes_are_plausible",
        False,
        "level_episodes",
        all_outcomes("CHOP"),
        ("100% of", "episodes are CHOP", "look at the day's price"),
    ),
    Fault(
        "outcomes_are_plausible",
        False,
        "level_episodes",
        all_outcomes(None),
        ("100% of", "have no outcome", "raw file ends early"),
    ),
    Fault(
        "rows_are_those_of_the_episodes",
        True,
        "approach_features",
        lambda approach: approach[1:],
        ("approach_features has", "rows, level_episodes", AGAIN),
    ),
    Fault(
        "rows_are_those_of_the_episodes",
        True,
        "approach_features",
        lambda approach: approach.reverse(),
        ("are not those of level_episodes", AGAIN),
    ),
    Fault(
        "one_vector_an_episode",
        True,
        "setup_vectors",
        lambda vectors: vectors[1:],
        ("vectors for", "episodes", AGAIN),
    ),
    Fault(
        "one_vector_an_episode",
        True,
        "setup_vectors",
        lambda vectors: vectors.reverse(),
        ("are not of the episodes of approach_features",),
    ),
    *(
        Fault(
            "vectors_are_finite",
            True,
            "setup_vectors",
            dimension(5, value),
            ("not finite", VECTOR_DIMS[5].name, AGAIN),
        )
        for value in (float("nan"), float("inf"))
    ),
    Fault(
        "vectors_are_finite",
        True,
        "setup_vectors",
        in_row(3, vector=None),
        ("not finite", VECTOR_DIMS[0].name, VECTOR_DIMS[-1].name),
    ),
    Fault(
        "no_dimension_is_constant",
        False,
        "setup_vectors",
        dimension(5, 1.5),
        ("the same in all", f": {VECTOR_DIMS[5].name};", "bars of 2025-06-05"),
    ),
]


@pytest.mark.parametrize(
    "fault", FAULTS, ids=[f"{n}-{fault.check}" for n, fault in enumerate(FAULTS)]
)
def test_a_fault_is_found_and_said(fault: Fault, tables: LakeDay) -> None:
    tables.hold(fault.table, fault.spoil(tables.scan(fault.table).collect()))
    check, finding = BY_NAME[fault.check], look(fault.check, tables)
    assert not finding.passed
    assert check.is_fatal == fault.is_fatal
    for words in fault.says:
        assert words.format(table=check.table) in finding.message
    assert any(finding.figures.values())


def test_every_check_has_a_fault() -> None:
    elsewhere = {"few_books_were_dropped", "front_contract_holds"}
    assert {fault.check for fault in FAULTS} | elsewhere == set(BY_NAME)


def test_a_flag_may_be_the_same_all_day(tables: LakeDay) -> None:
    names = [dimension.name for dimension in VECTOR_DIMS]
    flag = names.index("setup_bid_wall_appeared")
    vectors = tables.scan("setup_vectors").collect()
    tables.hold("setup_vectors", dimension(flag, 0.0)(vectors))
    assert look("no_dimension_is_constant", tables).passed


def test_few_episodes_are_not_judged(tables: LakeDay) -> None:
    few = MIN_EPISODES - 1
    vectors = tables.scan("setup_vectors").collect()
    tables.hold("setup_vectors", dimension(5, 1.5)(vectors)[:few])
    assert look("no_dimension_is_constant", tables).passed
    episodes = all_outcomes("CHOP")(tables.scan("level_episodes").collect())
    tables.hold("level_episodes", episodes.filter(episode_id=vectors["episode_id"][0]))
    assert look("outcomes_are_plausible", tables).passed


def test_an_event_just_before_midnight_belongs_to_the_day(tables: LakeDay) -> None:
    ticks = tables.scan("clean_ticks").collect()
    midnight = ticks["ts_event"].dt.truncate("1d")[0]
    tables.hold(
        "clean_ticks", in_row(0, ts_event=pl.lit(midnight - timedelta(milliseconds=5)))(ticks)
    )
    assert look("ticks_are_of_the_day", tables).passed


def ticks_with(lake: Path, day: date, **facts: str | int) -> LakeDay:
    """A day of which the lake has 99 ticks and these facts."""
    tables = LakeDay(lake, "es", day)
    ticks = pl.DataFrame({"is_bad_book": [False] * 99})
    write_table(ticks.lazy(), tables.path("clean_ticks"), FACTS | facts)
    return tables


def test_a_share_of_crossed_books_warns(tmp_path: Path) -> None:
    check = BY_NAME["few_books_were_dropped"]
    assert not check.is_fatal
    others = {"dropped/other_contract": 10**6, "dropped/spread": 10**6}
    tables = ticks_with(tmp_path, DAY, **others | {"dropped/crossed_or_locked": 1})
    assert check.look(tables).passed
    tables = ticks_with(tmp_path, DAY, **{"dropped/crossed_or_locked": 2})
    finding = check.look(tables)
    assert not finding.passed
    assert finding.figures == {"crossed_share": 2 / 101, "crossed_records": 2}
    for words in ("2 of the contract's records, 1.98%", "ES-20250605.dbn.zst", "new download"):
        assert words in finding.message


@pytest.mark.parametrize(
    ("days_before", "previous", "contract", "passed", "months", "says"),
    [
        (1, "ESM5", "ESM5", True, 0, "ESM5, as on 2025-06-04"),
        (1, "ESM5", "ESU5", True, 3, "ESU5 after ESM5 on 2025-06-04: a roll"),
        (1, "ESZ5", "ESH6", True, 3, "a roll"),
        (1, "ESU5", "ESM5", False, -3, "ESM5 after ESU5 on 2025-06-04 goes back"),
        (5, "ESU5", "ESM5", False, -3, "set `roll`"),
        (8, "ESU5", "ESM5", True, 0, "no day before 2025-06-05"),
    ],
)
def test_the_contract_of_the_day_before(
    tmp_path: Path,
    days_before: int,
    previous: str,
    contract: str,
    passed: bool,
    months: int,
    says: str,
) -> None:
    check = BY_NAME["front_contract_holds"]
    assert not check.is_fatal
    ticks_with(tmp_path, DAY - timedelta(days=days_before), contract=previous)
    finding = check.look(ticks_with(tmp_path, DAY, contract=contract))
    assert finding.passed == passed
    assert finding.figures == {"months_rolled": months}
    assert says in finding.message


def materialised(raw: Path, lake: Path) -> tuple[bool, list[str], dict[str, str]]:
    """Materialise the day through Dagster.

    Returns:
        Whether the run succeeded, the tables made, and how bad each failed check is.
    """
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize(
            order_book_assets(ES),
            partition_key=str(DAY),
            instance=instance,
            resources={
                "raw": RawFolder(folder=str(raw)),
                "io_manager": PanelLake(base_dir=str(lake)),
            },
            raise_on_error=False,
        )
        made = [event.asset_key.path[1] for event in run.get_asset_materialization_events()]
        evaluations = run.get_asset_check_evaluations()
        failed = {e.check_name: e.severity.value for e in evaluations if not e.passed}
        assert {e.partition for e in evaluations} == {str(DAY)}
    return run.success, made, failed


def test_an_error_blocks_what_is_downstream(tmp_path: Path) -> None:
    """A file of the day before, named as this day's, does not become bars."""
    raw = tmp_path / "raw"
    simulate_day(raw / "ES" / f"ES-{DAY:%Y%m%d}.dbn.zst", DAY - timedelta(days=1), events=5_000)
    succeeded, made, failed = materialised(raw, tmp_path / "lake")
    assert not succeeded
    assert made == ["clean_ticks"]
    assert failed == {"ticks_are_of_the_day": "ERROR"}
    assert not table_path(tmp_path / "lake", "es", "bar5s", DAY).exists()


def test_a_warning_blocks_nothing(small_raw: Path, tmp_path: Path) -> None:
    """A contract earlier than that of the day before is an oddity."""
    ticks_with(tmp_path, DAY - timedelta(days=1), contract="ESU5")
    succeeded, made, failed = materialised(small_raw, tmp_path)
    assert succeeded
    assert made == list(TABLES)
    assert failed == {"front_contract_holds": "WARN"}
