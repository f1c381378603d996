"""What a check says."""

from collections.abc import Mapping
from typing import NamedTuple

from resources.lake import LakeDay


class Finding(NamedTuple):
    """What a check found: whether it passed, in words, and the figures behind it."""

    passed: bool
    message: str
    figures: Mapping[str, int | float]


def found(fault: str, remedy: str, sound: str, figures: Mapping[str, int | float]) -> Finding:
    """A finding that fails if there is a fault, and then names it and its remedy."""
    return Finding(not fault, f"{fault}; {remedy}" if fault else sound, figures)


def make_again(tables: LakeDay, table: str) -> str:
    """The remedy for a table that contradicts itself or the one it was made of."""
    return (
        f"materialise {table} of {tables.day} again; if that does not help, the stage is at fault:"
        f" keep {tables.refused_path(table)} and report it"
    )
