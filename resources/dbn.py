"""Databento Binary Encoding (DBN) files as Polars lazy frames, in bounded memory.

`scan_dbn` is a Polars IO source: only the columns a query asks for are taken out of the records.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from resources.dbn_columns import SCHEMA, Symbology, columns
from resources.dbn_records import REDELIVER, DbnError, open_stream, read_metadata, read_records

__all__ = ["SCHEMA", "DbnError", "scan_dbn"]


def scan_dbn(path: Path | str) -> pl.LazyFrame:
    """Lazily read one DBN file of schema MBP-10, versions 1-3, zstd-compressed or not.

    Columns are those of `SCHEMA`; a query decodes only the columns it names, and stops at its row
    limit. Memory is a few batches of 32,768 records, whatever the size of the file.

    Raises:
        DbnError: at once if the file is missing, empty, not DBN or of another schema; while it is
            read if it is truncated or corrupt, or no longer the file it was.
    """
    path = Path(path)
    file = _identity(path)
    with open_stream(path) as stream:
        metadata = read_metadata(path, stream)
    try:
        symbology = Symbology.of(metadata)
    except (ValueError, OverflowError) as error:
        raise DbnError(
            path,
            f"symbol mappings that name no instrument id ({error})",
            f"{REDELIVER}, with stype_out instrument_id",
        ) from error
    return register_io_source(
        partial(_batches, path, file, symbology),
        schema=SCHEMA,
        is_pure=True,
        explain_name="DBN",
        explain_detail=str(path),
    )


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from another of its name: inode, size and time of change (ns).

    Taken before the file is opened and after what was read of it, it is the same if nothing but this
    file was read. None if there is no file.
    """
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _batches(
    path: Path,
    file: tuple[int, int, int] | None,
    symbology: Symbology,
    with_columns: list[str] | None,
    predicate: pl.Expr | None,
    n_rows: int | None,
    batch_size: int | None,
) -> Iterator[pl.DataFrame]:
    """The IO source's generator: one decoded frame a block, in file order.

    The predicate is tried on its own columns first, so that rows it drops are never decoded.
    """
    names = SCHEMA.names() if with_columns is None else with_columns
    left = np.iinfo(np.int64).max if n_rows is None else n_rows
    decode = partial(columns, path, symbology)
    for block in read_records(path):
        records = block[:left]
        left -= len(records)
        rows = np.arange(len(records))
        if predicate is not None:
            tested = decode(predicate.meta.root_names(), records, rows)
            kept = tested.select(predicate.fill_null(False)).to_series()
            rows = np.flatnonzero(kept.to_numpy())
        if _identity(path) != file:
            raise DbnError(path, "replaced while it was read", "read it again")
        yield decode(names, records, rows)
        if not left:
            return
