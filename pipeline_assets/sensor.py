"""Makes the day of each new or changed raw file; off until switched on in the UI."""

import hashlib
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import dagster as dg
from dagster._core.definitions.data_version import extract_data_version_from_entry
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from pipeline_assets.jobs import request, trading_day
from pipeline_assets.partitions import trading_days, why_closed
from pipeline_assets.raw import RAW, asset_key, content_version
from pipeline_assets.recording import latest_materialisation
from pipeline_assets.run_queue import BULK
from pipeline_assets.settings import all_roots, raw_folder
from pipeline_assets.words import counted
from resources.raw_files import dbn_files, raw_files

DAYS_A_TICK = 20
"""Days whose files are read in one evaluation, 100 MB in 0.2 s."""
SECONDS_A_TICK = 20
"""No further day is read after these: Dagster stops an evaluation after a minute."""
SETTLED_SECONDS = 10
"""A file changed more recently may still be written to."""

_DATE = re.compile(r"20\d\d[01]\d[0-3]\d")

_Files = list[tuple[str, int, int]]
"""Name, size and time of change (ns) of each file."""


@dg.sensor(
    job=trading_day,
    minimum_interval_seconds=30,
    description="Makes each day whose raw file is new or changed, however late.",
)
def deliveries(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """A run for each day whose raw files are new or changed, late or repeated deliveries included.

    A day is run if the content of its files is not what its `raw_dbn` last recorded, so a file
    replaced by an equal one, or a day made by another lane, asks for nothing. The cursor holds a
    digest of each day's file names, sizes and times; only files of days where it differs are read.
    While the bulk job is queued or runs, nothing is looked at, as it may make the same days.
    """
    if _is_bulk_under_way(context.instance):
        return dg.SkipReason("the bulk job is queued or under way, maybe with the same days")
    before = json.loads(context.cursor or "{}")
    seen, requests, days_read = {}, [], 0
    deadline, is_late = time.monotonic() + SECONDS_A_TICK, False
    for root, label, files in _found():
        key, digest = f"{root}/{label}", _digest(files)
        if before.get(key) == digest:
            seen[key] = digest
            continue
        if is_late or days_read == DAYS_A_TICK:
            continue
        if why := _why_ignored(label):
            names = ", ".join(name for name, _, _ in files)
            context.log.info(f"{root}: {names} ignored, {why}")
            seen[key] = digest
            continue
        if not _are_settled(files):
            continue
        try:
            requests += _wanted(context.instance, root, date.fromisoformat(label))
            seen[key], days_read = digest, days_read + 1
        except OSError as error:
            context.log.warning(f"{root} {label}: {error}; looked at again next time")
        is_late = time.monotonic() > deadline
    return dg.SensorResult(
        run_requests=requests,
        cursor=json.dumps(seen, separators=(",", ":")),
        skip_reason=None if requests else f"no new content, {counted(days_read, 'day')} looked at",
    )


def _is_bulk_under_way(instance: dg.DagsterInstance) -> bool:
    statuses = [dg.DagsterRunStatus.QUEUED, *IN_PROGRESS_RUN_STATUSES]
    return instance.get_runs_count(dg.RunsFilter(tags=BULK, statuses=statuses)) > 0


def _found() -> Iterator[tuple[str, str, _Files]]:
    """Every root's DBN files by the dates in their names, YYYYMMDD, else by their names."""
    for root in all_roots():
        for label, files in sorted(_files_by_date(raw_folder() / root).items()):
            yield root, label, files


def _files_by_date(folder: Path) -> dict[str, _Files]:
    files = defaultdict(list)
    for path in dbn_files(folder):
        with suppress(OSError):
            stat = path.stat()
            for label in _DATE.findall(path.name) or [path.name]:
                files[label].append((path.name, stat.st_size, stat.st_mtime_ns))
    return files


def _digest(files: _Files) -> str:
    return hashlib.blake2b(repr(sorted(files)).encode(), digest_size=6).hexdigest()


def _are_settled(files: _Files) -> bool:
    now = time.time_ns()
    return all(abs(now - changed) > SETTLED_SECONDS * 1e9 for _, _, changed in files)


def _why_ignored(label: str) -> str | None:
    """Why files of a label are no trading day's; None if they are one's."""
    try:
        day = date.fromisoformat(label)
    except ValueError:
        return "no valid date in its name"
    if trading_days.has_partition_key(str(day)):
        return None
    return f"{day} is no trading day: {why_closed(day) or 'the calendar does not reach to it'}"


def _wanted(instance: dg.DagsterInstance, root: str, day: date) -> list[dg.RunRequest]:
    """The run of a day, unless its files are those that `raw_dbn` recorded."""
    version = content_version(raw_files(raw_folder(), root, day))
    record = latest_materialisation(instance, asset_key(root, RAW), day)
    if record and extract_data_version_from_entry(record.event_log_entry) == version:
        return []
    after = record.storage_id if record else 0
    return [request(root, day, run_key=f"{root} {day} {version.value} after {after}")]
