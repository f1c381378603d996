"""The pictures: size, weight, units, New York time, colours, and days with little or nothing."""

import base64
import struct
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.dates import num2date
from matplotlib.figure import Figure

import kernels
from kernels.clean_ticks import DROP_REASONS
from kernels.features import TABLES, VECTOR_DIMS, schema
from kernels.instrument import INSTRUMENTS, NEW_YORK, new_york
from pipeline_assets import previews
from pipeline_assets.previews import episodes, levels, market, style
from resources.dbn import scan_dbn
from resources.lake import LakeDay
from tests.conftest import DAY

EVENTS = 60_000
MAX_BYTES = 150_000
HEIGHTS = {
    "clean_ticks": 500,
    "bar5s": 600,
    "session_levels": 430,
    "level_episodes": 600,
    "approach_features": 640,
    "setup_vectors": 684,
}
LABELS = {
    "clean_ticks": ["ticks / min", "New York time (EDT)", "records dropped (share of all)"],
    "bar5s": ["microprice (points)", "spread (points)", "contracts / min", "New York time (EDT)"],
    "session_levels": ["microprice (points)", "New York time (EDT)"],
    "level_episodes": ["microprice (points)", "score (points)", "New York time (EDT)"],
    "approach_features": [
        "|distance| (points)",
        "ten-level\nimbalance (ratio)",
        "imbalance about\nthe level (ratio)",
        "bars of 5 s from the trigger; shaded: the windows the outcome is read from",
    ],
    "setup_vectors": [
        "robust z = (value - median of the day) / (interquartile range / 1.349)",
    ],
}
TIMED = ("clean_ticks", "bar5s", "session_levels", "level_episodes")
WINTER, SUMMER = date(2025, 1, 15), DAY


class Day(NamedTuple):
    """The tables of one day, and what its cleaning dropped."""

    ticks: pl.LazyFrame
    bars: pl.DataFrame
    levels: pl.DataFrame
    episodes: pl.DataFrame
    approach: pl.DataFrame
    vectors: pl.DataFrame
    dropped: dict[str, int]


def run(ticks: pl.DataFrame, dropped: dict[str, int], day: date = DAY) -> Day:
    """The whole chain from clean ticks."""
    bars = kernels.bar5s(ticks.lazy())
    return from_bars(ticks.lazy(), bars, dropped, day)


def from_bars(ticks: pl.LazyFrame, bars: pl.DataFrame, dropped: dict[str, int], day: date) -> Day:
    """The chain from bars on."""
    session = kernels.session_levels(bars, day)
    touched = kernels.level_episodes(bars, session, day)
    approach = kernels.approach_features(touched)
    return Day(ticks, bars, session, touched, approach, kernels.setup_vectors(approach), dropped)


@pytest.fixture(scope="module")
def cleaned(day_file) -> tuple[pl.DataFrame, dict[str, int]]:
    clean = kernels.clean_ticks(scan_dbn(day_file(EVENTS, True)), INSTRUMENTS["ES"], DAY)
    return clean.ticks.collect(), clean.dropped


@pytest.fixture(scope="module")
def day(cleaned) -> Day:
    return run(*cleaned)


@pytest.fixture(scope="module")
def winter(day) -> Day:
    """The same market on a day of standard time: its New York clocks are an hour earlier."""
    offset = f"{(WINTER - DAY).days}d"
    shifted = day.ticks.with_columns(pl.col("ts_event").dt.offset_by(offset))
    bars = day.bars.with_columns(pl.col("bar_ts").dt.offset_by(offset))
    return from_bars(shifted, bars, day.dropped, WINTER)


@pytest.fixture(scope="module")
def empty() -> Day:
    tables = {table: pl.DataFrame(schema=schema(table)) for table in TABLES}
    return Day(tables.pop("clean_ticks").lazy(), *tables.values(), {})


def pictures(day: Day) -> dict[str, bytes]:
    return {table: style.png(figure) for table, figure in figures(day).items()}


def figures(day: Day) -> dict[str, Figure]:
    return {
        "clean_ticks": market.clean_ticks(day.ticks, day.dropped),
        "bar5s": market.bar5s(day.bars),
        "session_levels": levels.session_levels(day.bars, day.levels),
        "level_episodes": levels.level_episodes(day.bars, day.levels, day.episodes),
        "approach_features": episodes.approach_features(day.approach),
        "setup_vectors": episodes.setup_vectors(day.vectors),
    }


