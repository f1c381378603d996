"""A day whose only raw file is a given one, as either lane makes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pipeline_assets.stages
from kernels.features import TABLES
from kernels.instrument import Instrument
from pipeline_assets.stages import STAGES, TradingDay, make_tables
from resources.lake import LakeDay, write_table
from tests.conftest import DAY


@contextmanager
def day_of(path: Path, roll: str) -> Iterator[TradingDay]:
    """The day whose only raw file is this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_assets.stages, "raw_files", lambda *_: [path])
        yield TradingDay(Instrument("ES", roll=roll), DAY, path.parent)


def clean(path: Path, out: Path, roll: str = "volume") -> None:
    """Read, clean and write one file as the asset does."""
    with day_of(path, roll) as of:
        write_table(STAGES[0].make(of), out)


def make_all(path: Path, out: Path, roll: str) -> None:
    """Make every table of one file, as the bulk lane does."""
    with day_of(path, roll) as of:
        list(make_tables(of, LakeDay(out.parent, "ES", DAY), TABLES))
