"""Comparison of a Polars table with the oracle's rows, and of tables byte by byte."""

import io
import math
import operator

import polars as pl

from kernels.features import TABLES, schema

TOLERANCE = 1e-9


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the oracle's types: instants int ns UTC, enums text."""
    return frame.with_columns(
        pl.selectors.datetime().to_physical(), pl.selectors.by_dtype(pl.Enum).cast(pl.String)
    )


def plain_rows(frame: pl.DataFrame) -> list[dict]:
    """Rows as the oracle has them."""
    return plain(frame).to_dicts()


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """The frame as Parquet; of two tables with the same bytes every value is the same, bit by bit."""
    file = io.BytesIO()
    frame.rechunk().write_parquet(file)
    return file.getvalue()


def assert_same(frame: pl.DataFrame, expected: list[dict], table: str) -> None:
    """Equal in columns, rows and nulls; counts and non-floats exactly, floats within 1e-9."""
    assert frame.schema == schema(table)
    assert frame.height == len(expected), f"{table}: {frame.height} rows, not {len(expected)}"
    for column, series in zip(TABLES[table], plain(frame), strict=True):
        got, want = series.to_list(), [row[column.name] for row in expected]
        if got == want:
            continue
        same = operator.eq if column.unit == "count" else _is_close
        for row, (a, b) in enumerate(zip(got, want, strict=True)):
            assert same(a, b), f"{table}.{column.name} row {row}: {a!r}, not {b!r}"


def _is_close(got: object, want: object) -> bool:
    if isinstance(want, list):
        return len(got) == len(want) and all(map(_is_close, got, want))
    if isinstance(got, float) and want is not None:
        return math.isclose(got, want, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return got == want
