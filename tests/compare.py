"""Comparison of a Polars table with the oracle's rows, and of tables byte by byte."""

import io

import polars as pl
from polars.testing import assert_frame_equal

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
    """Equal in columns, rows and nulls; counts and non-floats exactly, floats within 1e-9; no NaN."""
    assert frame.schema == schema(table)
    got = plain(frame)
    columns = {name: [row[name] for row in expected] for name in got.columns}
    want = pl.DataFrame(columns, got.schema, strict=True)
    counts = [column.name for column in TABLES[table] if column.unit == "count"]
    assert_frame_equal(got.select(counts), want.select(counts), check_exact=True)
    assert_frame_equal(got, want, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    floats = pl.selectors.float(), pl.col("^vector$").explode()
    assert not any(got.select(*(each.is_nan().any() for each in floats)).row(0))
