"""The Parquet lake: `<lake>/<root>/<asset>/<date>.parquet`, zstd level 3, atomic, read lazily."""

import time
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from dagster_polars import PolarsParquetIOManager

from kernels.features import TABLES
from resources.atomic import whole_file

ZSTD_LEVEL = 3


class Lake(PolarsParquetIOManager):
    """dagster-polars' Parquet IO manager whose files appear whole or not at all.

    A table's rows, bytes, seconds to write and documented schema become metadata of its
    materialisation. `base_dir` is the lake's folder.
    """

    def sink_df_to_path(self, context: dg.OutputContext, df: pl.LazyFrame, path: Any) -> None:
        """Stream a lazy table to its file, and report on it."""
        started = time.perf_counter()
        with whole_file(Path(path)) as part:
            df.sink_parquet(part, compression="zstd", compression_level=ZSTD_LEVEL)
        rows = pl.scan_parquet(path).select(pl.len()).collect().item()
        context.add_output_metadata(
            {
                "dagster/row_count": rows,
                "bytes": Path(path).stat().st_size,
                "seconds_to_write": time.perf_counter() - started,
                "dagster/column_schema": table_schema(context.asset_key.path[-1]),
            }
        )

    def write_df_to_path(self, context: dg.OutputContext, df: pl.DataFrame, path: Any) -> None:
        """Write a table to its file, and report on it."""
        self.sink_df_to_path(context, df.lazy(), path)

    def scan_df_from_path(
        self, path: Any, context: dg.InputContext, partition_key: str | None = None
    ) -> pl.LazyFrame:
        """Read a table lazily; dagster-polars passes options that Polars 2 no longer takes."""
        return pl.scan_parquet(path)

    def get_metadata(self, context: dg.OutputContext, obj: Any) -> dict[str, dg.MetadataValue]:
        """Nothing more: dagster-polars would describe every column of every row again."""
        return {}


def table_schema(table: str) -> dg.TableSchema:
    """A table's columns as the catalogue documents them."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                str(column.dtype),
                f"{column.meaning} [{column.unit}]" if column.unit else column.meaning,
            )
            for column in TABLES[table]
        ]
    )


def table_path(lake: Path, root: str, table: str, day: object) -> Path:
    """Where a root's table of a day lies."""
    return lake / root.lower() / table / f"{day}.parquet"
