"""Databento Binary Encoding (DBN) files as Polars frames, in bounded memory.

`read_dbn` gives records batch by batch, whole. `scan_dbn` is a Polars IO source, which takes only
those columns out of the records that a query asks for.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from kernels.features import FLAG_BAD_TS_RECV, FLAG_SNAPSHOT, MBP10_RTYPE
from resources.dbn_columns import SCHEMA, Symbology, columns
from resources.dbn_records import (
    REDELIVER,
    DbnError,
    open_stream,
    read_metadata,
    read_records,
)

__all__ = ["SCHEMA", "DbnError", "DbnRecords", "read_dbn", "scan_dbn"]


def scan_dbn(path: Path | str) -> pl.LazyFrame:
    """Lazily read one DBN file of schema MBP-10, versions 1-3, zstd-compressed or not.

    Columns are those of `SCHEMA`; a query decodes only the columns it names, and stops at its row
    limit. Memory is a few blocks of records, whatever the size of the file.

    Raises:
        DbnError: at once if the file is missing, empty, not DBN or of another schema; while it is
            read if it is truncated or corrupt, or no longer the file it was.
    """
    file = _File(Path(path))

    def batches(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        names = SCHEMA.names() if with_columns is None else with_columns
        return file.batches(names, predicate, n_rows)

    return register_io_source(
        batches, schema=SCHEMA, is_pure=True, explain_name="DBN", explain_detail=str(path)
    )


def read_dbn(*paths: Path | str) -> "DbnRecords":
    """The records of one day's MBP-10 DBN files, one file after the other.

    Raises:
        DbnError: as `scan_dbn` does; while iterating, if two files overlap.
    """
    return DbnRecords([_File(Path(path)) for path in paths])


class DbnRecords:
    """Records in batches, a frame of `SCHEMA` for each block of a file.

    Each iteration reads the files anew; memory is a few blocks.
    """

    def __init__(self, files: "list[_File]") -> None:
        self._files = files

    def __iter__(self) -> Iterator[pl.DataFrame]:
        if len(self._files) == 1:
            return self._files[0].batches(SCHEMA.names())
        return self._of_several()

    def _of_several(self) -> Iterator[pl.DataFrame]:
        """Records of several files, as iterated; refuses a file that overlaps one before it."""
        before: list[tuple[Path, pl.DataFrame]] = []
        for file in self._files:
            minutes = []
            for batch in file.batches(SCHEMA.names()):
                minutes.append(_minutes(batch))
                yield batch
            if minutes:
                of_file = pl.concat(minutes)
                for other in before:
                    _refuse_overlap(file.path, of_file, *other)
                before.append((file.path, of_file))


def _minutes(batch: pl.DataFrame) -> pl.DataFrame:
    """The minutes in which books of each symbol were received, as far as that is known.

    Snapshots are left out: their `ts_recv` is when they were made.
    """
    is_book = (pl.col("rtype") == MBP10_RTYPE) & (
        pl.col("flags") & (FLAG_SNAPSHOT | FLAG_BAD_TS_RECV) == 0
    )
    received = batch.lazy().filter(is_book).select("symbol", "ts_recv")
    return received.with_columns(pl.col("ts_recv").dt.truncate("1m")).unique().collect()


def _refuse_overlap(path: Path, minutes: pl.DataFrame, other: Path, others: pl.DataFrame) -> None:
    """Refuse a file if one before it has books of the same symbol and minutes.

    They may share one minute, that in which the day was cut into files.
    """
    both = minutes.join(others, on=["symbol", "ts_recv"])["ts_recv"].unique()
    if both.len() > 1:
        raise DbnError(
            path,
            f"has books of the same symbol as {other.name} in {both.len()} minutes between"
            f" {both.min():%H:%M} and {both.max():%H:%M} UTC",
            "keep one of the two in the folder",
        )


class _File:
    """A DBN file, of which only its header's symbol mappings are held."""

    def __init__(self, path: Path) -> None:
        self.path, self._identity = path, _identity(path)
        with open_stream(path) as stream:
            metadata = read_metadata(path, stream)
        try:
            self._symbology = Symbology.of(metadata)
        except (ValueError, OverflowError) as error:
            raise DbnError(
                path,
                f"symbol mappings that name no instrument id ({error})",
                f"{REDELIVER}, with stype_out instrument_id",
            ) from error

    def batches(
        self, names: list[str], predicate: pl.Expr | None = None, n_rows: int | None = None
    ) -> Iterator[pl.DataFrame]:
        """One decoded frame a block, in file order.

        The predicate is tried first, on its own columns (and `rtype`, as it may name none), so
        rows it drops are never decoded.
        """
        left = np.iinfo(np.int64).max if n_rows is None else n_rows
        for block in read_records(self.path):
            records = block[:left]
            left -= len(records)
            rows = np.arange(len(records))
            if predicate is not None:
                tested = dict.fromkeys(["rtype", *predicate.meta.root_names()])
                numbered = self._decode(list(tested), records, rows).with_row_index("row")
                rows = numbered.filter(predicate)["row"].to_numpy()
            if _identity(self.path) != self._identity:
                raise DbnError(self.path, "replaced or removed while it was read", "read it again")
            yield self._decode(names, records, rows)
            if not left:
                return

    def _decode(self, names: list[str], records: np.ndarray, rows: np.ndarray) -> pl.DataFrame:
        return columns(self.path, self._symbology, names, records, rows)


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from another of the same name: inode, size and time of change (ns).

    If it is the same before the file is opened and after a read, nothing but this file was read. None
    if there is no file.
    """
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
