"""Draws benchmarks/scaling.json as docs/pictures/scaling.png: seconds a date and peak memory.

python -m benchmarks.curves
"""

import json
import re

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.conftest import SCALING
from pipeline_assets.previews import style
from tests.live import REPOSITORY

PICTURE = REPOSITORY / "docs" / "pictures" / "scaling.png"
_CURVES = {
    "ticks": "ticks of the day",
    "dirt": "times the flaws of a dirty day",
    "dates_at_once": "dates at once",
    "threads": "threads of one date",
}


def draw() -> Figure:
    """A column a curve: seconds a date over peak memory of a process."""
    measured = json.loads(SCALING.read_text())["seconds"]
    figure = Figure((13, 6), dpi=style.DPI, facecolor=style.GROUND, layout="constrained")
    axes = figure.subplots(2, len(_CURVES), sharex="col", squeeze=False)
    for column, (curve, label) in enumerate(_CURVES.items()):
        found = {
            int(match[1]): one
            for name, one in measured.items()
            if (match := re.fullmatch(rf"{curve}\[(\d+)\]", name))
        }
        x, values = list(found), list(found.values())
        dates = [one["dates"] for one in values]
        upper, lower = axes[0, column], axes[1, column]
        medians = [one["median"] / n for one, n in zip(values, dates, strict=True)]
        spread = [
            [abs(one[end] / n - m) for one, n, m in zip(values, dates, medians, strict=True)]
            for end in ("least", "most")
        ]
        upper.errorbar(x, medians, spread, marker="o", color=style.BLUE, capsize=3)
        lower.plot(x, [one["peak_bytes"] / 1e6 for one in values], marker="o", color=style.PURPLE)
        lower.set_xlabel(label)
        _scale(curve, x, upper, lower)
    axes[0, 0].set_ylabel("seconds a date (median, least to most)")
    axes[1, 0].set_ylabel("peak memory of a process, MB")
    return figure


def _scale(curve: str, x: list[int], upper: Axes, lower: Axes) -> None:
    """Ticks on the values measured; decades of ticks and dirt as such."""
    for axes in (upper, lower):
        axes.set_ylim(bottom=0)
        axes.grid(True, color=style.GRID)
    if curve == "ticks":
        upper.set(xscale="log", yscale="log", ylim=(0.5, None))
    elif curve == "dirt":
        upper.set_xscale("symlog", linthresh=1)
    else:
        lower.set_xticks(x)


if __name__ == "__main__":
    draw().savefig(PICTURE)
    print(PICTURE)
