"""Simulated days that several test files read; the local Databento and the days to draw."""

import os
import shutil
import sys
from collections.abc import Callable
from datetime import date, time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import polars as pl
import pytest

import kernels
from kernels.instrument import INSTRUMENTS, new_york
from pipeline_assets.order_book import Contract
from pipeline_assets.panel import PanelLake
from pipeline_assets.stages import STAGES, TradingDay
from resources.dbn import read_dbn
from resources.feed import FolderFeed
from resources.lake import LakeDay, write_table
from resources.simulated import simulate_day
from tests.place import REPOSITORY, without_settings

pytest_plugins = ["tests.databento_server", "tests.drawn_days"]

DAY = date(2025, 6, 5)


def pytest_configure() -> None:
    """Let no test see what the user has set, buy with the user's key, or leave this machine."""
    for name in os.environ.keys() - without_settings(os.environ).keys():
        del os.environ[name]


@pytest.fixture(scope="session")
def day_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, bool], Path]:
    """Path of the simulated DBN file of `DAY` with so many events, clean or dirty; written once."""
    folder = tmp_path_factory.mktemp("raw")

    @cache
    def write(events: int, dirt: bool) -> Path:
        path = folder / f"{events}-{'dirty' if dirt else 'clean'}" / "ES-20250605.dbn.zst"
        return simulate_day(path, DAY, events=events, seed=3, dirt=dirt)

    return write


@pytest.fixture(scope="session", params=[False, True], ids=["clean", "dirty"])
def dirt(request: pytest.FixtureRequest) -> bool:
    """Whether the day has the flaws of real files."""
    return request.param


@pytest.fixture(scope="session")
def morning_bars(day_file: Callable[[int, bool], Path]) -> pl.DataFrame:
    """Bars of a simulated morning."""
    ticks = ticks_of(day_file(15_000, False))
    opens, closes = (new_york(DAY, clock) for clock in (time(9, 30), time(11)))
    return kernels.bar5s(ticks.lazy()).filter(pl.col("bar_ts").is_between(opens, closes))


@pytest.fixture(scope="session")
def small_raw(day_file: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of raw files with a small clean `DAY`."""
    folder = tmp_path_factory.mktemp("raw_folder")
    (folder / "ES").symlink_to(day_file(50_000, False).parent)
    return folder


@pytest.fixture(scope="session")
def small_lake(small_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with the tables of that day; not to be written to."""
    return make_one_by_one(small_raw, tmp_path_factory.mktemp("lake"))


@pytest.fixture
def instance(tmp_path: Path) -> dg.DagsterInstance:
    """An instance as configured in the repository."""
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", tmp_path)
    return dg.DagsterInstance.from_config(str(tmp_path))


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[..., Ended]:
    """Runs a command by its `main` and arguments, in this process and a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def run(main: Callable[[], None], *arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
        return Ended(code, *capsys.readouterr())

    return run


def ticks_of(file: Path) -> pl.DataFrame:
    """The clean ticks of a raw file of ES and `DAY`."""
    return kernels.clean_ticks(read_dbn(file), INSTRUMENTS["ES"], DAY).ticks


def from_bars(bars: pl.DataFrame, day: date = DAY, point: float = 1.0) -> tuple[pl.DataFrame, ...]:
    """A day's bars and the tables that follow from them, in order."""
    levels = kernels.session_levels(bars, day)
    episodes = kernels.level_episodes(bars, levels, day, point)
    approach = kernels.approach_features(episodes, point)
    return bars, levels, episodes, approach, kernels.setup_vectors(approach)


def wired(raw: Path, lake: Path) -> dict[str, Any]:
    """Resources for assets made in this process, of raw files in a folder."""
    return {
        "feed": FolderFeed(raw),
        "contract": Contract(),
        "io_manager": PanelLake(base_dir=str(lake)),
    }


def make_one_by_one(raw: Path, lake: Path) -> Path:
    """The lake, with the tables of `DAY` made of the raw files of ES."""
    tables = LakeDay(lake, "ES", DAY)
    of = TradingDay(INSTRUMENTS["ES"], DAY, raw)
    for stage in STAGES:
        made = stage.make(of, **{table: tables.scan(table) for table in stage.reads})
        write_table(made, tables.path(stage.table))
    return lake