def size(png: bytes) -> tuple[int, int]:
    """Width and height as the PNG's header says."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.endswith(b"IEND\xaeB`\x82")
    return struct.unpack(">II", png[16:24])


def words(figure: Figure) -> str:
    """Every text of a figure and its panels."""
    texts = figure.texts + [text for axes in figure.axes for text in axes.texts]
    return "\n".join(text.get_text() for text in texts)


def time_axis(figure: Figure) -> Axes:
    """The panel whose x axis says New York time."""
    return next(axes for axes in figure.axes if axes.get_xlabel().startswith("New York time"))


def test_a_picture_of_every_table(day):
    for table, png in pictures(day).items():
        assert size(png) == (style.WIDTH, HEIGHTS[table]), table
        assert len(png) <= MAX_BYTES, table


def test_an_empty_day_is_said_in_words(empty):
    for table, png in pictures(empty).items():
        assert size(png) == (style.WIDTH, style.NOTICE_HEIGHT), table
        assert len(png) <= MAX_BYTES, table
    for table, figure in figures(empty).items():
        assert "on this day" in words(figure), table


def test_every_axis_has_its_unit(day):
    for table, figure in figures(day).items():
        shown = [text for axes in figure.axes for text in (axes.get_ylabel(), axes.get_xlabel())]
        assert [text for text in shown if text] == LABELS[table]


@pytest.mark.parametrize(("on", "offset", "zone"), [(SUMMER, 4, "EDT"), (WINTER, 5, "EST")])
def test_time_is_new_yorks_on_both_sides_of_daylight_saving(on, offset, zone, day, winter):
    instant = datetime(on.year, on.month, on.day, 14, 30, tzinfo=UTC)
    for table, figure in figures(day if on == SUMMER else winter).items():
        if table not in TIMED:
            continue
        axes = time_axis(figure)
        assert axes.get_xlabel() == f"New York time ({zone})"
        formatter = axes.xaxis.get_major_formatter()
        assert formatter(style.days(pl.Series([instant]))[0]) == f"{14 - offset:02}:30"
        clocks = {num2date(tick, NEW_YORK).time() for tick in axes.get_xticks()}
        assert all(clock.minute in (0, 30) and clock.second == 0 for clock in clocks), table


@pytest.mark.parametrize("on", [SUMMER, WINTER])
def test_session_runs_from_pre_market_to_the_end_of_episodes(on, day, winter):
    figure = figures(day if on == SUMMER else winter)["session_levels"]
    shown = style.days(pl.Series([new_york(on, time(5)), new_york(on, time(13, 30))]))
    assert time_axis(figure).get_xlim() == pytest.approx(shown, abs=1e-9)


def test_price_is_drawn_where_the_bars_are(day):
    price = figures(day)["bar5s"].axes[0].lines[0]
    known = day.bars.drop_nulls("bar5s_microprice_eob")
    drawn = ~np.isnan(price.get_ydata())
    assert price.get_ydata()[drawn].tolist() == known["bar5s_microprice_eob"].to_list()
    first = num2date(price.get_xdata()[drawn][0])
    assert abs(first - known["bar_ts"][0]) < timedelta(milliseconds=1)


def test_triggers_are_marked_by_direction_and_coloured_by_outcome(day):
    price = figures(day)["level_episodes"].axes[0]
    upward, downward = price.collections
    assert day.vectors.height > 5
    for marks, direction in ((upward, 1), (downward, -1)):
        some = day.vectors.filter(approach_direction=direction).sort("trigger_bar_ts")
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


def test_episodes_past_the_data_have_a_colour_of_their_own(cleaned, day):
    first = day.vectors["trigger_bar_ts"].min()
    ticks, dropped = cleaned
    cut = run(ticks.filter(pl.col("ts_event") < first + timedelta(minutes=1)), dropped)
    assert cut.vectors["outcome"].null_count() == cut.vectors.height > 0
    price, score = figures(cut)["level_episodes"].axes
    white = to_rgba(style.OUTCOME_COLOURS[style.PAST_DATA])
    drawn = [
        marks for marks in (*price.collections, score.collections[-1]) if len(marks.get_offsets())
    ]
    assert len(drawn) >= 2
    for marks in drawn:
        assert {tuple(colour) for colour in marks.get_facecolors()} == {white}
    explained = [text.get_text() for text in price.get_legend().get_texts()]
    assert f"past the data  {cut.vectors.height}" in explained


def test_quartiles_around_the_trigger(day):
    distance = figures(day)["approach_features"].axes[0]
    kind = day.approach.with_columns(style.OUTCOME_LABEL.str.split("_").list.last())
    bounces = kind.filter(
        pl.col("outcome") == "BOUNCE", pl.col("bars_to_trigger").is_between(-6, -1)
    )
    expected = bounces["bar5s_approach_abs_dist_to_level_pts_eob"].median()
    line = next(line for line in distance.lines if line.get_color() == style.VERMILLION)
    assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True))[-3.5] == expected


def test_the_heat_map_is_by_time_and_family(day):
    figure = figures(day)["setup_vectors"]
    axes = figure.axes[0]
    families = list(dict.fromkeys(dim.family for dim in VECTOR_DIMS))
    assert [label.get_text() for label in axes.get_xticklabels()] == families
    cells = axes.images[0].get_array()
    assert cells.shape == (day.vectors.height, len(VECTOR_DIMS) + len(families) - 1)
    rows = day.vectors.sort("trigger_bar_ts")
    dim = next(i for i, column in enumerate(VECTOR_DIMS) if column.family == "recent")
    values = rows["vector"].to_numpy()[:, dim]
    column = cells[:, -sum(dim.family == "recent" for dim in VECTOR_DIMS)]
    assert np.argsort(column, kind="stable").tolist() == np.argsort(values, kind="stable").tolist()
    clock = rows["trigger_bar_ts"][0].astimezone(NEW_YORK)
    assert axes.get_yticklabels()[0].get_text().startswith(f"{clock:%H:%M}")


def test_a_crowded_day_stays_light_and_legible(day):
    rows = 470
    many = pl.concat([day.vectors] * (rows // day.vectors.height + 1))[:rows]
    noise = np.random.default_rng(0).standard_normal((rows, len(VECTOR_DIMS)))
    many = many.with_columns(vector=pl.Series(noise, dtype=day.vectors.schema["vector"]))
    assert len(style.png(episodes.setup_vectors(many))) <= MAX_BYTES
    labels = episodes.setup_vectors(many).axes[0].get_yticklabels()
    assert 20 < len(labels) < 40


def test_what_was_dropped(day):
    panel = figures(day)["clean_ticks"].axes[1]
    assert {
        label.get_text(): bar.get_width()
        for label, bar in zip(panel.get_yticklabels(), panel.patches, strict=True)
    } == {reason.replace("_", " "): count for reason, count in day.dropped.items()}
    assert sum(day.dropped.values()) > 0


def test_only_three_columns_of_the_ticks_are_read(day):
    few = day.ticks.select("ts_event", "action", "symbol")
    drawn = style.png(market.clean_ticks(few, day.dropped))
    assert drawn == pictures(day)["clean_ticks"]


def test_a_picture_is_drawn_from_the_lakes_tables(small_lake):
    lake = LakeDay(small_lake, "ES", DAY)
    tables = {table: lake.scan(table).collect() for table in TABLES}
    facts = lake.facts("clean_ticks")
    dropped = {reason: facts[f"dropped/{reason}"] for reason in DROP_REASONS}
    of_lake = Day(tables.pop("clean_ticks").lazy(), *tables.values(), dropped)
    assert {table: previews.draw(lake, table) for table in TABLES} == pictures(of_lake)


def test_a_picture_needs_all_its_tables(small_lake, tmp_path):
    lake = LakeDay(tmp_path, "ES", DAY)
    lake.hold("session_levels", LakeDay(small_lake, "ES", DAY).scan("session_levels").collect())
    with pytest.raises(FileNotFoundError, match="no bar5s of ES for 2025-06-05"):
        previews.draw(lake, "session_levels")


def test_a_tick_dated_outside_its_day_does_not_stretch_the_picture(day):
    stray = day.ticks.head(1).with_columns(pl.col("ts_event").dt.offset_by("-400d"))
    axes = market.clean_ticks(pl.concat([stray, day.ticks]), day.dropped).axes[0]
    first, last = axes.get_xlim()
    assert last - first <= 1
    assert num2date(last).date() in (DAY, DAY + timedelta(days=1))


@pytest.mark.parametrize("minute", [0, 570, 900])
def test_a_day_of_one_tick(minute, cleaned):
    ticks, dropped = cleaned
    opened = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(minutes=minute)
    one = run(ticks.filter(pl.col("ts_event") >= opened).head(1), dropped)
    assert one.bars.height == 1
    for table, png in pictures(one).items():
        assert size(png) in ((style.WIDTH, HEIGHTS[table]), (style.WIDTH, style.NOTICE_HEIGHT))
    assert "1 tick kept" in words(figures(one)["clean_ticks"])
    assert "1 bar of 5 s" in words(figures(one)["bar5s"])


def test_a_day_without_a_two_sided_book(cleaned):
    ticks, dropped = cleaned
    bookless = run(ticks.with_columns(bid_px_00=pl.lit(None, pl.Float64)), dropped)
    assert bookless.bars["bar5s_microprice_eob"].null_count() == bookless.bars.height
    for table, png in pictures(bookless).items():
        assert size(png)[0] == style.WIDTH, table
    drawn = figures(bookless)
    for table in ("bar5s", "session_levels", "level_episodes"):
        assert "no two-sided book, so no microprice" in words(drawn[table])
    assert "no two-sided book, so no spread" in words(drawn["bar5s"])
    assert "no pre-market levels, no opening range levels" in words(drawn["session_levels"])
    assert "no level was touched" in words(drawn["level_episodes"])


def test_level_labels_keep_apart():
    heights = np.array([1.0, 1.1, 1.1, 9.0])
    apart = levels._apart(heights, 0.5)
    assert np.diff(apart).min() >= 0.5 - 1e-9
    assert apart.mean() == pytest.approx(heights.mean())
    assert levels._apart(np.array([1.0, 2.0]), 0.5).tolist() == [1.0, 2.0]


def test_markdown_holds_the_picture():
    text = previews.as_markdown(b"picture")
    assert text.startswith("![preview](data:image/png;base64,")
    assert base64.b64decode(text.partition("base64,")[2].removesuffix(")")) == b"picture"


def test_matplotlib_is_imported_where_drawn_and_pyplot_never():
    code = (
        "import sys; from pipeline_assets import previews\n"
        "assert 'matplotlib' not in sys.modules\n"
        "previews.png(previews.style.notice('title', 'text'))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
