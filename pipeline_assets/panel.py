"""What a person sees of a materialised partition: figures, pictures and the documented schema."""

import resource
import sys
from pathlib import Path

import dagster as dg
import polars as pl

from kernels.features import TABLES
from resources.lake import Lake, LakeDay


class PanelLake(Lake):
    """The lake, describing every table it has written."""

    def get_metadata(
        self, context: dg.OutputContext, obj: pl.DataFrame | pl.LazyFrame
    ) -> dict[str, dg.MetadataValue]:
        """The metadata of the table just written."""
        root, table = context.asset_key.path
        tables = LakeDay(Path(self.base_dir), root, context.partition_key)
        if isinstance(obj, pl.DataFrame):
            tables.hold(table, obj)
        return describe(tables, table)


def describe(tables: LakeDay, table: str) -> dict[str, dg.MetadataValue]:
    """The metadata of a written table: rows, bytes, peak memory of the process, schema."""
    rows = tables.scan(table).select(pl.len()).collect().item()
    return {
        "dagster/row_count": dg.MetadataValue.int(rows),
        "bytes": dg.MetadataValue.int(tables.path(table).stat().st_size),
        "peak_memory_bytes": dg.MetadataValue.int(_peak_memory()),
        "dagster/column_schema": dg.MetadataValue.table_schema(_schema(table)),
    }


def _peak_memory() -> int:
    """Most memory this process ever held, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _schema(table: str) -> dg.TableSchema:
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
