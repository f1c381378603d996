"""The raw files of a root and day as an asset, brought by the configured feed."""

import hashlib
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import dagster as dg

from kernels.instrument import Instrument
from pipeline_assets.partitions import trading_days
from resources.feed import Feed

RAW = "raw_dbn"


def asset_key(root: str, table: str) -> dg.AssetKey:
    """The key of a root's table, or of its raw files."""
    return dg.AssetKey([root.lower(), table])


def raw_dbn(instrument: Instrument) -> dg.AssetsDefinition:
    """The asset `<root>/raw_dbn`."""
    root = instrument.root.lower()

    @dg.asset(
        name=RAW,
        key_prefix=root,
        group_name=root,
        partitions_def=trading_days,
        description="The day's Databento MBP-10 files as the feed delivered them, in the raw folder."
        " Its data version is their content: the same bytes again leave everything downstream fresh,"
        " different ones make `clean_ticks` stale; once remade, that makes the next table stale.",
        kinds={"dbn"},
        owners=["team:research"],
        code_version="1",
        required_resource_keys={"feed"},
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day = date.fromisoformat(context.partition_key)
        return deliver(context.resources.feed, instrument.root, day)

    return asset


def deliver(feed: Feed, root: str, day: date) -> dg.MaterializeResult:
    """Have the feed bring a day's files; their content's version, and the feed's metadata."""
    fetched = feed.fetch(root, day)
    names = ", ".join(path.name for path in fetched.files)
    return dg.MaterializeResult(
        data_version=content_version(fetched.files), metadata={"files": names} | fetched.metadata
    )


def content_version(files: Iterable[Path]) -> dg.DataVersion:
    """The version of raw files: SHA-256 of their contents in order, whatever their names and times.

    Every byte is read, at about 0.5 GB/s: little beside decompressing them.
    """
    contents = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            contents.update(hashlib.file_digest(file, "sha256").digest())
    return dg.DataVersion(contents.hexdigest())
