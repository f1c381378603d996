"""Draws benchmarks/scaling.json as docs/pictures/scaling.png: seconds a date and peak memory.

python -m benchmarks.curves
"""

import json
import re
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.conftest import SCALING
from pipeline_assets.previews import style
from tests.place import REPOSITORY

PICTURE = REPOSITORY / "docs" / "pictures" / "scaling.png"
_CURVES = {
    "ticks": "million ticks of the day",
    "dirt": "times the flaws of a dirty day",
    "dates_at_once": "dates at once",
    "threads": "threads of one date",
}
_MILLION = 1e6


def draw() -> Figure:
    """A column a curve: seconds a date over peak memory of a process."""
    measured = json.loads(SCALING.read_text())["seconds"]
    figure = Figure((13, 6), dpi=style.DPI, facecolor=style.GROUND, layout="constrained")
    axes = figure.subplots(2, len(_CURVES), sharex="col", sharey="row", squeeze=False)
    for column, (curve, label) in enumerate(_CURVES.items()):
        found = {
            int(match[1]): one
            for name, one in measured.items()
            if (match := re.fullmatch(rf"{curve}\[(\d+)\]", name))
        }
        _draw_curve(axes[0, column], axes[1, column], _places(curve, list(found)), found.values())
        axes[1, column].set_xlabel(label)
    axes[0, 0].set(ylabel="seconds a date\n(median, least to most)", ylim=(0, None))
    axes[1, 0].set(ylabel="peak memory of a process, MB", ylim=(0, None))
    return figure


def _places(curve: str, values: list[int]) -> list[float] | list[str]:
    """Where a curve's points stand on its x axis; only ticks are on a scale."""
    return [value / _MILLION for value in values] if curve == "ticks" else list(map(str, values))


def _draw_curve(seconds: Axes, memory: Axes, x: Sequence, measured: Iterable[dict]) -> None:
    a_date = [[one[key] / one["dates"] for one in measured] for key in ("median", "least", "most")]
    median, least, most = map(np.array, a_date)
    spread = (median - least, most - median)
    seconds.errorbar(x, median, spread, marker="o", color=style.BLUE, capsize=3)
    megabytes = [one["peak_bytes"] / _MILLION for one in measured]
    memory.plot(x, megabytes, marker="o", color=style.PURPLE)
    for axes in (seconds, memory):
        axes.grid(True, color=style.GRID)
        axes.margins(x=0.1, y=0.1)


if __name__ == "__main__":
    draw().savefig(PICTURE)
    print(PICTURE)
