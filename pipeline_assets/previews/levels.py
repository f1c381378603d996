"""Figures of the session: its price, its levels and what happened at them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kernels.instrument import CASH_OPEN, EPISODES_END, NEW_YORK, new_york
from pipeline_assets.previews import style
from pipeline_assets.previews.market import draw_price
from pipeline_assets.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVEL_STYLES = {
    "PM_HIGH": (style.PURPLE, "-"),
    "PM_LOW": (style.PURPLE, "--"),
    "OR_HIGH": (style.GREEN, "-"),
    "OR_LOW": (style.GREEN, "--"),
}
_WINDOWS = {"PM_HIGH": "pre-market", "OR_HIGH": "opening range"}
_LABEL_MARGIN = 138
_LABEL_HEIGHT = 15
_MARKER_OFFSET_POINTS = 6
_AROUND_SESSION = timedelta(minutes=10)
_DIRECTIONS = {1: ("^", "from below", "▲"), -1: ("v", "from above", "▼")}


def session_levels(bars: pl.DataFrame, levels: pl.DataFrame) -> Figure:
    """The price from the pre-market on, the windows the levels come from, and the levels."""
    what = "Session levels"
    if levels.is_empty():
        return style.notice(what, "no level on this day")
    day, symbol = levels["date"][0], levels["symbol"][0]
    title = style.heading(symbol, day, what)
    opens, ends = levels["formed_from"].min(), new_york(day, EPISODES_END)
    session = _between(bars, opens, ends)
    if session.is_empty():
        return style.notice(title, _no_bar(opens, ends))
    figure = style.new_figure(430, title, _level_words(levels))
    axes = style.panel(figure, 62, 316, "microprice (points)", right=_LABEL_MARGIN)
    draw_price(axes, session)
    for window in levels.iter_rows(named=True):
        if window["level_type"] in _WINDOWS:
            _shade(axes, window)
    _draw_levels(axes, levels, "formed_from", ends)
    style.time_axis(axes, opens, ends)
    return figure


def level_episodes(bars: pl.DataFrame, levels: pl.DataFrame, episodes: pl.DataFrame) -> Figure:
    """Every trigger on the session's price and levels, and the outcome's score beneath."""
    what = "Level episodes"
    if levels.is_empty():
        return style.notice(what, "no level on this day")
    day, symbol = levels["date"][0], levels["symbol"][0]
    title = style.heading(symbol, day, what)
    opens = new_york(day, CASH_OPEN) - _AROUND_SESSION
    ends = new_york(day, EPISODES_END) + _AROUND_SESSION
    session = _between(bars, opens, ends)
    if session.is_empty():
        return style.notice(title, _no_bar(opens, ends))
    triggers = _triggers(episodes)
    figure = style.new_figure(600, title, _trigger_words(triggers))
    price = style.panel(figure, 84, 330, "microprice (points)", right=_LABEL_MARGIN)
    score = style.panel(figure, 436, 112, "score (points)", right=_LABEL_MARGIN, sharex=price)
    draw_price(price, session)
    _draw_levels(price, levels, "valid_from", ends)
    _mark(price, triggers)
    _draw_scores(score, triggers)
    _outcome_legend(price, triggers)
    style.time_axis(score, opens, ends)
    return figure


def _between(bars: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    return bars.filter(pl.col("bar_ts").is_between(start, end, closed="left"))


def _no_bar(start: datetime, end: datetime) -> str:
    clocks = (f"{instant.astimezone(NEW_YORK):%H:%M}" for instant in (start, end))
    return f"no bar between {' and '.join(clocks)} New York"


def _level_words(levels: pl.DataFrame) -> str:
    """How far each window's levels lie apart."""
    prices = dict(levels.select("level_type", "level_price").iter_rows())
    words = []
    for high, window in _WINDOWS.items():
        top, bottom = prices[high], prices[high.replace("HIGH", "LOW")]
        words.append(
            f"no {window} levels" if top is None else f"{window} {top - bottom:,.2f} points wide"
        )
    return ", ".join(words)


def _shade(axes: Axes, window: dict) -> None:
    """The window a pair of levels is formed in."""
    start, end = style.days(pl.Series([window["formed_from"], window["formed_to"]]))
    colour, _ = _LEVEL_STYLES[window["level_type"]]
    axes.axvspan(start, end, color=colour, alpha=0.1, linewidth=0)
    axes.annotate(
        _WINDOWS[window["level_type"]],
        ((start + end) / 2, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, -4),
        textcoords="offset points",
        size=style.SMALL,
        color=style.FAINT,
        ha="center",
        va="top",
    )


