"""Simulated days that several test files read."""

from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from resources.simulated import simulate_day

DAY = date(2025, 6, 5)


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
