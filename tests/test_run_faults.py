"""What can befall a whole run begun in a shell: another of its day, a full disk, a new delivery."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pipeline_assets.stages import STAGES
from resources.lake import table_path
from resources.raw_files import day_file
from resources.simulated import simulate_day
from tests.conftest import DAY, make_one_by_one
from tests.place import REPOSITORY, Place, writer_of

EVENTS = 200_000
"""So many that a run is some while at the first table, and can be stopped in it."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the delivery of `DAY`, and the lake of a run that nothing befell."""
    return delivery(tmp_path_factory.mktemp("first"), seed=0)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `first`, of another delivery of the day under the same name."""
    return delivery(tmp_path_factory.mktemp("second"), seed=1)


@pytest.fixture
def place(tmp_path: Path, first: Path) -> Iterator[Place]:
    """A place with the first delivery, and an instance that no run need create."""
    with Place(tmp_path) as place:
        shutil.copytree(first / "raw", place.raw)
        assert place.instance.get_runs_count() == 0
        yield place


def test_two_runs_of_a_date_at_once_both_end_well(place: Place, first: Path) -> None:
    runs = ("one", "other")
    for run in runs:
        place.materialise(run, DAY)
    part, *_ = writing(place, runs=1)
    with stopped(writer_of(part)):
        assert part in writing(place, runs=2)

    for run in runs:
        assert place.end_of(run) == 0, place.log(run)
    assert tables(place.lake) == tables(first / "lake")
    assert place.hidden_files() == []


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk, as Linux lets any user")
def test_full_disk_fails_the_run_which_heals_once_there_is_room(place: Place, first: Path) -> None:
    whole = tables(first / "lake")
    with small_disk(place.lake) as (within, disk):
        ballast = disk / "ballast"
        room = len(whole["clean_ticks"]) + len(whole["bar5s"]) // 2
        ballast.write_bytes(bytes(free(disk) - room))
        place.materialise("full", DAY, within)
        assert place.end_of("full") != 0
        bars = table_path(place.lake, "ES", "bar5s", DAY)
        said = place.log("full").splitlines()
        problem = next((line for line in said if f"cannot write {bars}: " in line), "")
        assert "No space left on device" in problem
        assert "make room and run the day again" in problem
        assert files(disk) == {ballast, table_path(disk, "ES", "clean_ticks", DAY)}
        assert tables(disk) == {"clean_ticks": whole["clean_ticks"]}

        ballast.unlink()
        place.materialise("again", DAY, within)
        assert place.end_of("again") == 0, place.log("again")
        assert tables(disk) == whole
        assert len(files(disk)) == len(whole)


def test_raw_file_replaced_while_read_fails_the_run_which_heals(
    place: Place, first: Path, second: Path
) -> None:
    raw, other = (day_file(folder, "ES", DAY) for folder in (place.raw, second / "raw"))
    place.materialise("replaced", DAY)
    (part,) = writing(place, runs=1)
    with stopped(writer_of(part)):
        assert part.exists()
        reading = psutil.Process(writer_of(part)).open_files()
        assert str(raw) in [file.path for file in reading]
        os.replace(shutil.copy(other, raw.with_name("arriving")), raw)

    assert place.end_of("replaced") != 0
    assert f"{raw}: replaced or removed while it was read; read it again" in place.log("replaced")
    assert files(place.lake) == set()

    place.materialise("again", DAY)
    assert place.end_of("again") == 0, place.log("again")
    assert tables(place.lake) == tables(second / "lake") != tables(first / "lake")
    assert place.hidden_files() == []


def delivery(folder: Path, seed: int) -> Path:
    """The folder, with a simulated `raw` delivery of `DAY` and the `lake` made of it."""
    simulate_day(day_file(folder / "raw", "ES", DAY), DAY, events=EVENTS, seed=seed)
    make_one_by_one(folder / "raw", folder / "lake")
    return folder


def files(lake: Path) -> set[Path]:
    """All files of a lake, hidden ones too."""
    return {path for path in lake.rglob("*") if path.is_file()}


def tables(lake: Path) -> dict[str, bytes]:
    """The tables of `DAY` by name, byte for byte."""
    paths = {stage.table: table_path(lake, "ES", stage.table, DAY) for stage in STAGES}
    return {table: path.read_bytes() for table, path in paths.items() if path.exists()}


def writing(place: Place, runs: int) -> list[Path]:
    """The hidden files of the first table, once so many runs are writing it."""

    def parts() -> list[Path] | None:
        found = place.hidden_files()
        return found if len(found) >= runs else None

    return place.eventually(f"{runs} runs write a table", parts, every=0.01)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that stands still during the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[list[str], Path]]:
    """A disk of 32 MB on a folder, seen only by some processes.

    Gives the command by way of which a process sees it, and the path by which this one does.
    """
    folder.mkdir()
    mount = 'mount -t tmpfs -o size=32m disk "$0" && echo mounted && exec cat'
    keeper = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        has_disk = keeper.stdout.readline() == "mounted\n"
        assert has_disk, "no small disk: have this system allow its users namespaces of their own"
        enter = ["nsenter", f"--target={keeper.pid}", "--user", "--mount", "--preserve-credentials"]
        yield [*enter, f"--wd={REPOSITORY}"], Path(f"/proc/{keeper.pid}/root{folder}")
    finally:
        keeper.communicate()


def free(disk: Path) -> int:
    """Bytes that fit on a disk yet."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize
