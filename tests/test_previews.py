"""The pictures: size, weight, units, New York time, colours, and days with little or nothing."""

import base64
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_rgb
from matplotlib.dates import num2date

from kernels.features import TABLES, VECTOR_DIMS
from kernels.instrument import NEW_YORK, new_york
from kernels.survey import DROP_REASONS
from pipeline_assets import previews
from pipeline_assets.previews import episodes, levels, market, style
from resources.lake import LakeDay, TableMissing
from tests.conftest import DAY
from tests.drawn_days import (
    SUMMER,
    WINTER,
    Day,
    figures,
    pictures,
    run,
    size,
    time_axis,
    words,
)
from tests.place import REPOSITORY

MAX_BYTES = 150_000
HEIGHTS = {
    "clean_ticks": 500,
    "bar5s": 600,
    "session_levels": 430,
    "level_episodes": 600,
    "approach_features": 640,
    "setup_vectors": 684,
}
CLOCK = "New York time (EDT), 2025-06-05"
EVENING_BEFORE = "New York time (EDT), 2025-06-04 to 2025-06-05"
LABELS = {
    "clean_ticks": ["ticks / min", EVENING_BEFORE, "records dropped (share of all)"],
    "bar5s": ["microprice (points)", "spread (points)", "contracts / min", EVENING_BEFORE],
    "session_levels": ["microprice (points)", CLOCK],
    "level_episodes": ["microprice (points)", "score (points)", CLOCK],
    "approach_features": [
        "|distance| (points)",
        "ten-level\nimbalance (ratio)",
        "net flow in the way\n(contracts / bar)",
        "bars of 5 s from the trigger; shaded: the windows the outcome is read from",
    ],
    "setup_vectors": [
        "robust z = (value - median of the day) / (interquartile range / 1.349); over std if that is 0",
    ],
}
TIMED = ("clean_ticks", "bar5s", "session_levels", "level_episodes")


def test_a_picture_of_every_table(drawn_day):
    for table, png in pictures(drawn_day).items():
        assert size(png) == (style.WIDTH, HEIGHTS[table]), table
        assert len(png) <= MAX_BYTES, table
        assert b"tRNS" not in png, "the page's ground, dark or light, would shine through"


def test_an_empty_day_is_said_in_words(empty_day):
    for table, png in pictures(empty_day).items():
        assert size(png) == (style.WIDTH, style.NOTICE_HEIGHT), table
        assert len(png) <= MAX_BYTES, table
    for table, figure in figures(empty_day).items():
        assert "on this day" in words(figure), table


def test_every_axis_has_its_unit(drawn_day):
    for table, figure in figures(drawn_day).items():
        shown = [text for axes in figure.axes for text in (axes.get_ylabel(), axes.get_xlabel())]
        assert [text for text in shown if text] == LABELS[table]


@pytest.mark.parametrize(("on", "offset", "zone"), [(SUMMER, 4, "EDT"), (WINTER, 5, "EST")])
def test_time_is_new_yorks_on_both_sides_of_daylight_saving(
    on, offset, zone, drawn_day, winter_day
):
    instant = datetime(on.year, on.month, on.day, 14, 30, tzinfo=UTC)
    for table, figure in figures(drawn_day if on == SUMMER else winter_day).items():
        if table not in TIMED:
            continue
        axes = time_axis(figure)
        assert axes.get_xlabel().startswith(f"New York time ({zone}), {on.year}-")
        formatter = axes.xaxis.get_major_formatter()
        assert formatter(style.days(pl.Series([instant]))[0]) == f"{14 - offset:02}:30"
        clocks = {num2date(tick, NEW_YORK).time() for tick in axes.get_xticks()}
        assert all(clock.minute in (0, 30) and clock.second == 0 for clock in clocks), table


