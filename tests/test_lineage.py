"""Column lineage: complete, and true of what the kernels really read.

A column is put out of joint in the table upstream and the stage is run again: every column that
comes out different must declare it as a source, and every declared source must make a difference.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import time, timedelta

import numpy as np
import polars as pl
import pytest

import kernels
from kernels.features import BOOK_COLUMNS, SIDES, schema
from kernels.instrument import new_york
from pipeline_assets.lineage import sources
from pipeline_assets.stages import STAGES
from tests.conftest import DAY, ticks_of

Tables = dict[str, pl.DataFrame]
READS = {stage.table: stage.reads for stage in STAGES}
OF_UPSTREAM_ROWS = ["bar5s", "session_levels", "approach_features", "setup_vectors"]
"""Tables whose rows follow from times and keys upstream, whatever the prices."""
SECOND = 1_000_000_000
WITHOUT_SOURCE = {"date", "level_type", "polarity", "formed_from", "formed_to", "valid_from"}
"""Columns of session_levels that are constants or follow from the day."""


@pytest.mark.parametrize("table", READS)
def test_every_column_has_sources_upstream(table: str) -> None:
    found = sources(table)
    assert list(found) == schema(table).names()
    for column, names in found.items():
        assert all(of in READS[table] and name in schema(of) for of, name in names), column
    without = {column for column, names in found.items() if not names}
    assert without == {"clean_ticks": set(found), "session_levels": WITHOUT_SOURCE}.get(
        table, set()
    )


@pytest.fixture(scope="module")
def tables(day_file: Callable) -> Tables:
    """The tables of a small day's 08:30 to 11:30 New York, with holes in its ladders and many clears."""
    ticks = ticks_of(day_file(50_000, True))
    opens, closes = new_york(DAY, time(8, 30)), new_york(DAY, time(11, 30))
    ticks = ticks.filter(pl.col("ts_event").is_between(opens, closes))
    rng = np.random.default_rng(0)
    holes = {
        name: ticks[name].set(pl.Series(rng.random(ticks.height) < 0.1), None)
        for side in SIDES
        for name in BOOK_COLUMNS[f"{side}_px"][1:]
    }
    clears = ticks["action"].set(pl.Series(rng.random(ticks.height) < 0.01), "R")
    made = {"clean_ticks": ticks.with_columns(action=clears, **holes)}
    for table in list(READS)[1:]:
        made[table] = run(table, made)
    assert made["setup_vectors"].height > 5
    return made


def run(table: str, made: Tables) -> pl.DataFrame:
    """A stage's table from those upstream."""
    match table:
        case "bar5s":
            return kernels.bar5s(made["clean_ticks"].lazy())
        case "session_levels":
            return kernels.session_levels(made["bar5s"], DAY)
        case "level_episodes":
            return kernels.level_episodes(made["bar5s"], made["session_levels"], DAY)
        case "approach_features":
            return kernels.approach_features(made["level_episodes"])
    return kernels.setup_vectors(made["approach_features"])


def disturbed(column: pl.Series) -> Iterator[pl.Series]:
    """A column with other values of its type, little of it as it was."""
    rng = np.random.default_rng(len(column))
    dtype, n = column.dtype, len(column)
    is_gap = pl.Series(rng.random(n) < 0.3)
    if dtype == pl.Boolean:
        yield ~column
    elif dtype == pl.String:
        yield column.str.replace("5", "6", literal=True)
    elif isinstance(dtype, pl.Enum):
        yield pl.Series(rng.choice(dtype.categories.to_numpy(), n), dtype=dtype)
    elif isinstance(dtype, pl.Datetime):
        yield (column + pl.Series(rng.integers(0, 60, n) * SECOND).cast(pl.Duration("ns"))).sort()
        yield column + timedelta(days=1, minutes=20)
    elif dtype.is_float():
        yield (column * (1 + 1e-3 * rng.standard_normal(n))).set(is_gap, None)
        yield column * 0
    else:
        if dtype.is_signed_integer():
            yield -column
        yield (column.cast(pl.Int64) + rng.integers(0, 90, n)).set(is_gap, 0).cast(dtype)


def nudged(column: pl.Series) -> Iterator[pl.Series]:
    """A column off by so little that no price comes to a level or leaves it."""
    if isinstance(column.dtype, pl.Datetime):
        yield column + timedelta(microseconds=1)
    elif column.dtype.is_float():
        yield column * (1 + 1e-11)
    else:
        yield from disturbed(column)


def moved(table: str, tables: Tables, upstream: str, columns: dict[str, pl.Series]) -> set[str]:
    """The columns of a table that come out different if those upstream do."""
    frame = tables[upstream].with_columns(**columns)
    got, before = run(table, tables | {upstream: frame}), tables[table]
    n = min(got.height, before.height)
    return {name for name in before.columns if not got[name][:n].equals(before[name][:n])}


def dependents(table: str) -> dict[tuple[str, str], set[str]]:
    """Which columns declare each column upstream as a source."""
    found = defaultdict(set)
    for column, names in sources(table).items():
        for source in names:
            found[source].add(column)
    return found


def stem(column: str) -> str:
    """A column's name but for its level or band: no small day reaches each band with each level."""
    return re.sub(r"_(l?\d\d|p\d_\d+)(?=_|$)", "_*", column)


@pytest.mark.parametrize("table", OF_UPSTREAM_ROWS)
def test_sources_are_what_a_column_depends_on(table: str, tables: Tables) -> None:
    declared, seen, meant = dependents(table), set(), set()
    for (upstream, name), columns in declared.items():
        if columns == {name}:
            continue
        for column in disturbed(tables[upstream][name]):
            different = moved(table, tables, upstream, {name: column})
            assert different <= columns, f"{name} of {upstream}"
            seen |= {(stem(name), stem(other)) for other in different}
        meant |= {(stem(name), stem(column)) for column in columns}
    assert seen == meant


@pytest.mark.parametrize("table", OF_UPSTREAM_ROWS)
def test_other_columns_go_no_further(table: str, tables: Tables) -> None:
    """What is no source, or only of the column of its name, changes nothing else."""
    declared = dependents(table)
    for upstream in READS[table]:
        rest = {
            column.name: next(disturbed(column))
            for column in tables[upstream]
            if declared[upstream, column.name] <= {column.name}
        }
        assert moved(table, tables, upstream, rest) == {
            name for name in rest if declared[upstream, name]
        }


def test_sources_of_the_episodes_are_what_they_depend_on(tables: Tables) -> None:
    """Nudges leave the rows as they are, so what moves is computed from what was nudged."""
    declared = dependents("level_episodes")
    for upstream in READS["level_episodes"]:
        for column in tables[upstream]:
            for changed in nudged(column):
                different = moved("level_episodes", tables, upstream, {column.name: changed})
                assert different <= declared[upstream, column.name], column.name
