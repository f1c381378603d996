"""How a day's raw files are named, and which there are."""

import os
from contextlib import suppress
from datetime import date
from pathlib import Path

DATASET = "GLBX.MDP3"
"""Databento's dataset of CME Globex, every raw file's."""


class RawDataMissing(FileNotFoundError):
    """No raw file of a root and day; the message says where it was looked for and what to do."""


class UnreadableFolder(PermissionError):
    """A folder of raw files that may not be read; the message says why and what to do."""


def day_file(folder: Path, root: str, day: date) -> Path:
    """Where a feed puts the file of a root and UTC day, named as Databento's deliveries are."""
    return folder / root / f"glbx-mdp3-{day:%Y%m%d}.mbp-10.dbn.zst"


def dbn_files(folder: Path) -> list[Path]:
    """The files `*.dbn` and `*.dbn.zst` of a folder, in no order, hidden ones left out."""
    found = (path for path in folder.glob("*.dbn*") if path.name[0] != ".")
    return [path for path in found if path.name.endswith((".dbn", ".dbn.zst"))]


def raw_files(raw: Path, root: str, day: date) -> list[Path]:
    """The DBN files of a root and UTC day in `<raw>/<root>/`, in name order.

    They are named `*YYYYMMDD*.dbn` or `*YYYYMMDD*.dbn.zst`; if a file is there in both forms, only
    the compressed one counts.

    Raises:
        RawDataMissing: if there is none.
        UnreadableFolder: if the folder cannot be listed.
    """
    folder = raw / root
    _refuse_unreadable(folder)
    found = sorted(path for path in dbn_files(folder) if f"{day:%Y%m%d}" in path.name)
    files = {path.name.removesuffix(".zst"): path for path in found}
    if not files:
        raise RawDataMissing(
            f"no raw file of {root} for {day}: neither *{day:%Y%m%d}*.dbn.zst nor .dbn in {folder};"
            f" put the day's MBP-10 file there"
        )
    return [files[name] for name in sorted(files)]


def _refuse_unreadable(folder: Path) -> None:
    """Refuse a folder whose files cannot be listed: to `glob` it is empty, and all would be bought again."""
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.scandir(folder).close()
    except PermissionError as error:
        raise UnreadableFolder(
            f"raw files cannot be looked for: {error}; let this user, or on macOS this terminal, read"
            " the folder"
        ) from error
