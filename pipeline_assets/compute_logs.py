"""What a step prints, kept for the UI and shown where the run was started, by a thread of the step.

Dagster starts four programs for that, `tail` and its watcher for each stream, a tenth of a second of
processor time a step, and stops them as the step ends, whether or not they have shown all.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import BinaryIO, TextIO

from dagster._core.execution import compute_logs

POLL_SECONDS = 0.1
"""Most seconds until what a step prints is shown."""


def show_by_thread() -> None:
    """Have this process, and those forked from it, show by a thread what their steps print."""
    compute_logs.tail_to_stream = _shown


@contextmanager
def _shown(path: str, stream: TextIO) -> Iterator[None]:
    """Show a file, as it grows and to its end, where a stream goes now.

    A stream without a file of its own, as in a test, is not redirected, so there is nothing to show.
    """
    if (number := compute_logs._fileno(stream)) is None:
        yield
        return
    over = Event()
    with open(path, "rb") as file, open(os.dup(number), "wb", buffering=0) as shown:
        thread = Thread(target=_copy_until, args=(over, file, shown), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _copy_until(over: Event, file: BinaryIO, shown: BinaryIO) -> None:
    """Copy what is in a file and what is added, as long as somebody reads it."""
    with suppress(OSError):
        while not over.wait(POLL_SECONDS):
            shutil.copyfileobj(file, shown)
        shutil.copyfileobj(file, shown)
