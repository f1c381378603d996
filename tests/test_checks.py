"""Checks: a good day passes all, each fails on the fault it is there for, and Dagster heeds them."""

from datetime import date, time, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from kernels.features import OUTCOME, TABLES, VECTOR_DIMS, schema
from kernels.instrument import INSTRUMENTS
from pipeline_assets import checks
from pipeline_assets.checks import CHECKS, Finding, findings, judge
from pipeline_assets.checks.episodes import MIN_EPISODES
from pipeline_assets.order_book import order_book_assets
from pipeline_assets.raw import RAW
from resources.lake import LakeDay, Made, TableMissing, write_table
from resources.simulated import simulate_day
from tests.conftest import DAY, wired
from tests.faults import FAULTS, Fault, all_outcomes, dimension, in_row

ES = INSTRUMENTS["ES"]
FACTS = {"contract": "ESM5", "files": "ES-20250605.dbn.zst", "dropped/crossed_or_locked": 0}
BY_NAME = {check.name: check for check in CHECKS}


@pytest.fixture
def tables(small_lake: Path) -> LakeDay:
    """The good day, for a test to spoil."""
    return LakeDay(small_lake, "es", DAY)


def look(name: str, tables: LakeDay) -> Finding:
    """What a check finds."""
    of_table = findings(tables, BY_NAME[name].table)
    return next(finding for check, finding in of_table if check.name == name)


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
        write_table(Made(pl.DataFrame(schema=schema(table)), FACTS), tables.path(table))
        for check, finding in findings(tables, table):
            assert finding.passed, (check.name, finding.message)


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


def test_a_later_tick_may_have_a_lower_sequence(tables: LakeDay) -> None:
    """As one of a snapshot, which has 0."""
    ticks = tables.scan("clean_ticks").collect()
    later = ticks["ts_event"].diff().dt.total_nanoseconds().arg_max()
    tables.hold("clean_ticks", in_row(later, sequence=0)(ticks))
    assert look("ticks_are_in_time_order", tables).passed


@pytest.mark.parametrize("price", [5_950.0, None])
def test_a_low_may_be_the_high_or_neither_there(price: float | None, tables: LakeDay) -> None:
    levels = tables.scan("session_levels").collect()
    tables.hold("session_levels", levels.with_columns(level_price=pl.lit(price, pl.Float64)))
    assert all(finding.passed for _, finding in findings(tables, "session_levels"))


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


@pytest.mark.parametrize(
    ("outcomes", "is_plausible"),
    [
        ({"CHOP": 19, "WEAK_BREAK": 1}, True),
        ({"CHOP": 39, "WEAK_BREAK": 1}, False),
        ({"CHOP": 15, None: 5}, True),
        ({"CHOP": 14, None: 6}, False),
        ({None: MIN_EPISODES - 1}, True),
        ({None: MIN_EPISODES}, False),
    ],
)
def test_how_much_of_one_outcome_is_too_much(
    tmp_path: Path, outcomes: dict[str | None, int], is_plausible: bool
) -> None:
    tables = LakeDay(tmp_path, "es", DAY)
    each = [outcome for outcome, count in outcomes.items() for _ in range(count)]
    triggers = pl.DataFrame({"outcome": pl.Series(each, dtype=OUTCOME), "is_trigger_bar": True})
    tables.hold("level_episodes", triggers)
    assert BY_NAME["outcomes_are_plausible"].look(tables).passed == is_plausible


def test_an_event_just_before_midnight_belongs_to_the_day(tables: LakeDay) -> None:
    ticks = tables.scan("clean_ticks").collect()
    midnight = ticks["ts_event"].dt.truncate("1d")[0]
    tables.hold(
        "clean_ticks", in_row(0, ts_event=pl.lit(midnight - timedelta(milliseconds=5)))(ticks)
    )
    assert look("ticks_are_of_the_day", tables).passed


def test_a_quiet_while_at_the_days_ends_is_no_fault(tables: LakeDay) -> None:
    """Its first tick comes before 02:00, its last after 20:00, UTC in summer."""
    clock = pl.col("ts_event").dt.time()
    ticks = tables.scan("clean_ticks").filter(clock.is_between(time(1, 30), time(20, 30)))
    tables.hold("clean_ticks", ticks.collect())
    assert look("ticks_span_the_session", tables).passed


