"""What the pictures show: the tables' own prices, triggers, outcomes, quartiles and vectors."""

import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.dates import num2date
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image, ImageChops

import kernels
from kernels.features import TABLES, VECTOR_DIMS
from kernels.instrument import NEW_YORK
from pipeline_assets.previews import levels, market, style
from pipeline_assets.previews.letters import Label, take_words, write
from pipeline_assets.previews.ticks import draw_ticks
from tests.conftest import DAY
from tests.drawn_days import figures, pictures, run, words


def test_price_is_drawn_where_the_bars_are(drawn_day):
    price = figures(drawn_day)["bar5s"].axes[0].lines[0]
    known = drawn_day.bars.drop_nulls("bar5s_microprice_eob")
    drawn = ~np.isnan(price.get_ydata())
    assert price.get_ydata()[drawn].tolist() == known["bar5s_microprice_eob"].to_list()
    first = num2date(price.get_xdata()[drawn][0])
    assert abs(first - known["bar_ts"][0]) < timedelta(milliseconds=1)


def test_trades_of_unknown_side_are_said_not_drawn(drawn_day):
    trades = drawn_day.ticks.filter(action="T").collect()
    unknown = trades.filter(side="N")["size"].sum()
    assert unknown > 0
    said = f"{trades['size'].sum():,} contracts traded, {unknown:,} of unknown side not drawn"
    assert said in words(figures(drawn_day)["bar5s"])
    known = drawn_day.ticks.filter(pl.col("action").ne("T") | pl.col("side").ne("N"))
    assert "not drawn" not in words(market.bar5s(kernels.bar5s(known)))


def test_triggers_are_marked_by_direction_and_coloured_by_outcome(drawn_day):
    price = figures(drawn_day)["level_episodes"].axes[0]
    upward, downward = markers(price)
    assert drawn_day.vectors.height > 5
    for marks, direction in ((upward, 1), (downward, -1)):
        some = drawn_day.vectors.filter(approach_direction=direction).sort("trigger_bar_ts")
        x, y = marks.get_offsets().data.T
        assert x == pytest.approx(style.days(some["trigger_bar_ts"]))
        assert y == pytest.approx(some["level_price"].to_numpy())
        marked = marks.get_offset_transform().transform(marks.get_offsets())
        on_level = price.transData.transform(marks.get_offsets())
        assert ((on_level - marked)[:, 1] * direction > 0).all()
        colours = [to_rgba(style.OUTCOME_COLOURS[outcome]) for outcome in some["outcome"]]
        assert marks.get_facecolors().tolist() == [list(colour) for colour in colours]
    tip, base = upward.get_paths()[0].vertices[0], upward.get_paths()[0].vertices[1]
    assert tip[1] > base[1]


def markers(axes):
    """The marks scattered over a panel."""
    return [marks for marks in axes.collections if isinstance(marks, PathCollection)]


def test_episodes_past_the_data_have_a_colour_of_their_own(cleaned_day, drawn_day):
    first = drawn_day.vectors["trigger_bar_ts"].min()
    ticks, dropped = cleaned_day
    cut = run(ticks.filter(pl.col("ts_event") < first + timedelta(minutes=1)), dropped)
    assert cut.vectors["outcome"].null_count() == cut.vectors.height > 0
    price, score = figures(cut)["level_episodes"].axes
    white = to_rgba(style.OUTCOME_COLOURS[style.PAST_DATA])
    drawn = [marks for marks in (*markers(price), *markers(score)) if len(marks.get_offsets())]
    assert len(drawn) >= 2
    for marks in drawn:
        assert {tuple(colour) for colour in marks.get_facecolors()} == {white}
    explained = [text.get_text() for text in price.texts]
    assert f"past the data  {cut.vectors.height}" in explained


def test_legends_explain_what_is_drawn_by_how_it_looks(drawn_day):
    """Left of a label there is ink, on the ground more or less thick, in the colour of its artist."""
    explained = 0
    for table in ("clean_ticks", "bar5s"):
        figure = figures(drawn_day)[table]
        picture = np.array(Image.open(io.BytesIO(style.png(figure))).convert("RGB"), int)
        for axes in figure.axes:
            artists = reversed([*axes.lines, *axes.collections])
            named = {text.get_text(): text.get_position() for text in axes.texts}
            ground = picture[0, 0]
            drawn = {a.get_label(): rgb_of(a) - ground for a in artists if a.get_label() in named}
            for label in drawn:
                x, y = named[label]
                column, row = round(x) - 14, picture.shape[0] - round(y)
                key = picture[row - 2 : row + 3, column - 5 : column + 6].reshape(-1, 3) - ground
                ink = key[np.linalg.norm(key, axis=1).argmax()]
                assert np.linalg.norm(ink) > 10
                likest = max(
                    drawn, key=lambda name: drawn[name] @ ink / np.linalg.norm(drawn[name])
                )
                assert likest == label, (table, label)
                explained += 1
    assert explained >= 9


