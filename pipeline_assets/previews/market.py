"""Figures of the whole market day: its ticks, and its bars."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kernels.features import ACTION
from pipeline_assets.previews import style
from pipeline_assets.words import counted

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MINUTE = timedelta(minutes=1)
_SPAN, _SPAN_MINUTES = 5 * _MINUTE, 5
"""What an action's rate is averaged over: single minutes of a quiet night are noise."""
_RARE_SHARE = 0.25
"""An action that occurs in a smaller share of the spans is drawn as points."""
_POINT = 3
"""Size of such a point."""
_FEW = 24
"""So few values are drawn as points too: a line through one of them is nothing."""
_LEAST_RATE = 0.7 / _SPAN_MINUTES
_ALL_COLOUR, _WIDEST_COLOUR = "#d9d9d4", "#bcdff4"

PRICE = ("bar_ts", "bar5s_microprice_eob")
"""The columns of the bars that the price is drawn from."""

_ACTIONS = {
    "A": ("add", style.BLUE),
    "C": ("cancel", style.ORANGE),
    "M": ("modify", style.GREEN),
    "T": ("trade", style.VERMILLION),
    "F": ("fill", style.PURPLE),
    "R": ("clear", style.BLACK),
    "N": ("none", style.SKY),
}
_LINES = {"C": (0, (4, 3))}
"""Cancels are nearly as many as adds, whose line has to be seen through theirs."""


def clean_ticks(ticks: pl.LazyFrame, dropped: Mapping[str, int]) -> Figure:
    """Ticks a minute by action, over what was dropped by reason.

    Args:
        ticks: table `clean_ticks`, of which three columns are read.
        dropped: number of records dropped, by reason.
    """
    what = "Ticks a minute by action"
    counts = _ticks_a_minute(ticks)
    if counts.is_empty():
        return style.notice(what, "no tick on this day")
    day = style.utc_day(counts["minute"])
    symbol = ticks.select("symbol").head(1).collect().item()
    kept = counts["len"].sum()
    figure = style.new_figure(
        500,
        style.heading(symbol, day, what),
        f"{counted(kept, 'tick')} kept, {sum(dropped.values()):,} dropped; grey by minute,"
        f" coloured the mean of {_SPAN_MINUTES} minutes",
    )
    axes = style.panel(figure, 76, 230, "ticks / min")
    _draw_actions(axes, counts.filter(pl.col("minute").dt.date() == day))
    _draw_dropped(style.panel(figure, 372, 82, left=150, right=170), dropped, kept)
    return figure


def _ticks_a_minute(ticks: pl.LazyFrame) -> pl.DataFrame:
    """Ticks by minute and action, in time order; only these two columns are read."""
    return (
        ticks.group_by(minute=pl.col("ts_event").dt.truncate("1m"), action="action")
        .len()
        .sort("minute")
        .collect(engine="streaming")
    )


def _draw_actions(axes: Axes, counts: pl.DataFrame) -> None:
    """All ticks by minute, and over them a line an action that occurs, points if it is rare.

    A span between two empty ones is a point too: a line through it alone is nothing.
    """
    spans = counts.group_by_dynamic("minute", every=_SPAN, group_by="action").agg(
        pl.col("len").sum() / _SPAN_MINUTES
    )
    start, end = spans["minute"].min(), spans["minute"].max() + _SPAN
    handles = [_draw_all_actions(axes, counts)]
    enough = max(_RARE_SHARE * (end - start) / _SPAN, 3)
    for action in ACTION.categories:
        of_action = spans.filter(pl.col("action") == action)
        if of_action.is_empty():
            continue
        name, colour = _ACTIONS[action]
        is_line = of_action.height >= enough
        rate = of_action.upsample("minute", every=_SPAN)
        if is_line:
            _draw_alone(axes, rate, colour)
        handles += axes.plot(
            style.days(rate["minute"] + _SPAN / 2),
            rate["len"].to_numpy(),
            linestyle=_LINES.get(action, "-") if is_line else "",
            marker="" if is_line else "o",
            markersize=_POINT,
            color=colour,
            linewidth=1.8 if action == "A" else 1.1,
            label=name,
        )
    axes.set_yscale("log")
    axes.set_ylim(bottom=_LEAST_RATE)
    axes.yaxis.set_major_formatter(style.plain_number)
    axes.minorticks_off()
    style.time_axis(axes, start, end)
    style.legend(axes, handles)


def _draw_alone(axes: Axes, rate: pl.DataFrame, colour: str) -> None:
    """Points where the spans before and after are empty."""
    before, after = pl.col("len").shift(1), pl.col("len").shift(-1)
    alone = rate.filter(before.is_null() & after.is_null())
    middles = style.days(alone["minute"] + _SPAN / 2)
    axes.plot(middles, alone["len"].to_numpy(), "o", markersize=_POINT, color=colour)


def _draw_all_actions(axes: Axes, counts: pl.DataFrame) -> Artist:
    """Ticks of every minute as a grey ground, which has holes where there are none."""
    total = counts.group_by("minute", maintain_order=True).agg(pl.col("len").sum())
    minutes = total.upsample("minute", every="1m").fill_null(0)
    return _draw_minutes(axes, minutes, "len", _LEAST_RATE / 2, _ALL_COLOUR, "all")


def _draw_minutes(
    axes: Axes, minutes: pl.DataFrame, values: str, base: float, colour: str, label: str
) -> Artist:
    """Values of consecutive minutes as steps filled down, or up, to a base."""
    edges = minutes["minute"].extend_constant(minutes["minute"][-1] + _MINUTE, 1)
    heights = minutes[values].to_numpy()
    return axes.fill_between(
        style.days(edges),
        np.append(heights, heights[-1]),
        base,
        step="post",
        color=colour,
        linewidth=0,
        label=label,
    )


