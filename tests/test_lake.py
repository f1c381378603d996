"""The lake's files: how bars read them; a disk that fills up, a writer killed, two writers at once."""

import os
import resource
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from kernels.bar5s import read_ahead
from kernels.features import schema
from resources.atomic import whole_file
from resources.lake import (
    LakeDay,
    Made,
    TableMissing,
    UnreadableTable,
    read_facts,
    write_table,
)
from tests.conftest import DAY
from tests.place import REPOSITORY

ROWS = 300_000
WRITE = f"""
import resource, select, sys
from pathlib import Path
import polars as pl
from resources.lake import Made, write_table

path, fill, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
frame = pl.LazyFrame({{"row": range({ROWS})}}).with_columns(fill=fill)
print("ready", flush=True)
sys.stdin.readline()
is_told_to_end = False
while not is_told_to_end:
    write_table(Made(frame, {{"fill": fill}}), path)
    is_told_to_end = bool(select.select([sys.stdin], [], [], 0)[0])
"""
NO_LIMIT = resource.RLIM_INFINITY


def writer(path: Path, fill: int, limit: int = NO_LIMIT) -> subprocess.Popen:
    """A process about to write a table, into files of at most `limit` bytes.

    It begins at a line on its standard input, and writes over and over until that is closed; if
    that is closed at once, one time.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, *map(str, (path, fill, limit))],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen) -> None:
    """Have a writer write over and over."""
    print(file=process.stdin, flush=True)


def end(process: subprocess.Popen) -> None:
    """Have a writer finish; all it wrote went well."""
    _, error = process.communicate()
    assert process.returncode == 0, error


def content(path: Path) -> int:
    """The one value that fills a whole table; the same as its facts say."""
    rows, fills, fill = (
        pl.read_parquet(path)
        .select(pl.len(), pl.col("fill").n_unique().alias("fills"), pl.col("fill").first())
        .row(0)
    )
    assert (rows, fills) == (ROWS, 1)
    return fill


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table that is there, filled with 0."""
    path = tmp_path / "es" / "bar5s" / "2025-06-05.parquet"
    write_table(Made(pl.LazyFrame({"row": range(ROWS)}).with_columns(fill=0), {"fill": 0}), path)
    return path


def test_full_disk_leaves_the_former_table_and_says_what_to_do(table: Path) -> None:
    _, error = writer(table, 1, limit=10_000).communicate()
    assert f"cannot write {table}" in error
    assert "its inputs read, make room" in error
    assert list(table.parent.iterdir()) == [table]
    assert (content(table), read_facts(table)) == (0, {"fill": 0})

    end(writer(table, 1))
    assert (content(table), read_facts(table)) == (1, {"fill": 1})


def test_a_table_that_cannot_be_computed_blames_no_disk(tmp_path: Path) -> None:
    table = pl.LazyFrame({"row": ["one"]}).select(pl.col("row").str.to_integer())
    with pytest.raises(pl.exceptions.ComputeError, match="to_integer"):
        write_table(Made(table), tmp_path / "bar5s.parquet")
    assert list(tmp_path.iterdir()) == []


def test_killed_writer_leaves_the_former_table_and_the_next_clears_up(table: Path) -> None:
    process = writer(table, 1)
    begin(process)
    while not (parts := [path for path in table.parent.iterdir() if path != table]):
        assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert content(table) in (0, 1)

    write_table(Made(pl.LazyFrame({"row": range(ROWS)}).with_columns(fill=2)), table)
    assert list(table.parent.iterdir()) == [table], parts
    assert content(table) == 2


def test_what_a_killed_writer_left_is_cleared_up_though_its_number_is_in_use(table: Path) -> None:
    """In a container every start may have the same one; and a name is no pattern."""
    table = table.rename(table.with_name("bar**5s [1].parquet"))
    left, strange = (table.with_name(f".{table.name}.{pid}.0") for pid in (os.getpid(), "x"))
    for part in (left, strange):
        part.touch()
    os.utime(left, (0, 0))
    write_table(Made(pl.LazyFrame({"row": [1]})), table)
    assert sorted(table.parent.iterdir()) == sorted([table, strange])


def test_a_name_appears_once_its_data_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the file, then the folder that names it; else a power cut may leave an empty file."""
    path, fsync, synced = tmp_path / "file", os.fsync, []

    def note(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((os.fstat(descriptor).st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    with whole_file(path) as part:
        part.write_bytes(b"whole")
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_two_writers_and_a_reader_see_whole_tables_only(table: Path) -> None:
    writers = [writer(table, fill) for fill in (1, 2)]
    for process in writers:
        begin(process)
    seen = [content(table)]
    while min(seen.count(fill) for fill in (1, 2)) < 5:
        assert [process.poll() for process in writers] == [None, None]
        found = content(table)
        if found != seen[-1]:
            seen.append(found)
    for process in writers:
        end(process)
    assert set(seen) <= {0, 1, 2}
    assert list(table.parent.iterdir()) == [table]


def test_bars_read_a_row_group_at_a_time(tmp_path: Path) -> None:
    """Batches across row groups would decode both for each."""
    path = tmp_path / "clean_ticks.parquet"
    write_table(Made(pl.DataFrame(schema=schema("clean_ticks")).clear(ROWS)), path)
    footer = pq.read_metadata(path)
    row_groups = [footer.row_group(at).num_rows for at in range(footer.num_row_groups)]
    assert len(row_groups) > 2
    assert [batch.height for batch in read_ahead(pl.scan_parquet(path))] == row_groups


def test_a_folders_name_is_no_pattern(tmp_path: Path) -> None:
    tables = LakeDay(tmp_path / "lake[2]*", "ES", DAY)
    write_table(Made(pl.DataFrame({"row": [1]})), tables.path("bar5s"))
    write_table(
        Made(pl.DataFrame({"row": [2]})), LakeDay(tmp_path / "lake2", "ES", DAY).path("bar5s")
    )
    assert tables.scan("bar5s").collect()["row"].to_list() == [1]


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableMissing, match=f"no bar5s of ES for {DAY}: /.* materialise that"):
        LakeDay(tmp_path, "ES", DAY).scan("bar5s")


def test_a_file_that_someone_else_wrote_has_no_facts(tmp_path: Path) -> None:
    pl.DataFrame({"row": [1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(
        UnreadableTable, match=r"a\.parquet is not a table of this lake; materialise"
    ):
        read_facts(tmp_path / "a.parquet")


def test_a_refused_table_is_held_no_longer_and_in_no_readers_way(tmp_path: Path) -> None:
    tables, other = LakeDay(tmp_path, "ES", DAY), LakeDay(tmp_path, "ES", DAY - timedelta(days=1))
    for day, row in ((tables, 1), (other, 2)):
        write_table(Made(pl.DataFrame({"row": [row]})), day.path("bar5s"))
    tables.hold("bar5s", pl.DataFrame({"row": [1]}))
    tables.refuse("bar5s")
    with pytest.raises(TableMissing, match="was refused by its checks; materialise that day"):
        tables.scan("bar5s")
    assert pl.read_parquet(tmp_path / "es" / "bar5s")["row"].to_list() == [2]
    assert pl.read_parquet(tables.refused_path("bar5s"))["row"].to_list() == [1]
