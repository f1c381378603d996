"""Figures of the episodes: what happens around their triggers, and their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from kernels.features import VECTOR_DIMS
from kernels.instrument import NEW_YORK
from kernels.level_episodes import FORWARD_BARS, OUTCOME_BARS
from pipeline_assets.previews import style
from pipeline_assets.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STEP_BARS = 6
"""Quartiles are over the bars of half a minute: of single bars they are mostly noise."""
_TICK_BARS = 24
_KINDS = {
    "break": style.BLUE,
    "chop": "#6f6f6f",
    "bounce": style.VERMILLION,
    style.PAST_DATA: style.PURPLE,
}
"""Colour of each kind of outcome, strong and weak together."""
_SERIES = {
    "distance": pl.col("bar5s_approach_abs_dist_to_level_pts_eob"),
    "book": pl.col("bar5s_state_obi10_eob") * pl.col("approach_direction"),
    "flow": pl.col("bar5s_lvl_flow_toward_net_sum"),
}
"""What is drawn; the imbalance is signed so that more than 0 leans the way price approaches."""

_CLIP = 3.0
_IQR_OF_NORMAL = 1.349
_GAP_COLUMNS, _GAP = 1, "#c8c8c2"
_LABEL_HEIGHT = 12
_MAP_TOP, _MAP_HEIGHT, _MAP_LEFT = 152, 440, 132
_MARK, _NAME_ABOVE = 4.2, 9
_ARROWS = {1: "▲", -1: "▼"}


def approach_features(approach: pl.DataFrame) -> Figure:
    """|Distance| to the level, imbalance and flow around the triggers, by kind of outcome."""
    what = "Around the triggers"
    if approach.is_empty():
        return style.notice(what, "no level was touched on this day, so there is nothing around it")
    kinds = approach.filter("is_trigger_bar").select(kind=_KIND)["kind"].value_counts()
    counts = dict(kinds.iter_rows())
    quartiles = _quartiles(approach)
    title = style.heading(approach["symbol"][0], style.utc_day(approach["trigger_bar_ts"]), what)
    figure = style.new_figure(
        640,
        title,
        "median and quartiles by outcome, in half minutes;"
        " imbalance above 0 leans the way price approaches, flow above 0 fills it up",
    )
    distance = style.panel(figure, 84, 190, "|distance| (points)")
    book = style.panel(figure, 296, 130, "ten-level\nimbalance (ratio)", sharex=distance)
    flow = style.panel(figure, 448, 130, "net flow in the way\n(contracts / bar)", sharex=book)
    for axes, series in zip((distance, book, flow), _SERIES, strict=True):
        _draw_quartiles(axes, quartiles, series)
        _shade_outcome_windows(axes)
    distance.set_ylim(bottom=0)
    _draw_bars_axis(flow)
    _kind_legend(distance, counts)
    return figure


_KIND = style.OUTCOME_LABEL.str.split("_").list.last().str.to_lowercase()


def _quartiles(approach: pl.DataFrame) -> pl.DataFrame:
    """Quartiles of each series by kind of outcome and step of bars from the trigger."""
    stats = {
        f"{name}_{quartile}": series.quantile(quartile / 4, "linear")
        for name, series in _SERIES.items()
        for quartile in (1, 2, 3)
    }
    return (
        approach.lazy()
        .filter(pl.col("bars_to_trigger").is_between(-FORWARD_BARS, FORWARD_BARS - 1))
        .group_by(kind=_KIND, bar=pl.col("bars_to_trigger") // _STEP_BARS * _STEP_BARS)
        .agg(**stats)
        .sort("bar")
        .collect()
    )


def _draw_quartiles(axes: Axes, quartiles: pl.DataFrame, series: str) -> None:
    for kind, colour in _KINDS.items():
        some = quartiles.filter(pl.col("kind") == kind)
        if some.is_empty():
            continue
        x = some["bar"].to_numpy() + (_STEP_BARS - 1) / 2
        low, median, high = (some[f"{series}_{quartile}"].to_numpy() for quartile in (1, 2, 3))
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        axes.plot(x, median, color=colour, linewidth=1.4)
    axes.axvline(0, color=style.INK, linewidth=0.8)


def _shade_outcome_windows(axes: Axes) -> None:
    """The bars the outcome is read from."""
    near, far = OUTCOME_BARS
    for start, end, alpha in ((0.5, near + 0.5, 0.05), (near + 0.5, far + 0.5, 0.1)):
        axes.axvspan(start, end, color=style.INK, alpha=alpha, linewidth=0)


def _draw_bars_axis(axes: Axes) -> None:
    from matplotlib.ticker import MultipleLocator

    axes.set_xlim(-FORWARD_BARS, FORWARD_BARS)
    axes.xaxis.set_major_locator(MultipleLocator(_TICK_BARS))
    axes.xaxis.set_major_formatter(lambda bar, _: f"{bar:+.0f}" if bar else "trigger")
    axes.set_xlabel(
        "bars of 5 s from the trigger; shaded: the windows the outcome is read from",
        size=style.TEXT,
        color=style.INK,
    )


def _kind_legend(axes: Axes, counts: dict[str, int]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, linewidth=3, label=f"{kind}  {counts.get(kind, 0)}")
        for kind, colour in _KINDS.items()
    ]
    style.legend(axes, handles)


class _Families(NamedTuple):
    """Where the dimensions of a vector stand in the heat map.

    columns: (147,) column of each dimension, families side by side with gaps between.
    centres: the middle column of each family.
    width: number of columns.
    """

    columns: np.ndarray
    centres: dict[str, float]
    width: int


def setup_vectors(vectors: pl.DataFrame) -> Figure:
    """The day's vectors as a heat map: an episode a row, a dimension a column, by family."""
    what = "Setup vectors"
    if vectors.is_empty():
        return style.notice(what, "no level was touched on this day, so there is no vector")
    rows = vectors.sort("trigger_bar_ts")
    figure = style.new_figure(
        684,
        style.heading(rows["symbol"][0], rows["date"][0], what),
        f"{counted(rows.height, 'episode')} in time order, {len(VECTOR_DIMS)} dimensions by family",
    )
    axes = style.panel(figure, _MAP_TOP, _MAP_HEIGHT, left=_MAP_LEFT, right=52)
    strip = style.panel(figure, _MAP_TOP, _MAP_HEIGHT, left=style.WIDTH - 46, right=24)
    _draw_map(axes, figure, _robust(rows["vector"].to_numpy()), _families())
    _draw_outcomes(strip, rows)
    _label_rows(axes, rows)
    if rows.height == 1:
        axes.text(
            0.5,
            0.5,
            "one episode has no others to be scaled against",
            transform=axes.transAxes,
            size=style.TEXT,
            color=style.FAINT,
            ha="center",
        )
    return figure


