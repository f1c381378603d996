"""The Parquet lake: `<lake>/<root>/<table>/<day>.parquet`, zstd level 2, atomic, read lazily.

A table that a check refuses goes to `<lake>/<root>/.refused/<table>/<day>.parquet`, out of readers' way.

A file carries, as Parquet key-value metadata, what its stage had to say beside the table (its
facts): the contract kept, what was dropped. So the lake alone tells all there is to know of a day.
"""

import json
from collections.abc import Callable, Collection, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import dagster as dg
import polars as pl
from dagster_polars import PolarsParquetIOManager

from kernels.bar5s import BATCH
from resources.atomic import whole_file

ZSTD_LEVEL = 2
_FACTS = "facts"
_OS_ERROR = "os error"
"""What Polars puts into a ComputeError where the operating system refused, with the number."""

Facts = Mapping[str, str | int | float]


class TableMissing(FileNotFoundError):
    """The lake has no such table of a day; the message names its file and says what to do."""


class UnwritableTable(OSError):
    """A table's file cannot be written; the message names it and says why and what to do."""


class UnreadableTable(ValueError):
    """A table's file is damaged; the message names it and says what to do."""


Sink = Callable[[pl.LazyFrame, Callable[[], Facts]], None]
"""Takes a table in, and its facts, which are asked for once it has been computed."""


class Made(NamedTuple):
    """A table a stage has made, and what it has to say beside it.

    table: the table, or a function that computes it into a sink; what comes in last counts.
    began: `perf_counter` as the making of it began.
    """

    table: pl.DataFrame | pl.LazyFrame | Callable[[Sink], None]
    facts: Facts = MappingProxyType({})
    began: float = float("nan")

    def into(self, sink: Sink) -> None:
        """Put the table into a sink."""
        if callable(self.table):
            self.table(sink)
        else:
            sink(self.table.lazy(), lambda: self.facts)


class Lake(PolarsParquetIOManager):
    """dagster-polars' Parquet IO manager whose files appear whole or not at all.

    `base_dir` is the lake's folder. An asset gives what its stage has `Made`.
    """

    def dump_to_path(self, context: dg.OutputContext, obj: Made, path: Any) -> None:
        """Stream a table to its file, with its facts."""
        write_table(obj, Path(path))

    def scan_df_from_path(
        self, path: Any, context: dg.InputContext, partition_key: str | None = None
    ) -> pl.LazyFrame:
        """Read a table lazily; dagster-polars passes options that Polars 2 no longer takes."""
        return _scan(Path(path))


class LakeDay:
    """A root's tables of one day: from memory if held there, else from the lake."""

    def __init__(self, lake: Path, root: str, day: date) -> None:
        self.lake, self.root, self.day = lake, root, day
        self._held: dict[str, pl.LazyFrame] = {}

    def path(self, table: str) -> Path:
        """Where a table lies."""
        return table_path(self.lake, self.root, table, self.day)

    def hold(self, table: str, frame: pl.DataFrame) -> None:
        """Keep a table in memory for whoever scans it next."""
        self._held[table] = frame.lazy()

    def hold_made(self, table: str, made: Made) -> None:
        """Keep a table just made, unless it was streamed."""
        if isinstance(made.table, pl.DataFrame):
            self.hold(table, made.table)

    def keep_only(self, tables: Collection[str]) -> None:
        """Keep no tables in memory but these."""
        self._held = {table: frame for table, frame in self._held.items() if table in tables}

    def scan(self, table: str) -> pl.LazyFrame:
        """A table, lazily.

        Raises:
            TableMissing: if the lake has none of that day.
        """
        return self._held[table] if table in self._held else _scan(self.path(table))

    def refuse(self, table: str) -> None:
        """Move a table's file to `refused_path`, out of readers' sight, and stop holding it."""
        self._held.pop(table, None)
        refused = self.refused_path(table)
        refused.parent.mkdir(parents=True, exist_ok=True)
        self.path(table).replace(refused)

    def refused_path(self, table: str) -> Path:
        """Where a table lies if it was refused when last made."""
        return _refused(self.path(table))

    def facts(self, table: str) -> Facts:
        """What the stage said of a table beside its rows."""
        return read_facts(self.path(table))


def _scan(path: Path) -> pl.LazyFrame:
    """A table's file, lazily; its path is taken literally, not as a pattern."""
    if not path.exists():
        why = "was refused by its checks" if _refused(path).exists() else "is not there"
        raise TableMissing(
            f"no {path.parent.name} of {path.parent.parent.name.upper()} for {path.stem}: {path}"
            f" {why}; materialise that day"
        )
    return pl.scan_parquet(path, glob=False)


def write_table(made: Made, path: Path) -> None:
    """Stream a table and its facts to its file, whole or not at all.

    Raises:
        UnwritableTable: if it cannot be written.
    """
    try:
        with whole_file(path) as part:
            made.into(partial(_sink, part))
        _refused(path).unlink(missing_ok=True)
    except (OSError, pl.exceptions.ComputeError) as error:
        if _OS_ERROR not in str(error) and not isinstance(error, OSError):
            raise
        raise UnwritableTable(
            f"cannot write {path}: {error}; check that it can be written and its inputs read, make"
            " room and run the day again"
        ) from error


def _sink(part: Path, table: pl.LazyFrame, facts: Callable[[], Facts]) -> None:
    """Polars asks for the metadata, the facts, when all rows have been written.

    It is given an open file: a query that fails might open one by its name after that is removed.

    Statistics are left out: minimum and maximum of every column take a quarter of the time of encoding,
    and only spare a query by time from reading all of the column of times.
    """
    with part.open("wb") as file:
        table.sink_parquet(
            file,
            compression_level=ZSTD_LEVEL,
            row_group_size=BATCH,
            statistics=False,
            metadata=lambda _: {_FACTS: json.dumps(dict(facts()))},
        )


def damage_of(table: pl.LazyFrame) -> str | None:
    """Why a table in the lake cannot be read to its end; None if it can."""
    try:
        for _ in table.collect_batches():
            pass
    except pl.exceptions.PolarsError as error:
        return str(error)
    return None


def read_facts(path: Path) -> Facts:
    """The facts of a table's file.

    Raises:
        UnreadableTable: it is no Parquet file of the lake.
        FileNotFoundError: it is missing.
    """
    try:
        metadata = pl.read_parquet_metadata(path)
    except pl.exceptions.PolarsError as error:
        raise UnreadableTable(
            f"{path} cannot be read: {error}; materialise that day again"
        ) from error
    if _FACTS not in metadata:
        raise UnreadableTable(f"{path} is not a table of this lake; materialise that day again")
    return json.loads(metadata[_FACTS])


def table_path(lake: Path, root: str, table: str, day: object) -> Path:
    """Where a root's table of a day lies."""
    return lake / root.lower() / table / f"{day}.parquet"


def _refused(path: Path) -> Path:
    table, root = path.parent.name, path.parents[1]
    return root / ".refused" / table / path.name
