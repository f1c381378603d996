"""What a person sees of an asset: each partition's figures and picture, and the schema."""

import re
import time
import warnings
from datetime import date
from itertools import groupby
from pathlib import Path

import dagster as dg
import polars as pl

from kernels.features import LEVELS, TABLES, Column
from pipeline_assets import previews
from pipeline_assets.features_page import PAGE, in_markdown
from pipeline_assets.figures import Figure, figures
from pipeline_assets.lineage import Source, sources
from resources.lake import Lake, LakeDay, Made
from resources.machine import peak_memory

_MOST_SOURCES = 12
"""If a column has more sources in one table, they are counted, not named; the lineage names them."""


class PanelLake(Lake):
    """The lake, describing every table it has written."""

    def get_metadata(self, context: dg.OutputContext, obj: Made) -> dict[str, object]:
        """The metadata of the table just written."""
        seconds = time.perf_counter() - obj.began
        root, table = context.asset_key.path
        tables = LakeDay(Path(self.base_dir), root, date.fromisoformat(context.partition_key))
        tables.hold_made(table, obj)
        return describe(tables, table, seconds)


def describe(tables: LakeDay, table: str, seconds: float) -> dict[str, object]:
    """The metadata of a written table, with the same keys and types every day.

    Args:
        seconds: what making and writing it took.
    """
    rows = tables.scan(table).select(pl.len()).collect().item()
    followed = figures(tables, table)
    ticks = {"clean_ticks": rows, "bar5s": followed.get("ticks")}.get(table)
    return {
        "path": tables.path(table),
        "picture": dg.MetadataValue.md(previews.as_markdown(previews.draw(tables, table))),
        "dagster/row_count": rows,
        "dagster/size_bytes": tables.path(table).stat().st_size,
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak_memory(),
        **({} if ticks is None else {"ticks_per_second": round(ticks / seconds, 1)}),
        **{name: _eight_digits(figure) for name, figure in followed.items()},
    }


def _eight_digits(figure: Figure) -> Figure:
    """A figure, a float to eight digits: the others are noise."""
    return float(f"{figure:.8g}") if isinstance(figure, float) else figure


def definition_metadata(root: str, table: str) -> dict[str, object]:
    """What is true of a table on every day: schema, column lineage, and where it is documented.

    It is kept with the asset, not with its materialisations, whose events it would make up to 0.7 MB
    larger.
    """
    lineage = {
        column: [dg.TableColumnDep(dg.AssetKey([root, of]), name) for of, name in found]
        for column, found in sources(table).items()
    }
    return {
        "dagster/column_schema": _schema(table),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
        "dagster/code_references": _features_page(table),
    }


def _schema(table: str) -> dg.TableSchema:
    """A table's columns as the catalogue documents them, each with what it is computed from."""
    found = sources(table)
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                str(column.dtype.base_type()),
                f"{in_markdown(column.meaning)} [{column.unit}]"
                + _from(column, found[column.name]),
            )
            for column in TABLES[table]
        ]
    )


def _from(column: Column, found: tuple[Source, ...]) -> str:
    """A column's sources in words: ten levels of one kind as `bid_px_*`, many sources as a number."""
    if [name for _, name in found] == [column.name]:
        return f"; as in `{found[0][0]}`"
    tables = (
        f"{_named(_levels_as_one([f'`{name}`' for _, name in group]))} of `{table}`"
        for table, group in groupby(found, key=lambda source: source[0])
    )
    return f"; from {'; '.join(tables)}" if found else ""


def _named(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _MOST_SOURCES else f"{len(names)} columns"


def _levels_as_one(names: list[str]) -> list[str]:
    stems = [re.sub(r"_l?\d\d(?=_|`)", "_*", name) for name in names]
    whole = {stem for stem in stems if stems.count(stem) == LEVELS}
    return list(
        dict.fromkeys(
            stem if stem in whole else name for stem, name in zip(stems, names, strict=True)
        )
    )


def _features_page(table: str) -> dg.CodeReferencesMetadataValue:
    """A link that opens the features page in the user's editor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        page = dg.LocalFileCodeReference(
            file_path=str(PAGE.resolve()), label=f"docs/features.md#{table}"
        )
        return dg.CodeReferencesMetadataValue(code_references=[page])