def _draw_dropped(axes: Axes, dropped: Mapping[str, int], kept: int) -> None:
    """A bar a reason, also where nothing was dropped for it."""
    total = kept + sum(dropped.values())
    names = [reason.replace("_", " ") for reason in dropped]
    bars = axes.barh(range(len(names)), list(dropped.values()), color=style.PURPLE, height=0.7)
    style.name_ticks(axes.yaxis, range(len(names)), names)
    labels = [f"{count:,}  ({count / total:.2%})" for count in dropped.values()]
    axes.bar_label(bars, labels, padding=4, size=style.SMALL, color=style.INK)
    axes.invert_yaxis()
    axes.set_xlim(0, max(*dropped.values(), 1))
    axes.set_xlabel("records dropped (share of all)", size=style.TEXT, color=style.INK)
    axes.xaxis.set_major_formatter(style.plain_number)


def bar5s(bars: pl.DataFrame) -> Figure:
    """Microprice of every bar, with spread and traded volume by minute beneath."""
    what = "Microprice, spread and volume"
    if bars.is_empty():
        return style.notice(what, "no bar on this day")
    empty = (bars["bar5s_meta_msg_cnt_sum"] == 0).mean()
    spread = bars["bar5s_state_spread_pts_twa"].median()
    median = "no spread" if spread is None else f"median spread {spread:.3g} points"
    traded, bought, sold = (
        int(bars[f"bar5s_trade_{volume}_sum"].sum())
        for volume in ("vol", "aggbuy_vol", "aggsell_vol")
    )
    unknown = traded - bought - sold
    undrawn = f", {unknown:,} of unknown side not drawn" if unknown else ""
    figure = style.new_figure(
        600,
        style.heading(bars["symbol"][0], style.utc_day(bars["bar_ts"]), what),
        f"{counted(bars.height, 'bar')} of 5 s, {empty:.1%} without a tick; {median};"
        f" {counted(traded, 'contract')} traded{undrawn}",
    )
    price = style.panel(figure, 62, 250, "microprice (points)")
    spreads = style.panel(figure, 340, 80, "spread (points)", sharex=price)
    volume = style.panel(figure, 448, 100, "contracts / min", sharex=spreads)
    minutes = _bars_a_minute(bars)
    draw_price(price, bars)
    _draw_spread(spreads, minutes)
    _draw_volume(volume, minutes)
    style.time_axis(volume, minutes["minute"][0], minutes["minute"][-1] + _MINUTE)
    return figure


def draw_price(axes: Axes, bars: pl.DataFrame) -> None:
    """The microprice at each bar's end, interrupted where there is no two-sided book."""
    price = bars["bar5s_microprice_eob"]
    if price.null_count() == price.len():
        style.say(axes, "no two-sided book, so no microprice")
        return
    line = ".-" if price.len() <= _FEW else "-"
    axes.plot(style.days(bars["bar_ts"]), price.to_numpy(), line, color=style.INK, linewidth=0.9)
    axes.yaxis.set_major_formatter(style.plain_number)


def _bars_a_minute(bars: pl.DataFrame) -> pl.DataFrame:
    """Spread and traded volume of each minute, on the gapless grid of the bars."""
    spread = pl.col("bar5s_state_spread_pts_twa")
    return bars.group_by(minute=pl.col("bar_ts").dt.truncate("1m"), maintain_order=True).agg(
        spread=spread.mean(),
        widest=spread.max(),
        bought=pl.col("bar5s_trade_aggbuy_vol_sum").sum(),
        sold=-pl.col("bar5s_trade_aggsell_vol_sum").sum(),
    )


def _draw_spread(axes: Axes, minutes: pl.DataFrame) -> None:
    """Mean and widest spread of each minute, on a logarithmic axis: it has outliers."""
    from matplotlib.ticker import LogLocator

    least, most = minutes["spread"].min(), minutes["widest"].max()
    if least is None:
        style.say(axes, "no two-sided book, so no spread")
        return
    handles = [
        _draw_minutes(
            axes, minutes, "widest", least / 2, _WIDEST_COLOUR, "widest bar of the minute"
        ),
        *axes.plot(
            style.days(minutes["minute"] + _MINUTE / 2),
            minutes["spread"].to_numpy(),
            ".-" if minutes.height <= _FEW else "-",
            color=style.BLUE,
            linewidth=0.9,
            label="mean of the minute",
        ),
    ]
    axes.set_yscale("log")
    axes.set_ylim(least / 1.15, most * 1.15)
    axes.yaxis.set_major_locator(LogLocator(2, subs=(1, 1.5), numticks=3))
    axes.yaxis.set_major_formatter(style.plain_number)
    axes.minorticks_off()
    style.legend(axes, handles)


def _draw_volume(axes: Axes, minutes: pl.DataFrame) -> None:
    """Volume of each minute, buyers' up and sellers' down."""
    from matplotlib.ticker import MaxNLocator

    bars = [
        _draw_minutes(axes, minutes, "bought", 0, style.GREEN, "buyer aggressor"),
        _draw_minutes(axes, minutes, "sold", 0, style.VERMILLION, "seller aggressor"),
    ]
    axes.axhline(0, color=style.FAINT, linewidth=0.6)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(lambda volume, _: style.plain_number(abs(volume)))
    style.legend(axes, bars)