def test_adds_are_seen_through_cancels(drawn_day):
    lines = figures(drawn_day)["clean_ticks"].axes[0].lines
    styles = {line.get_label(): line.get_linestyle() for line in lines}
    assert (styles["add"], styles["cancel"]) == ("-", "--")


def test_no_span_of_a_thin_day_is_left_out(drawn_day):
    """A line shows nothing between two spans without the action: there is a point."""
    thin = drawn_day.ticks.filter(action="A").gather_every(200)
    minutes = thin.select(pl.col("ts_event").dt.truncate("5m")).unique().sort("ts_event")
    times = minutes.collect()["ts_event"]
    near = times.diff() == timedelta(minutes=5)
    alone = times.filter(~near.fill_null(False) & ~near.shift(-1, fill_value=False))
    points, adds, _key = market.clean_ticks(thin, {"crossed": 0}).axes[0].lines
    assert (points.get_marker(), adds.get_linestyle()) == ("o", "-")
    drawn = points.get_xdata()[~np.isnan(points.get_ydata())]
    assert drawn == pytest.approx(style.days(alone + timedelta(minutes=2.5)))
    assert 0 < len(alone) < len(times) / 2


def rgb_of(artist) -> np.ndarray:
    """Red, green and blue of a line or a filled area, 0-255."""
    colour = artist.get_color() if isinstance(artist, Line2D) else artist.get_facecolor()[0]
    return 255 * np.array(to_rgb(colour))


@pytest.mark.parametrize(
    ("panel", "column", "is_signed"),
    [
        (0, "bar5s_approach_abs_dist_to_level_pts_eob", False),
        (1, "bar5s_state_obi10_eob", True),
        (2, "bar5s_lvl_flow_toward_net_sum", False),
    ],
)
def test_quartiles_are_drawn_around_the_trigger(panel, column, is_signed, drawn_day):
    axes = figures(drawn_day)["approach_features"].axes[panel]
    assert len(axes.patches) == 2, "the windows of the outcome"
    kind = drawn_day.approach.with_columns(style.OUTCOME_LABEL.str.split("_").list.last())
    bounces = kind.filter(pl.col("outcome") == "BOUNCE", pl.col("bars_to_trigger").is_between(0, 5))
    values = bounces[column] * (bounces["approach_direction"] if is_signed else 1)
    line = next(line for line in axes.lines if line.get_color() == style.VERMILLION)
    assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True))[2.5] == values.median()


def test_the_heat_map_is_by_time_and_family(drawn_day):
    figure = figures(drawn_day)["setup_vectors"]
    axes = figure.axes[0]
    families = list(dict.fromkeys(dim.family for dim in VECTOR_DIMS))
    assert [name.get_text() for name in axes.texts] == families
    cells = axes.images[0].get_array()
    assert cells.shape == (drawn_day.vectors.height, len(VECTOR_DIMS) + len(families) - 1)
    rows = drawn_day.vectors.sort("trigger_bar_ts")
    dim = next(i for i, column in enumerate(VECTOR_DIMS) if column.family == "recent")
    values = rows["vector"].to_numpy()[:, dim]
    column = cells[:, -sum(dim.family == "recent" for dim in VECTOR_DIMS)]
    gaps = np.flatnonzero(np.ma.getmaskarray(cells).all(axis=0))
    centres = [sum(edges) / 2 for edges in pairwise([-1, *gaps, cells.shape[1]])]
    assert [name.get_position()[0] for name in axes.texts] == centres
    assert np.argsort(column, kind="stable").tolist() == np.argsort(values, kind="stable").tolist()
    clock = rows["trigger_bar_ts"][0].astimezone(NEW_YORK)
    assert axes.get_yticklabels()[0].get_text().startswith(f"{clock:%H:%M}")


def test_dropped_records_are_counted_by_reason(drawn_day):
    panel = figures(drawn_day)["clean_ticks"].axes[1]
    assert {
        label.get_text(): bar.get_width()
        for label, bar in zip(panel.get_yticklabels(), panel.patches, strict=True)
    } == {reason.replace("_", " "): count for reason, count in drawn_day.dropped.items()}
    assert sum(drawn_day.dropped.values()) > 0


def test_only_three_columns_of_the_ticks_are_read(drawn_day):
    few = drawn_day.ticks.select("ts_event", "action", "symbol")
    drawn = style.png(market.clean_ticks(few, drawn_day.dropped))
    assert drawn == pictures(drawn_day)["clean_ticks"]