def _robust(vectors: np.ndarray) -> np.ndarray:
    """Each dimension less its median, over its robust spread; over its std where half are equal."""
    low, median, high = np.quantile(vectors, (0.25, 0.5, 0.75), axis=0)
    spread = (high - low) / _IQR_OF_NORMAL
    spread = np.where(spread > 0, spread, vectors.std(axis=0))
    return (vectors - median) / np.where(spread > 0, spread, 1.0)


def _families() -> _Families:
    """Dimensions by family, in the order in which families first appear in the catalogue."""
    by_family: dict[str, list[int]] = {}
    for dim, column in enumerate(VECTOR_DIMS):
        by_family.setdefault(column.family, []).append(dim)
    columns, centres, at = np.empty(len(VECTOR_DIMS), int), {}, 0
    for family, dims in by_family.items():
        columns[dims] = at + np.arange(len(dims))
        centres[family] = at + (len(dims) - 1) / 2
        at += len(dims) + _GAP_COLUMNS
    return _Families(columns, centres, at - _GAP_COLUMNS)


def _draw_map(axes: Axes, figure: Figure, scaled: np.ndarray, families: _Families) -> None:
    from matplotlib import colormaps

    cells = np.full((len(scaled), families.width), np.nan)
    cells[:, families.columns] = scaled
    colours = colormaps["RdBu_r"].with_extremes(bad=_GAP)
    image = axes.imshow(
        cells, cmap=colours, vmin=-_CLIP, vmax=_CLIP, aspect="auto", interpolation="nearest"
    )
    axes.spines[:].set_visible(False)
    _name_families(axes, families)
    bar = style.panel(figure, _MAP_TOP + _MAP_HEIGHT + 24, 12, left=_MAP_LEFT, right=420)
    figure.colorbar(image, cax=bar, orientation="horizontal", extend="both")
    bar.set_xlabel(
        "robust z = (value - median of the day) / (interquartile range / 1.349); over std if that is 0",
        size=style.SMALL,
        color=style.INK,
    )


def _name_families(axes: Axes, families: _Families) -> None:
    """A mark and a slanting name over the middle of each family."""
    style.name_ticks(axes.xaxis, [], [])
    over = axes.get_xaxis_transform()
    marks = [((at, 1), (at, 1 + _MARK / _MAP_HEIGHT)) for at in families.centres.values()]
    style.draw_lines(axes, marks, over, **style.MARK)
    for name, at in families.centres.items():
        axes.text(
            at,
            1 + _NAME_ABOVE / _MAP_HEIGHT,
            name,
            transform=over,
            size=style.SMALL,
            color=style.INK,
            va="bottom",
            rotation=50,
            rotation_mode="anchor",
        )


def _draw_outcomes(axes: Axes, rows: pl.DataFrame) -> None:
    """A strip with the colour of each episode's outcome, explained above the map."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    labels = rows.select(style.OUTCOME_LABEL)["outcome"]
    names = list(style.OUTCOME_COLOURS)
    codes = np.array([[names.index(outcome)] for outcome in labels])
    colours = ListedColormap(list(style.OUTCOME_COLOURS.values()))
    axes.imshow(
        codes,
        cmap=colours,
        vmin=-0.5,
        vmax=len(names) - 0.5,
        aspect="auto",
        interpolation="nearest",
    )
    style.name_ticks(axes.xaxis, [], [])
    style.name_ticks(axes.yaxis, [], [])
    axes.spines[:].set_visible(True)
    handles = [
        Patch(facecolor=colour, edgecolor=style.INK, linewidth=0.7, label=style.plain_name(name))
        for name, colour in style.OUTCOME_COLOURS.items()
    ]
    style.legend(axes, handles, above=78)


def _label_rows(axes: Axes, rows: pl.DataFrame) -> None:
    """Trigger time, level and direction of as many rows as have room."""
    every = -(-rows.height * _LABEL_HEIGHT // _MAP_HEIGHT)
    shown = rows.with_row_index("row").gather_every(every)
    clocks = shown["trigger_bar_ts"].dt.convert_time_zone(NEW_YORK.key).dt.strftime("%H:%M")
    names = [
        f"{clock}  {style.plain_name(level)} {_ARROWS[direction]}"
        for clock, level, direction in zip(
            clocks, shown["level_type"], shown["approach_direction"], strict=True
        )
    ]
    style.name_ticks(axes.yaxis, shown["row"], names)
    axes.tick_params(axis="y", labelsize=style.SMALL - 1)
