"""The look of every picture: size, ink, colours, New York time.

Pictures bring their own light ground, so that they read the same on a light and on a dark page.
matplotlib is imported where something is drawn: it costs 0.2 s.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kernels.features import NS_PER_DAY, OUTCOME
from kernels.instrument import NEW_YORK

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

WIDTH, DPI = 900, 100
"""Width of every picture in pixels, and pixels an inch."""
NOTICE_HEIGHT = 150
TEXT, SMALL, TITLE = 9.0, 8.0, 11.5
"""Font sizes in points."""

GROUND, PANEL, INK, FAINT, GRID = "#f7f7f5", "#ffffff", "#222222", "#5f5f5f", "#dededa"

BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"
"""The palette of Okabe and Ito, told apart by every kind of colour vision."""

PAST_DATA = "past the data"
OUTCOME_COLOURS = dict(
    zip(
        (*OUTCOME.categories, PAST_DATA),
        (BLUE, SKY, "#a6a6a6", ORANGE, VERMILLION, PANEL),
        strict=True,
    )
)
"""Colour of each outcome, breaks blue and bounces red; a null outcome is `PAST_DATA`."""
OUTCOME_LABEL = pl.col("outcome").cast(pl.String).fill_null(PAST_DATA)

MARK = {"color": FAINT, "linewidth": 0.8, "clip_on": False}
"""Style of tick marks, which lie outside a panel."""

_LABEL_PX, _NAME_PX = 36, 25.69
"""From the figure's left edge to the name of a value axis, from a panel to that of its x axis."""
_LEGEND_PX, _KEY_PX, _KEY_GAP_PX, _KEYS_APART_PX = 14, 16, 6, 13
"""From a panel to the middle of its legend; the length of a key, from it to its label, to the next."""
_TICK_PX, _MOST_TICKS, _TICK_STEPS = 22, 9, (1, 2, 2.5, 5, 10)
"""Room of a tick on a value axis, how many there are at most, and how far apart by power of ten."""
_ZLIB_LEVEL = 4
_SECONDS_SHOWN_UP_TO = timedelta(minutes=10)
_CLOCK_STEPS = [
    timedelta(seconds=seconds)
    for seconds in (1, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14400, 86400)
]
_MOST_CLOCK_STEPS = 12


def new_figure(height: int, title: str, subtitle: str = "") -> Figure:
    """An empty figure of `WIDTH` x `height` pixels with a title and a line of figures beneath it."""
    _forget_matplotlibrc()
    from matplotlib.figure import Figure

    figure = Figure((WIDTH / DPI, height / DPI), dpi=DPI, facecolor=GROUND)
    figure.text(16 / WIDTH, 1 - 24 / height, title, size=TITLE, weight="bold", color=INK)
    figure.text(16 / WIDTH, 1 - 43 / height, subtitle, size=TEXT, color=FAINT)
    return figure


@cache
def _forget_matplotlibrc() -> None:
    """Draw as matplotlib comes, whatever the user has set for figures of theirs."""
    import matplotlib

    matplotlib.rcdefaults()


def notice(title: str, text: str) -> Figure:
    """A figure that says in words why there is nothing to draw."""
    figure = new_figure(NOTICE_HEIGHT, title)
    figure.text(0.5, 0.4, text, size=TEXT + 1, color=FAINT, ha="center", va="center")
    return figure


