"""The stages of a day, in order: which table each makes, of which tables, by which kernel.

The assets and the bulk job both walk this list, so a stage is computed in one way only.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import polars as pl

import kernels
from kernels.instrument import Instrument
from resources.dbn import scan_dbn
from resources.feed import raw_files
from resources.lake import Facts


class Day(NamedTuple):
    """One root's trading day, and where its raw files are looked for."""

    instrument: Instrument
    date: date
    raw: Path


class Made(NamedTuple):
    """A stage's table, and what it has to say beside it."""

    table: pl.DataFrame | pl.LazyFrame
    facts: Facts = MappingProxyType({})


class Stage(NamedTuple):
    """One stage: its table, its kernel, the tables it reads and the version of its numbers."""

    table: str
    kernel: Callable
    reads: tuple[str, ...]
    compute: Callable[..., Made]
    kinds: frozenset[str]
    version: str


def _clean_ticks(of: Day) -> Made:
    files = raw_files(of.raw, of.instrument.root, of.date)
    records = pl.concat([scan_dbn(path) for path in files])
    try:
        ticks, contract, dropped = kernels.clean_ticks(records, of.instrument, of.date)
    except kernels.UnusableDay as error:
        names = ", ".join(map(str, files))
        raise kernels.UnusableDay(f"{of.instrument.root} {of.date}, {names}: {error}.") from error
    facts = {"contract": contract, "files": ", ".join(path.name for path in files)}
    return Made(ticks, facts | {f"dropped/{reason}": count for reason, count in dropped.items()})


def _bar5s(of: Day, clean_ticks: pl.LazyFrame) -> Made:
    return Made(kernels.bar5s(clean_ticks, of.instrument.point))


def _session_levels(of: Day, bar5s: pl.LazyFrame) -> Made:
    return Made(kernels.session_levels(bar5s.collect(), of.date))


def _level_episodes(of: Day, bar5s: pl.LazyFrame, session_levels: pl.LazyFrame) -> Made:
    return Made(
        kernels.level_episodes(
            bar5s.collect(), session_levels.collect(), of.date, of.instrument.point
        )
    )


def _approach_features(of: Day, level_episodes: pl.LazyFrame) -> Made:
    return Made(kernels.approach_features(level_episodes.collect(), of.instrument.point))


def _setup_vectors(of: Day, approach_features: pl.LazyFrame) -> Made:
    return Made(kernels.setup_vectors(approach_features.collect()))


_POLARS, _NUMBA = frozenset({"polars"}), frozenset({"polars", "numba"})

STAGES = (
    Stage("clean_ticks", kernels.clean_ticks, (), _clean_ticks, _POLARS, "1"),
    Stage("bar5s", kernels.bar5s, ("clean_ticks",), _bar5s, _NUMBA, "1"),
    Stage("session_levels", kernels.session_levels, ("bar5s",), _session_levels, _POLARS, "1"),
    Stage(
        "level_episodes",
        kernels.level_episodes,
        ("bar5s", "session_levels"),
        _level_episodes,
        _NUMBA,
        "1",
    ),
    Stage(
        "approach_features",
        kernels.approach_features,
        ("level_episodes",),
        _approach_features,
        _NUMBA,
        "1",
    ),
    Stage(
        "setup_vectors", kernels.setup_vectors, ("approach_features",), _setup_vectors, _POLARS, "1"
    ),
)
