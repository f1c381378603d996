"""Asset checks: what must hold of a day's tables, said in words a person can act on."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import dagster as dg

from pipeline_assets.checks import bars, episodes, ticks, vectors
from pipeline_assets.checks.finding import Finding
from resources.lake import LakeDay

__all__ = ["CHECKS", "Check", "Finding", "findings", "judge"]


class Check(NamedTuple):
    """One check of a table. An error (`is_fatal`) refuses the table, an oddity warns.

    look: what it finds, looking at the day's tables, or at what `_READ_ONCE` makes of them.
    """

    table: str
    look: Callable[[Any], Finding]
    is_fatal: bool

    @property
    def name(self) -> str:
        """The check's name in the UI, that of its function."""
        return self.look.__name__

    @property
    def severity(self) -> dg.AssetCheckSeverity:
        """How bad it is if it fails."""
        return dg.AssetCheckSeverity.ERROR if self.is_fatal else dg.AssetCheckSeverity.WARN


CHECKS = (
    Check("clean_ticks", ticks.ticks_are_in_time_order, is_fatal=True),
    Check("clean_ticks", ticks.no_book_is_crossed, is_fatal=True),
    Check("clean_ticks", ticks.ticks_are_of_the_day, is_fatal=True),
    Check("clean_ticks", ticks.ticks_span_the_session, is_fatal=False),
    Check("clean_ticks", ticks.bad_books_are_rare, is_fatal=False),
    Check("clean_ticks", ticks.few_books_were_dropped, is_fatal=False),
    Check("clean_ticks", ticks.front_contract_holds, is_fatal=False),
    Check("bar5s", bars.grid_is_gapless, is_fatal=True),
    Check("bar5s", bars.ticks_are_conserved, is_fatal=True),
    Check("bar5s", bars.volumes_balance, is_fatal=True),
    Check("session_levels", episodes.lows_lie_below_highs, is_fatal=True),
    Check("session_levels", episodes.levels_lie_in_the_days_range, is_fatal=True),
    Check("level_episodes", episodes.one_trigger_an_episode, is_fatal=True),
    Check("level_episodes", episodes.bars_run_through_the_trigger, is_fatal=True),
    Check("level_episodes", episodes.outcomes_are_plausible, is_fatal=False),
    Check("approach_features", episodes.rows_are_those_of_the_episodes, is_fatal=True),
    Check("setup_vectors", vectors.one_vector_an_episode, is_fatal=True),
    Check("setup_vectors", vectors.vectors_are_finite, is_fatal=True),
    Check("setup_vectors", vectors.no_dimension_is_constant, is_fatal=False),
)

_READ_ONCE = {"clean_ticks": ticks.Ticks.of}
"""For a table too large to be read by each of its checks: what they look at, read once for all."""


def findings(tables: LakeDay, table: str) -> Iterator[tuple[Check, Finding]]:
    """What each check of a table finds."""
    looked_at = _READ_ONCE[table](tables) if table in _READ_ONCE else tables
    for check in CHECKS:
        if check.table == table:
            yield check, check.look(looked_at)


def judge(tables: LakeDay, table: str) -> list[tuple[Check, Finding]]:
    """What every check finds in a table just written; an error refuses the table.

    So does a check that cannot be made.
    """
    try:
        found = list(findings(tables, table))
    except BaseException:
        tables.refuse(table)
        raise
    if any(check.is_fatal and not finding.passed for check, finding in found):
        tables.refuse(table)
    return found
