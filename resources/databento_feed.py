"""Raw files bought from Databento's Historical API, a day at a time."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.request import getproxies_environment

from resources.atomic import whole_file
from resources.dbn import DbnError
from resources.feed import DownloadError, Fetched, count_records, fetched
from resources.raw_files import RawDataMissing, day_file, raw_files

KEY = "DATABENTO_API_KEY"


@dataclass(frozen=True)
class DatabentoFeed:
    """Days of MBP-10 of a root's futures (parent symbol, `ES.FUT`), downloaded as they are needed.

    A day whose files are whole is not fetched again, so an interrupted range of days resumes. A
    single day does not: a stream has no offset to resume from, so a broken one is fetched from its
    start, and Databento bills what it had sent.
    Databento's batch jobs do better there (ranges, checksums, repeats free for 30 days), but take
    minutes to prepare; it advises them from 5 GB a request, more than a day of one root.

    The API key comes from `DATABENTO_API_KEY` alone. `cost_limit` is in dollars for a root and day,
    streams that broke off counted whole. `gateway` is the address of the API, `sleep` the function
    that waits between attempts.
    """

    folder: Path
    cost_limit: float
    gateway: str = "bo1"
    sleep: Callable[[float], None] = time.sleep

    def fetch(self, root: str, day: date) -> Fetched:
        """The day's files, downloaded if missing or not whole.

        Metadata say whether it was `downloaded`, and then also Databento's `condition` of the day
        (`available`; `degraded`: records may be missing; `pending`: not final), `price_usd`, how
        many `streams` it took, and `records`.

        Raises:
            DownloadError: if the day is not over, costs more than the limit, is missing at Databento
                or empty, if the key is missing or refused, or if no attempt brought the whole day.
            DbnError: if a file of another name is there and not whole.
        """
        path = day_file(self.folder, root, day)
        kept = _whole_files(self.folder, root, day, path)
        if kept:
            return fetched("databento", kept, downloaded=False)
        if datetime.now(UTC).date() <= day:
            raise DownloadError(root, day, "the day is not over", "download it after midnight UTC")
        key, keys = os.environ.get(KEY, "").strip(), "https://databento.com/portal/keys"
        if not key:
            raise DownloadError(root, day, f"{KEY} is not set", f"export a key from {keys}")
        if not key.isascii():
            raise DownloadError(root, day, f"{KEY} is masked or mistyped", f"copy it from {keys}")

        _take_proxies_from_the_environment()
        from databento import Historical  # a second, as it imports pandas

        from resources.databento_api import HistoricalDay

        client = Historical(key, self.gateway)
        wanted = HistoricalDay(client, root, day, self.cost_limit, self.sleep)
        with whole_file(path) as part:
            bought = wanted.download(part)
        return fetched("databento", [path], downloaded=True, **bought)


def _take_proxies_from_the_environment() -> None:
    """Keep this process from asking macOS for its proxies, which may kill it.

    Runs and dates work in forked processes, where macOS's proxy lookup crashes (CPython issue
    105912). Python makes it only if no proxy variable is set in the environment.
    """
    if not getproxies_environment():
        os.environ["no_proxy"] = "127.0.0.1"


def _whole_files(folder: Path, root: str, day: date, own: Path) -> list[Path]:
    """The day's files, each read to its end; none if there are none, or only the feed's own, broken."""
    try:
        files = raw_files(folder, root, day)
    except RawDataMissing:
        return []
    for path in files:
        try:
            count_records(path)
        except DbnError:
            if files != [own]:
                raise
            return []
    return files