def ticks_with(lake: Path, day: date, **facts: str | int) -> LakeDay:
    """A day of which the lake has 99 ticks and these facts."""
    tables = LakeDay(lake, "es", day)
    ticks = pl.DataFrame(schema=schema("clean_ticks")).clear(99)
    write_table(Made(ticks, FACTS | facts), tables.path("clean_ticks"))
    return tables


def test_a_share_of_crossed_books_warns(tmp_path: Path) -> None:
    check = BY_NAME["few_books_were_dropped"]
    assert not check.is_fatal
    others = {"dropped/other_contract": 10**6, "dropped/spread": 10**6}
    tables = ticks_with(tmp_path, DAY, **others | {"dropped/crossed_or_locked": 1})
    assert look(check.name, tables).passed
    tables = ticks_with(tmp_path, DAY, **{"dropped/crossed_or_locked": 2})
    finding = look(check.name, tables)
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
        (7, "ESU5", "ESM5", False, -3, "set MBP10_ROLL"),
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
    finding = look(check.name, ticks_with(tmp_path, DAY, contract=contract))
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
            resources=wired(raw, lake),
            raise_on_error=False,
        )
        made = [event.asset_key.path[1] for event in run.get_asset_materialization_events()]
        evaluations = run.get_asset_check_evaluations()
        failed = {e.check_name: e.severity.value for e in evaluations if not e.passed}
        assert {e.partition for e in evaluations} == {str(DAY)}
    return run.success, made, failed


def test_an_error_refuses_the_table_and_blocks_what_is_downstream(tmp_path: Path) -> None:
    """A file of the day before, named as this day's, becomes neither ticks nor bars."""
    raw = tmp_path / "raw"
    file = raw / "ES" / f"ES-{DAY:%Y%m%d}.dbn.zst"
    simulate_day(file, DAY - timedelta(days=1), events=5_000)
    succeeded, made, failed = materialised(raw, tmp_path / "lake")
    assert not succeeded
    assert made == [RAW, "clean_ticks"]
    assert failed == {"ticks_are_of_the_day": "ERROR", "ticks_span_the_session": "WARN"}
    tables = LakeDay(tmp_path / "lake", "es", DAY)
    assert not tables.path("bar5s").exists()
    assert tables.refused_path("clean_ticks").exists()
    assert [*tables.path("clean_ticks").parent.iterdir()] == []
    with pytest.raises(TableMissing, match=r"clean_ticks/.*parquet was refused by its checks"):
        tables.scan("clean_ticks")

    file.unlink()
    simulate_day(file, DAY, events=5_000)
    materialised(raw, tmp_path / "lake")
    assert tables.path("clean_ticks").exists()
    assert not tables.refused_path("clean_ticks").exists()


def test_a_table_whose_checks_cannot_be_made_is_refused(
    tables: LakeDay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = LakeDay(tmp_path, "es", DAY)
    write_table(Made(tables.scan("session_levels")), own.path("session_levels"))
    broken = CHECKS[0]._replace(table="session_levels", look=lambda _: 1 / 0)
    monkeypatch.setattr(checks, "CHECKS", (broken,))
    with pytest.raises(ZeroDivisionError):
        judge(own, "session_levels")
    assert not own.path("session_levels").exists()
    assert own.refused_path("session_levels").exists()


def test_a_table_to_be_kept_is_named_where_it_will_lie(tables: LakeDay) -> None:
    table = "session_levels"
    tables.hold(table, tables.scan(table).collect().with_columns(level_price=pl.lit(1e9)))
    said = [finding.message for _, finding in findings(tables, table) if not finding.passed]
    assert said
    assert all(f"keep {tables.refused_path(table)} and report it" in message for message in said)


def test_a_warning_blocks_nothing(small_raw: Path, tmp_path: Path) -> None:
    """A contract earlier than that of the day before is an oddity."""
    ticks_with(tmp_path, DAY - timedelta(days=1), contract="ESU5")
    succeeded, made, failed = materialised(small_raw, tmp_path)
    assert succeeded
    assert made == [RAW, *TABLES]
    assert failed == {"front_contract_holds": "WARN"}


def test_a_day_before_that_cannot_be_read_fails_no_day(tmp_path: Path) -> None:
    before = ticks_with(tmp_path, DAY - timedelta(days=1)).path("clean_ticks")
    before.write_bytes(b"damaged")
    finding = look("front_contract_holds", ticks_with(tmp_path, DAY))
    assert not finding.passed
    assert f"cannot be compared: {before} cannot be read" in finding.message
