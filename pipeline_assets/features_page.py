"""docs/features.md, the catalogue as a page to read.

python -m pipeline_assets.features_page
"""

import argparse
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import kernels
from kernels.features import (
    BAND_EDGES,
    BANDS,
    FAMILIES,
    LEVELS,
    NEAR_BANDS,
    SOURCES,
    TABLES,
    UNITS,
    VECTOR_DIMS,
    WINDOWS,
    Column,
)
from resources.atomic import whole_file

PAGE = Path(__file__).parents[1] / "docs" / "features.md"

PLACEHOLDERS = {
    "level": tuple(f"{level:02d}" for level in range(LEVELS)),
    "band": BANDS,
    "near": NEAR_BANDS,
    "w": tuple(map(str, WINDOWS)),
}
"""Placeholders in the name of a row of columns that differ in that part only, and the parts."""

_REPEATED = {
    "level": (r"(?<=[_l])0\d(?=_|$)", r"(?<=level )\d"),
    "band": (r"p\d+_\d+", r"p\d+_\d+"),
    "w": (r"(?<=_w)\d+$", r"(?<=t-)\d+|(?<=\) / )\d+|(?<=_w)\d+"),
}
"""Patterns of the repeated part, in names and in meanings."""

_CARRIED = {"level_episodes": "bar5s", "approach_features": "level_episodes"}
"""Tables that hold another's columns unchanged."""

_SYMBOLS = {
    "point": "price of one index point; every distance in points is a price difference over it",
    "p": "the microprice",
    "bid0, ask0; b0, a0": "best bid and ask price; their sizes",
    "B, A": "bid and ask size of all ten levels",
    "px": "price of a level or event",
    "L": "price of the session level",
    "x[t], x[t-w]": "a series at this bar and w bars before",
    "_eob, _twa, _sum": "at the bar's end; time-weighted average over the bar; over the bar's records",
    "(future)": "uses what came after the trigger; no other column does",
    "third": "of n bars max(1, n // 3) are early, as many mid, the rest late",
}


class Row(NamedTuple):
    """Columns that share a row: `shown` has a placeholder where they differ."""

    shown: Column
    columns: tuple[Column, ...]


def fold(columns: Iterable[Column]) -> Iterator[Row]:
    """Rows of columns, in order; those that differ only in level, band or window share one."""
    alike: dict[Column, list[tuple[str, Column]]] = {}
    for column in columns:
        template, part = _template(column)
        alike.setdefault(template, []).append((part, column))
    places = {parts: name for name, parts in PLACEHOLDERS.items()}
    for template, members in alike.items():
        parts, folded = zip(*members, strict=True)
        if parts in places:
            yield Row(_filled(template, f"{{{places[parts]}}}"), folded)
        else:
            yield from (Row(column, (column,)) for column in folded)


_PART = "\0"


def _template(column: Column) -> tuple[Column, str]:
    """The column with its repeated part blanked, and that part; "" where nothing repeats."""
    for in_name, in_meaning in _REPEATED.values():
        if found := re.search(in_name, column.name):
            name = re.sub(in_name, _PART, column.name)
            meaning = re.sub(in_meaning, _PART, column.meaning)
            return replace(column, name=name, meaning=meaning), found[0]
    return column, ""


def _filled(template: Column, placeholder: str) -> Column:
    name, meaning = (text.replace(_PART, placeholder) for text in (template.name, template.meaning))
    return replace(template, name=name, meaning=meaning)


def page() -> str:
    """The page's Markdown: contents, words, each asset's table of columns, the vector's dimensions."""
    sections = [_head(), _words(), *(_table(name) for name in TABLES), _vector()]
    return "\n\n".join(sections) + "\n"


def _head() -> str:
    contents = [
        "- [Words](#words): placeholders, bands, symbols, units, families",
        *(
            f"- [{name}](#{name}), {len(columns)} columns: {_summary(name)}"
            for name, columns in TABLES.items()
        ),
        f"- [vector](#vector): the {len(VECTOR_DIMS)} dimensions of a setup vector",
    ]
    return "\n".join(
        [
            "# Features",
            "",
            "Every column of every table, from the catalogue ([kernels/features.py]"
            "(../kernels/features.py)). Written by `make docs`; do not edit.",
            "What does not fit on one line is in [definitions.md](definitions.md).",
            "",
            *contents,
        ]
    )


