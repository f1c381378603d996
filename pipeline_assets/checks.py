"""Asset checks: what must hold of a day's tables, said in words a person can act on."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import dagster as dg
import polars as pl

from resources.lake import LakeDay


class Finding(NamedTuple):
    """What a check found: whether it passed, in words, and the figures behind it."""

    passed: bool
    message: str
    figures: Mapping[str, float] = MappingProxyType({})


class Check(NamedTuple):
    """One check of a table. An error (`is_fatal`) blocks what is downstream, an oddity warns."""

    table: str
    look: Callable[[LakeDay], Finding]
    is_fatal: bool

    @property
    def name(self) -> str:
        """The check's name in the UI, that of its function."""
        return self.look.__name__


def grid_is_gapless(tables: LakeDay) -> Finding:
    """Bars are strictly 5 s apart."""
    gaps = (
        tables.scan("bar5s")
        .select((pl.col("bar_ts").diff() != pl.duration(seconds=5)).sum())
        .collect()
        .item()
    )
    return Finding(
        gaps == 0,
        f"{gaps} of the bars do not follow the one before by 5 s; materialise the day again"
        if gaps
        else "every bar follows the one before by 5 s",
        {"gaps": gaps},
    )


CHECKS = (Check("bar5s", grid_is_gapless, is_fatal=True),)


def findings(tables: LakeDay, table: str) -> Iterator[tuple[Check, Finding]]:
    """What every check of a table finds."""
    for check in CHECKS:
        if check.table == table:
            yield check, check.look(tables)


def severity(check: Check) -> dg.AssetCheckSeverity:
    """How bad it is if a check fails."""
    return dg.AssetCheckSeverity.ERROR if check.is_fatal else dg.AssetCheckSeverity.WARN
