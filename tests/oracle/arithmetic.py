"""A table's rows, and the ratios, differences and means of their values."""

from statistics import fmean
from typing import Any

Row = dict[str, Any]


def ratio(numerator: float, denominator: float) -> float:
    """The quotient, and 0 where the denominator is 0."""
    return numerator / denominator if denominator else 0.0


def imbalance(a: float, b: float) -> float:
    return ratio(a - b, a + b)


def minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def present(values: list) -> list:
    return [value for value in values if value is not None]


def column(rows: list[Row], name: str) -> list:
    return [row[name] for row in rows]


def named(template: str, words: str) -> list[str]:
    """The template filled with every word in turn."""
    return [template.format(word) for word in words.split()]


def mean(values: list[float | None]) -> float | None:
    return fmean(present(values)) if present(values) else None
