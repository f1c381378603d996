"""Words of a figure, written by Pillow into the finished picture.

matplotlib takes a millisecond to lay out and draw a text, Pillow a tenth of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.text import Annotation, Text
from PIL import Image, ImageDraw, ImageFont

from pipeline_assets.previews import style

_ACROSS = {"left": "l", "center": "m", "right": "r"}
_UP = {"top": "a", "center": "m", "baseline": "s", "bottom": "d"}
"""PIL's letters for matplotlib's alignments."""
_NORMAL = 400


class Label(NamedTuple):
    """Words, and where they are written: pixels from the figure's lower left corner, PIL's anchor.

    size: in points.
    degrees: by which the words are turned about that place, counterclockwise.
    """

    x: float
    y: float
    text: str
    size: float
    anchor: str
    colour: str = style.INK
    weight: int | str = _NORMAL
    degrees: float = 0.0


def take_words(figure: Figure) -> Iterator[Label]:
    """The words of a figure, of its panels and of their axes, which it does not draw any more.

    Nothing may change the panels or their limits afterwards.
    """
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [axes.xaxis.label, axes.yaxis.label, *axes.texts]
    for text in texts:
        if text.get_text():
            yield _label(text, figure)
        text.set_visible(False)


def _label(text: Text, figure: Figure) -> Label:
    if isinstance(text, Annotation):
        text.update_positions(figure.canvas.get_renderer())
    x, y = text.get_transform().transform(text.get_position())
    anchor = _ACROSS[text.get_horizontalalignment()] + _UP[text.get_verticalalignment()]
    colour, weight = text.get_color(), text.get_fontweight()
    return Label(
        x, y, text.get_text(), text.get_fontsize(), anchor, colour, weight, text.get_rotation()
    )


def write(picture: Image.Image, labels: Iterable[Label]) -> None:
    """Write labels into a picture of the figure."""
    pen = ImageDraw.Draw(picture)
    for label in labels:
        at = label.x, picture.height - label.y
        if label.degrees:
            _write_turned(picture, at, label)
        else:
            font = _font(label.size, label.weight)
            pen.text(at, label.text, label.colour, font, label.anchor, align="center")


def _write_turned(picture: Image.Image, at: tuple[float, float], label: Label) -> None:
    """Words written on a square about their place, and the square turned."""
    font = _font(label.size, label.weight)
    box = ImageDraw.Draw(picture).textbbox((0, 0), label.text, font, label.anchor, align="center")
    reach = int(max(map(abs, box))) + 2
    square = Image.new("L", (2 * reach, 2 * reach))
    middle = reach + at[0] % 1, reach + at[1] % 1
    ImageDraw.Draw(square).text(middle, label.text, 255, font, label.anchor, align="center")
    turned = square.rotate(label.degrees, Image.Resampling.BICUBIC)
    corner = int(at[0]) - reach, int(at[1]) - reach
    picture.paste(label.colour, corner, turned)


def width(text: str, points: float) -> float:
    """Pixels that a line of text takes."""
    return _font(points, _NORMAL).getlength(text)


@cache
def _font(points: float, weight: int | str) -> ImageFont.FreeTypeFont:
    """matplotlib's font."""
    return ImageFont.truetype(findfont(FontProperties(weight=weight)), points * style.DPI / 72)