@pytest.mark.parametrize("on", [SUMMER, WINTER])
def test_session_runs_from_pre_market_to_the_end_of_episodes(on, drawn_day, winter_day):
    figure = figures(drawn_day if on == SUMMER else winter_day)["session_levels"]
    shown = style.days(pl.Series([new_york(on, time(5)), new_york(on, time(13, 30))]))
    assert time_axis(figure).get_xlim() == pytest.approx(shown, abs=1e-9)


def test_a_crowded_day_stays_light_and_legible(drawn_day):
    rows = 470
    many = pl.concat([drawn_day.vectors] * (rows // drawn_day.vectors.height + 1))[:rows]
    noise = np.random.default_rng(0).standard_normal((rows, len(VECTOR_DIMS)))
    many = many.with_columns(vector=pl.Series(noise, dtype=drawn_day.vectors.schema["vector"]))
    assert len(style.png(episodes.setup_vectors(many))) <= MAX_BYTES
    labels = episodes.setup_vectors(many).axes[0].get_yticklabels()
    assert 20 < len(labels) < 40


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
    with pytest.raises(TableMissing, match="no bar5s of ES for 2025-06-05"):
        previews.draw(lake, "session_levels")


@pytest.mark.parametrize("minute", [0, 570, 900])
def test_a_day_of_one_tick_is_drawn(minute, cleaned_day):
    ticks, dropped = cleaned_day
    opened = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(minutes=minute)
    one = run(ticks.filter(pl.col("ts_event") >= opened).head(1), dropped)
    assert one.bars.height == 1
    for table, png in pictures(one).items():
        assert size(png) in ((style.WIDTH, HEIGHTS[table]), (style.WIDTH, style.NOTICE_HEIGHT))
    assert "1 tick kept" in words(figures(one)["clean_ticks"])
    assert "1 bar of 5 s" in words(figures(one)["bar5s"])


def test_a_day_without_a_two_sided_book_is_said_in_words(cleaned_day):
    ticks, dropped = cleaned_day
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


COLOUR_VISIONS = {
    "normal": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
"""What linear red, green and blue become to each, after Machado and others (2009)."""
COLOURS_TOGETHER = {
    "outcomes": list(style.OUTCOME_COLOURS.values()),
    "kinds of outcome": list(episodes._KINDS.values()),
    "actions": [colour for _, colour in market._ACTIONS.values()],
    "levels and price": [style.INK, *{colour for colour, _ in levels._LEVEL_STYLES.values()}],
}


@pytest.mark.parametrize("vision", COLOUR_VISIONS)
@pytest.mark.parametrize("together", COLOURS_TOGETHER)
def test_colours_are_told_apart_by_all_eyes(vision, together):
    """By 15 of CIELAB; 10 is plain to see between marks side by side."""
    seen = [lab(colour, COLOUR_VISIONS[vision]) for colour in COLOURS_TOGETHER[together]]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 15


def lab(colour, vision):
    """CIELAB of a colour as it is seen with a colour vision."""
    red_green_blue = np.array(to_rgb(colour))
    linear = np.where(
        red_green_blue <= 0.04045, red_green_blue / 12.92, ((red_green_blue + 0.055) / 1.055) ** 2.4
    )
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(vision @ linear, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


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


def test_pictures_are_the_same_whatever_the_user_has_set(tmp_path: Path) -> None:
    """Jupyter names a backend that only its own environment has."""
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.grid: True\nlines.linewidth: 7\n")
    code = (
        "import sys; from pipeline_assets.previews import png, style\n"
        "figure = style.new_figure(300, 'title', 'subtitle')\n"
        "style.panel(figure, 60, 200, 'label').plot([1, 3, 2])\n"
        "sys.stdout.buffer.write(png(figure))\n"
    )
    plain, set_by_the_user = (
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env={"PYTHONPATH": str(REPOSITORY)} | settings,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for folder, settings in (
            (REPOSITORY, {}),
            (tmp_path, {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
        )
    )
    assert plain == set_by_the_user
