"""The catalogue, and docs/features.md, which is written from it."""

import re
from collections.abc import Iterator
from dataclasses import fields

import pytest

from kernels.features import (
    FAMILIES,
    NEAR_BANDS,
    SOURCES,
    TABLES,
    UNITS,
    VECTOR_DIMS,
    Column,
)
from pipeline_assets import features_page
from pipeline_assets.features_page import PAGE, PLACEHOLDERS, fold, page

COLUMNS = {
    "clean_ticks": 76,
    "bar5s": 258,
    "session_levels": 8,
    "level_episodes": 229,
    "approach_features": 392,
    "setup_vectors": 14,
}
CATALOGUE = [*TABLES.items(), ("vector", VECTOR_DIMS)]
EACH_TABLE = pytest.mark.parametrize(
    ("table", "columns"), CATALOGUE, ids=[table for table, _ in CATALOGUE]
)


# ---------------------------------------------------------------- the catalogue


def test_every_table_has_its_columns():
    assert {table: len(columns) for table, columns in TABLES.items()} == COLUMNS
    assert len(VECTOR_DIMS) == 147


@EACH_TABLE
def test_no_name_occurs_twice(table, columns):
    names = [column.name for column in columns]
    assert sorted(set(names)) == sorted(names)


@EACH_TABLE
def test_every_column_has_a_known_unit_and_family_and_one_line_of_meaning(table, columns):
    for column in columns:
        assert _base(column.unit) in UNITS, column
        assert column.family in FAMILIES, column
        assert column.meaning.strip() == column.meaning != "", column
        assert column.meaning.isprintable(), column


def _base(unit: str) -> str:
    return re.sub(r"/bar(\^2)?$", "", unit)


def test_every_unit_family_and_source_is_used():
    columns = [column for _, columns in CATALOGUE for column in columns]
    assert {_base(column.unit) for column in columns} == set(UNITS)
    assert {column.family for column in columns} == set(FAMILIES)
    assert {dim.source for dim in VECTOR_DIMS} == set(SOURCES)


def test_a_name_has_one_dtype_and_unit_in_all_tables():
    stored: dict[str, tuple] = {}
    for table, columns in CATALOGUE:
        for column in columns:
            how = (column.dtype, column.unit)
            assert stored.setdefault(column.name, how) == how, f"{table}.{column.name}"


def test_units_fit_the_dtypes():
    kinds = {"flag": "Boolean", "sign": "Int8", "code": "Enum", "bars": "Int32", "day": "Date"}
    for table, columns in TABLES.items():
        for column in columns:
            dtype = type(column.dtype).__name__
            assert dtype == kinds.get(column.unit, dtype), f"{table}.{column.name}"
            assert (dtype == "Datetime") == (column.unit == "ns UTC"), f"{table}.{column.name}"


@EACH_TABLE
def test_formulas_name_columns_that_exist(table, columns):
    known = {column.name for columns in TABLES.values() for column in columns}
    known |= {dim.name for dim in VECTOR_DIMS}
    for column in columns:
        for name in re.findall(r"\b(?:bar5s|setup)_[\w{}]+", column.meaning):
            assert {name.replace("{band}", band) for band in NEAR_BANDS} <= known, column.name


def test_dimensions_are_approach_columns_at_the_trigger_or_summaries():
    approach = {column.name: column for column in TABLES["approach_features"]}
    for dim in VECTOR_DIMS:
        as_column = Column(*(getattr(dim, field.name) for field in fields(Column)))
        at_trigger = approach.get(dim.name) == as_column
        assert at_trigger == (dim.source == "trigger bar"), dim.name


def test_a_missing_wall_is_ten_points_away_and_all_else_missing_is_nought():
    distances = {f"bar5s_wall_{side}_nearest_strong_dist_pts_eob" for side in ("bid", "ask")} | {
        f"setup_{side}_wall_closest_dist_min" for side in ("bid", "ask")
    }
    assert {dim.name for dim in VECTOR_DIMS if dim.null_as == 10} == distances
    assert {dim.null_as for dim in VECTOR_DIMS if dim.name not in distances} == {0}


# ---------------------------------------------------------------- folding


@EACH_TABLE
def test_rows_unfold_to_every_column_once(table, columns):
    unfolded = [column for row in fold(columns) for column in row.columns]
    assert sorted(unfolded, key=lambda column: column.name) == sorted(
        columns, key=lambda column: column.name
    )