def _draw_levels(axes: Axes, levels: pl.DataFrame, since: str, until: datetime) -> None:
    """A line a level, named and priced at the right edge."""
    known = levels.drop_nulls("level_price").sort("level_price")
    if known.is_empty():
        axes.margins(y=0.08)
        return
    end = style.days(pl.Series([until]))[0]
    starts = style.days(known[since])
    prices = known["level_price"].to_numpy()
    for level, start, price in zip(known["level_type"], starts, prices, strict=True):
        colour, dashes = _LEVEL_STYLES[level]
        axes.plot([start, end], [price, price], dashes, color=colour, linewidth=1.6, zorder=1.5)
    axes.margins(y=0.08)
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height
    heights = _apart(prices, _LABEL_HEIGHT * (high - low) / height)
    beside = axes.get_yaxis_transform()
    leaders = [((1, price), (1.015, y)) for price, y in zip(prices, heights, strict=True)]
    colours = [_LEVEL_STYLES[level][0] for level in known["level_type"]]
    style.draw_lines(axes, leaders, beside, colors=colours, linewidth=1, clip_on=False)
    for level, price, y in zip(known["level_type"], prices, heights, strict=True):
        axes.text(
            1.02,
            y,
            f"{style.plain_name(level)}  {price:,.2f}",
            transform=beside,
            size=style.SMALL,
            color=style.INK,
            va="center",
        )


def _apart(heights: np.ndarray, least: float) -> np.ndarray:
    """Ascending heights moved as little as it takes to lie `least` apart."""
    steps = np.arange(len(heights)) * least
    pushed = np.maximum.accumulate(heights - steps) + steps
    return pushed - (pushed - heights).mean()


def _triggers(episodes: pl.DataFrame) -> pl.DataFrame:
    """One row an episode, in time order, its outcome as text."""
    return (
        episodes.filter("is_trigger_bar")
        .select(
            "trigger_bar_ts",
            "level_price",
            "approach_direction",
            style.OUTCOME_LABEL,
            "outcome_score",
        )
        .sort("trigger_bar_ts")
    )


def _trigger_words(triggers: pl.DataFrame) -> str:
    if triggers.is_empty():
        return f"no level was touched between {CASH_OPEN:%H:%M} and {EPISODES_END:%H:%M}"
    counts = [
        f"{(triggers['approach_direction'] == direction).sum()} {words} {glyph}"
        for direction, (_, words, glyph) in _DIRECTIONS.items()
    ]
    return f"{counted(triggers.height, 'trigger')}: {', '.join(counts)}"


def _mark(axes: Axes, triggers: pl.DataFrame) -> None:
    """A triangle a trigger, on the side price comes from, pointing the way it goes."""
    from matplotlib.transforms import ScaledTranslation

    for direction, (marker, _, _) in _DIRECTIONS.items():
        some = triggers.filter(pl.col("approach_direction") == direction)
        beside = ScaledTranslation(
            0, -direction * _MARKER_OFFSET_POINTS / 72, axes.figure.dpi_scale_trans
        )
        axes.scatter(
            style.days(some["trigger_bar_ts"]),
            some["level_price"].to_numpy(),
            s=44,
            marker=marker,
            c=[style.OUTCOME_COLOURS[outcome] for outcome in some["outcome"]],
            edgecolors=style.INK,
            linewidths=0.7,
            transform=axes.transData + beside,
            zorder=3,
        )


def _draw_scores(axes: Axes, triggers: pl.DataFrame) -> None:
    """A bar a trigger: mean distance beyond the level in the outcome's windows."""
    if triggers.is_empty():
        style.say(axes, "no trigger")
        return
    colours = [style.OUTCOME_COLOURS[outcome] for outcome in triggers["outcome"]]
    x, scores = style.days(triggers["trigger_bar_ts"]), triggers["outcome_score"].fill_null(0)
    axes.axhline(0, color=style.FAINT, linewidth=0.8)
    axes.vlines(x, 0, scores.to_numpy(), colors=colours, linewidth=2)
    axes.scatter(x, scores, s=16, c=colours, edgecolors=style.INK, linewidths=0.5, zorder=3)
    axes.margins(y=0.15)


def _outcome_legend(axes: Axes, triggers: pl.DataFrame) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="",
            markersize=7,
            markerfacecolor=colour,
            markeredgecolor=style.INK,
            markeredgewidth=0.7,
            label=f"{style.plain_name(outcome)}  {(triggers['outcome'] == outcome).sum()}",
        )
        for outcome, colour in style.OUTCOME_COLOURS.items()
    ]
    style.legend(axes, handles)
