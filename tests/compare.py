"""Comparison of a Polars table with the oracle's rows."""

import math

import polars as pl

from kernels.features import TABLES, schema

TOLERANCE = 1e-9


def plain_rows(frame: pl.DataFrame) -> list[dict]:
    """Rows as the oracle has them: instants int ns UTC, enums text."""
    plain = frame.with_columns(
        pl.selectors.datetime().to_physical(), pl.selectors.by_dtype(pl.Enum).cast(pl.String)
    )
    return plain.to_dicts()


def assert_same(frame: pl.DataFrame, expected: list[dict], table: str) -> None:
    """Equal in columns, rows and nulls; counts and non-floats exactly, floats within 1e-9."""
    assert frame.schema == schema(table)
    assert frame.height == len(expected), f"{table}: {frame.height} rows, not {len(expected)}"
    rows = plain_rows(frame)
    for column in TABLES[table]:
        is_exact = column.dtype != pl.Float64 or column.unit == "count"
        for index, (row, truth) in enumerate(zip(rows, expected, strict=True)):
            got, want = row[column.name], truth[column.name]
            if isinstance(want, list):
                assert len(got) == len(want)
                same = all(_close(a, b) for a, b in zip(got, want, strict=True))
            else:
                same = got == want if is_exact or want is None or got is None else _close(got, want)
            assert same, f"{table}.{column.name} row {index}: {got!r}, not {want!r}"


def _close(got: float, want: float) -> bool:
    return math.isclose(got, want, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
