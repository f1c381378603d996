"""Files that appear complete under their name, or not at all."""

import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resources.machine import is_alive


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to; it takes `path`'s place if the block succeeds.

    A reader sees the old file or the new one, never half of one, even after a process was killed or the
    power cut: data are synced before the name appears, on Linux to the disk, on macOS to its cache.
    What a killed process left behind is removed by the next writer of the same file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        yield part
        _sync(part)
        part.replace(path)
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_orphans(path: Path) -> None:
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.*"):
        pid = part.name.split(".")[-2]
        with suppress(FileNotFoundError):
            if pid.isdecimal() and not is_alive(int(pid), part.stat().st_mtime):
                part.unlink()
