"""Where raw files come from: a folder of Databento deliveries, a download, the simulated market.

A feed brings the files of a root and UTC day into `<folder>/<root>/`, whole, and says what is worth
recording of them. The folder and the simulated market are here, the download in `databento_feed`.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from resources.dbn import scan_dbn
from resources.dbn_records import read_records
from resources.raw_files import RawDataMissing, day_file, raw_files
from resources.simulated import EVENTS_A_DAY, simulate_day


class DownloadError(RuntimeError):
    """A day that could not be downloaded; the message says why and what to do."""

    def __init__(self, root: str, day: date, problem: str, remedy: str) -> None:
        super().__init__(f"{root} {day}: {problem}; {remedy}.")


@dataclass(frozen=True)
class Fetched:
    """The raw files of a day, in name order, and what is worth recording of them.

    `metadata` always says `feed`, its name, and `bytes`, the size of the files together.
    """

    files: list[Path]
    metadata: dict[str, str | int | float | bool]


class Feed(Protocol):
    """Brings raw files into `<folder>/<root>/`."""

    @property
    def folder(self) -> Path:
        """The folder of raw files."""

    def fetch(self, root: str, day: date) -> Fetched:
        """Have the files of a root and UTC day there; RawDataMissing, DownloadError or ValueError."""


@dataclass(frozen=True)
class FolderFeed:
    """Files that someone else puts into the folder."""

    folder: Path

    def fetch(self, root: str, day: date) -> Fetched:
        """The day's files, if every header reads as MBP-10; records are not looked at.

        Raises:
            RawDataMissing: if there is none.
            UnreadableFolder: if the folder cannot be listed.
            DbnError: if one cannot be read or is of another schema.
        """
        files = raw_files(self.folder, root, day)
        for path in files:
            scan_dbn(path)  # raises
        return fetched("folder", files)


@dataclass(frozen=True)
class SimulatedFeed:
    """Days of the simulated market, of so many events each."""

    folder: Path
    events: int = EVENTS_A_DAY

    def fetch(self, root: str, day: date) -> Fetched:
        """The day's files, simulated if there is none.

        Raises:
            ValueError: if the market is closed all day.
        """
        try:
            files = raw_files(self.folder, root, day)
        except RawDataMissing:
            path = day_file(self.folder, root, day)
            files = [simulate_day(path, day, root=root, events=self.events)]
        return fetched("simulated", files)


def fetched(feed: str, files: list[Path], **metadata: str | int | float | bool) -> Fetched:
    """The files and what every feed records of them, with whatever else there is to say."""
    size = sum(path.stat().st_size for path in files)
    return Fetched(files, {"feed": feed, "bytes": size} | metadata)


def count_records(path: Path) -> int:
    """How many records a DBN file holds, read to its end.

    Raises:
        DbnError: if it is not MBP-10, truncated or corrupt.
    """
    return sum(len(block) for block in read_records(path))