def test_a_tick_dated_outside_its_day_does_not_stretch_the_picture(drawn_day):
    stray = drawn_day.ticks.head(1).with_columns(pl.col("ts_event").dt.offset_by("-400d"))
    axes = market.clean_ticks(pl.concat([stray, drawn_day.ticks]), drawn_day.dropped).axes[0]
    first, last = axes.get_xlim()
    assert last - first <= 1
    assert num2date(last).date() in (DAY, DAY + timedelta(days=1))


@pytest.mark.parametrize("table", TABLES)
def test_ticks_are_where_matplotlib_would_draw_them(table, drawn_day):
    """Its own ticks are read off one figure, what is drawn in their place off another."""
    own, drawn = figures(drawn_day)[table], figures(drawn_day)[table]
    FigureCanvasAgg(own).draw()
    written = {(label.text, round(label.x), round(label.y)) for label in draw_ticks(drawn)}
    expected = set()
    for axes in own.axes:
        left, bottom, right, top = axes.bbox.extents
        for label in axes.get_yticklabels():
            y = label.get_transform().transform(label.get_position())[1]
            if bottom - 0.01 <= y <= top + 0.01:
                expected.add((label.get_text(), round(left - 6.5 / 72 * 100), round(y)))
        for label in axes.get_xticklabels() if axes.get_xlabel() else []:
            x = label.get_transform().transform(label.get_position())[0]
            if left - 0.01 <= x <= right + 0.01:
                expected.add((label.get_text(), round(x), round(bottom - 6.5 / 72 * 100)))
    assert written == expected
    assert len(written) >= 10


def test_panels_look_like_axes_of_matplotlib(drawn_day, monkeypatch):
    drawn = pictures(drawn_day)
    monkeypatch.setattr("pipeline_assets.previews.ticks.Panel", Axes)
    assert pictures(drawn_day) == drawn


@pytest.mark.parametrize("table", TABLES)
def test_words_are_where_matplotlib_would_draw_them(table, drawn_day):
    own, drawn = figures(drawn_day)[table], figures(drawn_day)[table]
    canvas = FigureCanvasAgg(own)
    canvas.draw()
    FigureCanvasAgg(drawn)
    boxes = [
        (text.get_text(), text.get_window_extent(canvas.get_renderer()).padded(3))
        for text in own.findobj(Text)
    ]
    width, height = own.bbox.size
    labels = list(take_words(drawn))
    assert len(labels) >= 4
    for label in labels:
        left, top, right, bottom = ink_of(label, width, height)
        corners = (left, height - bottom), (right, height - top)
        assert any(
            text == label.text and all(box.contains(*corner) for corner in corners)
            for text, box in boxes
        ), label


def test_labels_are_written_at_their_pixels():
    """A value axis's end there, in the middle of their height; an x axis's hang down from there."""
    left, top, right, bottom = ink_of(Label(120, 70, "09:30", style.SMALL, "rm"), 300, 200)
    assert (right, (top + bottom) / 2) == pytest.approx((120, 130), abs=1.5)
    left, top, right, bottom = ink_of(Label(120, 70, "09:30", style.SMALL, "mt"), 300, 200)
    assert ((left + right) / 2, top) == pytest.approx((120, 130), abs=1.5)


def test_turned_labels_end_at_their_pixels():
    """A quarter turn to the left: what was right of the place is above it, what was above is left."""
    left, top, right, bottom = ink_of(
        Label(120, 70, "09:30", style.SMALL, "ls", degrees=90), 300, 200
    )
    assert (right, bottom) == pytest.approx((120, 130), abs=1.5)
    assert bottom - top > 2 * (right - left)


def ink_of(label: Label, width: float, height: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a label alone, in pixels from the upper left corner."""
    ground = Image.new("RGBA", (round(width), round(height)), style.GROUND)
    picture = ground.copy()
    write(picture, [label])
    return ImageChops.difference(picture, ground).convert("RGB").getbbox()


def test_level_labels_keep_apart():
    heights = np.array([1.0, 1.1, 1.1, 9.0])
    apart = levels._apart(heights, 0.5)
    assert np.diff(apart).min() >= 0.5 - 1e-9
    assert apart.mean() == pytest.approx(heights.mean())
    assert levels._apart(np.array([1.0, 2.0]), 0.5).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("days", [0.001, 1, 12, 13, 400])
def test_a_time_axis_of_any_span_has_a_dozen_ticks_at_most(days):
    """A stray record may be dated far from its day."""
    axes = style.panel(style.new_figure(300, "a span"), 60, 180)
    start = datetime(2025, 6, 5, 3, tzinfo=UTC)
    style.time_axis(axes, start, start + timedelta(days=days))
    low, high = axes.get_xlim()
    ticks = [at for at in axes.get_xticks() if low <= at <= high]
    assert 2 <= len(ticks) <= 13
    assert len(set(np.diff(ticks).round(6))) <= 1