def panel(
    figure: Figure,
    top: int,
    height: int,
    label: str = "",
    *,
    left: int = 92,
    right: int = 34,
    sharex: Axes | None = None,
) -> Axes:
    """Axes placed by pixels from the figure's top and sides, with `label` on the value axis.

    Ticks of an x axis are labelled once the axis has a name: of panels that share it, the lowest's.
    """
    from matplotlib.ticker import MaxNLocator

    from pipeline_assets.previews.ticks import Panel

    total = round(figure.get_figheight() * DPI)
    box = (left / WIDTH, 1 - (top + height) / total, 1 - (left + right) / WIDTH, height / total)
    axes = figure.add_axes(box, axes_class=Panel, sharex=sharex, facecolor=PANEL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.set_ylabel(label, size=TEXT, color=INK)
    axes.yaxis.set_label_coords((_LABEL_PX - left) / (WIDTH - left - right), 0.5)
    axes.xaxis.set_label_coords(0.5, -_NAME_PX / height)
    most = min(_MOST_TICKS, height // _TICK_PX)
    axes.yaxis.set_major_locator(MaxNLocator(most, steps=_TICK_STEPS))
    return axes


def name_ticks(axis: Axis, at: Sequence[float], names: Sequence[str]) -> None:
    """Ticks at these places of an axis and no others, each with its name."""
    from matplotlib.ticker import FixedFormatter, FixedLocator

    axis.set_major_locator(FixedLocator(at))
    axis.set_major_formatter(FixedFormatter(names))


def draw_lines(axes: Axes, lines: list, transform: Transform, **look: object) -> None:
    """Lines between pairs of points as one artist, which leaves the panel's limits alone."""
    from matplotlib.collections import LineCollection

    axes.add_collection(LineCollection(lines, transform=transform, **look), autolim=False)


def say(axes: Axes, text: str) -> None:
    """Words in the middle of a panel that has nothing to show."""
    name_ticks(axes.yaxis, [], [])
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, size=TEXT, color=FAINT, ha="center", va="center"
    )


def legend(axes: Axes, handles: Sequence[Artist], above: int = 0) -> None:
    """A row that explains artists, `above` pixels over a panel: of each its label, after a key."""
    from matplotlib.transforms import IdentityTransform

    from pipeline_assets.previews.letters import width

    pixels = IdentityTransform()
    right, y = axes.bbox.x1, axes.bbox.y1 + above + _LEGEND_PX
    for handle in reversed(handles):
        label = handle.get_label()
        left = right - width(label, SMALL)
        axes.text(left, y, label, transform=pixels, size=SMALL, color=INK, va="center")
        right = left - _KEY_PX - _KEY_GAP_PX
        key = _key(handle, right, y)
        key.set(transform=pixels, clip_on=False)
        axes.add_artist(key)
        right -= _KEYS_APART_PX


def _key(handle: Artist, left: float, y: float) -> Artist:
    """A piece of a line, or a patch, that looks like an artist: from `left`, in the middle of `y`."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    if isinstance(handle, Line2D):
        is_marker = handle.get_linestyle() == "None"
        key = Line2D([left + _KEY_PX / 2] if is_marker else [left, left + _KEY_PX], [y])
        key.update_from(handle)
        return key
    look = {"facecolor": handle.get_facecolor(), "edgecolor": handle.get_edgecolor()}
    return Rectangle((left, y - _KEY_PX / 4), _KEY_PX, _KEY_PX / 2, **look)


def days(instants: pl.Series) -> np.ndarray:
    """Instants as matplotlib's dates, float days since the epoch, UTC."""
    return instants.dt.cast_time_unit("ns").to_physical().to_numpy() / NS_PER_DAY


def time_axis(axes: Axes, start: datetime, end: datetime) -> None:
    """Show the x axis from one instant to another, ticked and labelled in New York time.

    The label says the date, or two: a UTC day begins on the evening before.
    """
    from matplotlib.dates import DateFormatter
    from matplotlib.ticker import FixedLocator

    axes.set_xlim(*days(pl.Series([start, end])))
    first, last = start.astimezone(NEW_YORK), end.astimezone(NEW_YORK)
    midnight = datetime.combine(first.date(), time(), NEW_YORK).astimezone(UTC)
    whole_days = timedelta(days=(end - start).days // _MOST_CLOCK_STEPS + 1)
    fitting = (step for step in _CLOCK_STEPS if end - start <= _MOST_CLOCK_STEPS * step)
    step = next(fitting, whole_days)
    steps = range(-((midnight - start) // step), (end - midnight) // step + 1)
    ticks = pl.Series([midnight + n * step for n in steps])
    axes.xaxis.set_major_locator(FixedLocator(days(ticks)))
    clock = "%H:%M" if end - start > _SECONDS_SHOWN_UP_TO else "%H:%M:%S"
    axes.xaxis.set_major_formatter(DateFormatter(clock, NEW_YORK))
    dates = " to ".join(dict.fromkeys((str(first.date()), str(last.date()))))
    axes.set_xlabel(f"New York time ({first.tzname()}), {dates}", size=TEXT, color=INK)


def plain_number(value: float, _: object = None) -> str:
    """A tick label with thousands separated and no more digits than it has."""
    return f"{value:,.10g}"


def plain_name(name: str) -> str:
    """A name of the catalogue's vocabularies as a person writes it: `PM_HIGH` is PM high."""
    first, _, rest = name.partition("_")
    return f"{first} {rest.lower()}" if first in ("PM", "OR") else name.lower().replace("_", " ")


def heading(symbol: str | None, day: date | None, what: str) -> str:
    """A picture's title: contract and trading day as far as they are known, and what it shows."""
    return "  ·  ".join(str(part) for part in (symbol, day, what) if part)


def utc_day(instants: pl.Series) -> date | None:
    """The trading day of a table's instants, None if it has none.

    Its middle decides, a stray record dated outside its day does not.
    """
    middle = instants.median()
    return middle.date() if middle else None


def png(figure: Figure) -> bytes:
    """The figure as an opaque PNG of at most 256 colours, close to the drawn ones."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    from pipeline_assets.previews import letters, ticks

    canvas = FigureCanvasAgg(figure)
    labels = [*ticks.draw_ticks(figure), *letters.take_words(figure)]
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba()))
    letters.write(drawn, labels)
    entries, palette = _few_colours(np.asarray(drawn))
    picture = Image.fromarray(entries, "P")
    picture.putpalette(palette)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=_ZLIB_LEVEL)
    return file.getvalue()


def _few_colours(drawn: np.ndarray) -> tuple[np.ndarray, bytes]:
    """Each pixel's entry in a palette, and the palette.

    Colours alike in their upper five bits a channel count as one. The 256 commonest are kept, the
    others take the nearest of them; an entry is the mean of its pixels, so the ground is exact.
    Pixels of one colour lie side by side, so that runs of them are counted, a tenth as many.

    Args:
        drawn: (height, width, 4) uint8.

    Returns:
        (height, width) uint8 and 768 bytes.
    """
    pixels = drawn.view(np.uint32).ravel()
    starts = np.flatnonzero(np.append(True, pixels[1:] != pixels[:-1]))
    lengths = np.diff(starts, append=pixels.size)
    channels = drawn.reshape(-1, 4)[starts, :3].T
    red, green, blue = channels >> 3
    alike = red.astype(np.uint16) << 10 | green.astype(np.uint16) << 5 | blue
    counts = np.bincount(alike, lengths, 1 << 15)
    present = np.flatnonzero(counts)
    present = present[np.argsort(-counts[present], kind="stable")]
    kept, others = present[:256], present[256:]
    apart = _channels(others)[:, :, None] - _channels(kept)[:, None, :]
    entry_of = np.zeros(1 << 15, np.uint8)
    entry_of[kept] = np.arange(len(kept))
    entry_of[others] = (apart**2).sum(axis=0).argmin(axis=1)
    entries = entry_of[alike]
    sizes = np.maximum(np.bincount(entries, lengths, 256), 1)
    means = [np.bincount(entries, lengths * channel, 256) / sizes for channel in channels]
    palette = np.rint(np.stack(means, axis=1)).astype(np.uint8).tobytes()
    return np.repeat(entries, lengths).reshape(drawn.shape[:2]), palette


def _channels(alike: np.ndarray) -> np.ndarray:
    """Upper five bits of red, green and blue, (3, colours) int16."""
    return np.stack([alike >> 10, alike >> 5 & 31, alike & 31]).astype(np.int16)
