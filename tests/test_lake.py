"""The lake's files: how bars read them; a disk that fills up, a writer killed, two writers at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from kernels.bar5s import read_ahead
from kernels.features import schema
from resources.lake import Made, read_facts, write_table

ROWS = 300_000
WRITE = f"""
import resource, signal, sys
from pathlib import Path
import polars as pl
from resources.lake import Made, write_table

path, fill, times, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
frame = pl.LazyFrame({{"row": range({ROWS})}}).with_columns(fill=fill)
print("ready", flush=True)
for _ in range(times):
    write_table(Made(frame, {{"fill": fill}}), path)
"""
ENDLESS, NO_LIMIT = 1_000_000, -1


def writer(path: Path, fill: int, times: int = 1, limit: int = NO_LIMIT) -> subprocess.Popen:
    """A process that writes a table so many times, into files of at most `limit` bytes."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, *map(str, (path, fill, times, limit))],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


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
    assert "make room" in error
    assert list(table.parent.iterdir()) == [table]
    assert (content(table), read_facts(table)) == (0, {"fill": 0})

    assert writer(table, 1).wait() == 0
    assert (content(table), read_facts(table)) == (1, {"fill": 1})


def test_killed_writer_leaves_the_former_table_and_the_next_clears_up(table: Path) -> None:
    process = writer(table, 1, times=ENDLESS)
    while not (parts := [path for path in table.parent.iterdir() if path != table]):
        assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert content(table) in (0, 1)

    write_table(Made(pl.LazyFrame({"row": range(ROWS)}).with_columns(fill=2)), table)
    assert list(table.parent.iterdir()) == [table], parts
    assert content(table) == 2


def test_two_writers_and_a_reader_see_whole_tables_only(table: Path) -> None:
    writers = [writer(table, fill, times=30) for fill in (1, 2)]
    seen = set()
    while any(process.poll() is None for process in writers):
        seen.add(content(table))
    assert [process.returncode for process in writers] == [0, 0]
    assert {1, 2} <= seen <= {0, 1, 2}
    assert list(table.parent.iterdir()) == [table]


def test_bars_read_a_row_group_at_a_time(tmp_path: Path) -> None:
    """Batches across row groups would decode both for each."""
    path = tmp_path / "clean_ticks.parquet"
    write_table(Made(pl.DataFrame(schema=schema("clean_ticks")).clear(ROWS)), path)
    footer = pq.read_metadata(path)
    row_groups = [footer.row_group(at).num_rows for at in range(footer.num_row_groups)]
    assert len(row_groups) > 2
    assert [batch.height for batch in read_ahead(pl.scan_parquet(path))] == row_groups