@EACH_TABLE
def test_what_a_row_shows_is_true_of_each_of_its_columns(table, columns):
    for row in fold(columns):
        for column, part in zip(row.columns, _parts(row.shown.name), strict=True):
            number = part.lstrip("0") or part[:1]
            assert _with(part, row.shown.name) == column.name
            assert _with(number, row.shown.meaning) == column.meaning, column.name
            for told in ("dtype", "unit", "family"):
                assert getattr(row.shown, told) == getattr(column, told), column.name


def _parts(name: str) -> tuple[str, ...]:
    """What the placeholder of a row's name stands for; "" for a name without one."""
    place = re.search(r"{(\w+)}", name)
    return PLACEHOLDERS[place[1]] if place else ("",)


def _with(part: str, text: str) -> str:
    return re.sub(r"{(level|band|near|w)}", part, text) if part else text


def test_an_incomplete_set_is_not_folded():
    windows = [c for c in TABLES["approach_features"] if c.name.startswith("bar5s_deriv_obi0_d1_")]
    assert [row.shown.name for row in fold(windows)] == ["bar5s_deriv_obi0_d1_w{w}"]
    assert [row.shown for row in fold(windows[1:3])] == windows[1:3]


def test_columns_that_differ_in_more_than_the_repeated_part_are_not_folded():
    bands = [c for c in TABLES["bar5s"] if re.search(r"state_cdi_.*_eob", c.name)]
    other = Column(bands[0].name, bands[0].dtype, "z", bands[0].family, bands[0].meaning)
    assert len(list(fold(bands))) == 1
    assert len(list(fold([other, *bands[1:]]))) == len(bands)


# ---------------------------------------------------------------- the page


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/features.md is old: run `make docs`"


def test_main_writes_the_page(tmp_path, monkeypatch):
    written = tmp_path / "features.md"
    monkeypatch.setattr(features_page, "PAGE", written)
    monkeypatch.setattr("sys.argv", ["features_page"])
    features_page.main()
    assert written.read_text(encoding="utf-8") == page()


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    """The committed page's sections by heading."""
    text = PAGE.read_text(encoding="utf-8")
    heads, bodies = re.findall(r"^## (.+)$", text, re.M), re.split(r"^## .+$", text, flags=re.M)
    return dict(zip(heads, bodies[1:], strict=True))


@pytest.mark.parametrize("table", TABLES)
def test_a_reader_finds_every_column_in_its_section_once(sections, table):
    found = sorted(_columns_read(sections, table))
    assert found == sorted(column.name for column in TABLES[table])


def test_a_reader_finds_every_dimension_at_its_index(sections):
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", sections["vector"], re.M)
    assert rows == [(str(index), dim.name) for index, dim in enumerate(VECTOR_DIMS)]


def _columns_read(sections: dict[str, str], table: str) -> Iterator[str]:
    """Names of a section's columns, by the page alone: rows, columns carried over, placeholders."""
    section = sections[table]
    stands_for = {
        place: re.findall(r"`(\w+)`", parts)
        for place, parts in re.findall(r"^\| `({\w+})` \| (.+) \|$", sections["Words"], re.M)
    }
    shown = re.findall(r"^\| `([^`]+)`", section, re.M)
    carried = re.search(r"^Carried over unchanged: (.+)$", section, re.M)
    if carried and (whole := re.match(r"all \d+ columns of \[(\w+)\]", carried[1])):
        yield from _columns_read(sections, whole[1])
    elif carried:
        shown += re.findall(r"`([^`]+)`", carried[1])
    for name in shown:
        place = re.search(r"{\w+}", name)
        yield from (
            (name.replace(place[0], part) for part in stands_for[place[0]]) if place else [name]
        )


def test_every_link_leads_somewhere(sections):
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= {head.lower() for head in sections}
    for target, anchor in re.findall(r"\]\(([^)#]+)#?([^)]*)\)", text):
        linked = PAGE.parent / target
        assert linked.exists(), target
        if anchor:
            assert f"\n## {anchor}\n" in linked.read_text(encoding="utf-8"), anchor


def test_every_table_of_the_page_is_a_table(sections):
    for heading, section in sections.items():
        for block in re.findall(r"(?:^\|.*\n?)+", section, re.M):
            cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(cells) == 1, heading