def _summary(table: str) -> str:
    """What a table holds: the first line of its stage's docstring."""
    return inspect.getdoc(getattr(kernels, table)).partition("\n")[0]


def _words() -> str:
    lower_edges = ("", *(f"{edge:g} < " for edge in BAND_EDGES))
    bands = {
        f"`{band}`": f"{low}d <= {high:g}"
        for band, low, high in zip(BANDS, lower_edges, BAND_EDGES, strict=False)
    }
    places = {
        f"`{{{name}}}`": ", ".join(f"`{part}`" for part in parts)
        for name, parts in PLACEHOLDERS.items()
    }
    return "\n\n".join(
        [
            "## Words",
            "Columns that differ only in level, band or window share a row:",
            _markdown(("in a name", "stands for"), places.items()),
            "A band holds what lies d points from the microprice (or from the level, d > 0, where the"
            " formula says so):",
            _markdown(("band", "distance"), bands.items()),
            "Missing is null, never NaN. A ratio whose denominator is 0 is 0. A bar's book is the"
            " latest two-sided one; before the first, everything taken from it is null.",
            _markdown(("symbol", "meaning"), _SYMBOLS.items()),
            _markdown(("unit", "meaning"), UNITS.items()),
            "A unit may be per bar (`/bar`) or per bar squared (`/bar^2`).",
            _markdown(("family", "what it says"), FAMILIES.items()),
        ]
    )


def _table(name: str) -> str:
    columns = TABLES[name]
    upstream = _CARRIED.get(name)
    carried = [column for column in columns if upstream and column in TABLES[upstream]]
    own = [column for column in columns if column not in carried]
    paragraphs = [f"## {name}", f"{_summary(name)} [Definitions](definitions.md#{name})."]
    paragraphs.append(
        _markdown(
            ("column", "dtype", "unit", "family", "formula"),
            (
                (f"`{it.name}`", type(it.dtype).__name__, it.unit, it.family, it.meaning)
                for it, _ in fold(own)
            ),
        )
    )
    if carried:
        paragraphs.append(_carried(carried, upstream))
    return "\n\n".join(paragraphs)


def _carried(columns: list[Column], upstream: str) -> str:
    if len(columns) == len(TABLES[upstream]):
        return f"Carried over unchanged: all {len(columns)} columns of [{upstream}](#{upstream})."
    names = ", ".join(f"`{row.shown.name}`" for row in fold(columns))
    return f"Carried over unchanged: {len(columns)} columns of [{upstream}](#{upstream}). {names}."


def _vector() -> str:
    return "\n\n".join(
        [
            "## vector",
            "The numbers of `setup_vectors.vector`, by index from 0, all Float64, true as 1. A"
            " missing value becomes the number under *null as*, so that every value is finite.",
            _markdown(("source", "meaning"), SOURCES.items()),
            _markdown(
                ("index", "dimension", "unit", "family", "source", "null as", "formula"),
                (
                    (
                        str(index),
                        f"`{dim.name}`",
                        dim.unit,
                        dim.family,
                        dim.source,
                        f"{dim.null_as:g}",
                        dim.meaning,
                    )
                    for index, dim in enumerate(VECTOR_DIMS)
                ),
            ),
        ]
    )


def _markdown(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; cells are escaped."""
    lines = [heads, ("---",) * len(heads), *(tuple(map(in_markdown, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_markdown(text: str) -> str:
    """The text with names set as code, and what Markdown would take for its own escaped."""
    if text.startswith("`"):
        return text
    return re.sub(r"[\w{}]*_[\w{}]*", r"`\g<0>`", re.sub(r"[|*]", r"\\\g<0>", text))


def main() -> None:
    """Write the page in its place."""
    argparse.ArgumentParser(
        prog="python -m pipeline_assets.features_page",
        description="Write docs/features.md from the catalogue.",
    ).parse_args()
    with whole_file(PAGE) as part:
        part.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
