"""How many dates this machine works on at once, from what earlier runs recorded."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path

import dagster as dg

from pipeline_assets.raw import asset_key
from pipeline_assets.settings import raw_folder
from resources.machine import dates_on_this_machine
from resources.raw_files import dbn_files

RECENT = 3
"""How many of a table's latest materialisations count, by their recorded peaks."""


def dates_at_once(instance: dg.DagsterInstance, roots: Sequence[str], tables: Iterable[str]) -> int:
    """How many dates of these roots fit the machine if each makes these tables.

    A date's peak is the greatest that was recorded lately for any of the tables, else an estimate from
    the largest raw file.
    """
    keys = tuple(asset_key(root, table) for root, table in product(roots, tables))
    latest_event = instance.event_log_storage.get_maximum_record_id()
    peaks = _recorded_peaks(instance, keys, latest_event)
    return dates_on_this_machine(peaks, [] if peaks else _largest_raw_file(roots))


@lru_cache(maxsize=1)
def _recorded_peaks(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey], latest_event: int | None
) -> list[int]:
    """Peak memory of the process behind each of the latest materialisations, in bytes.

    The answer is kept until there is another event, as the run queue asks every second.
    """
    return [
        record.asset_materialization.metadata["peak_memory_bytes"].value
        for key in keys
        for record in instance.fetch_materializations(key, limit=RECENT).records
        if "peak_memory_bytes" in record.asset_materialization.metadata
    ]


def _largest_raw_file(roots: Sequence[str]) -> list[Path]:
    files = [path for root in roots for path in dbn_files(raw_folder() / root) if path.is_file()]
    return [max(files, key=lambda path: path.stat().st_size)] if files else []
