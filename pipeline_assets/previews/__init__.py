"""One picture a table, for a partition's page and the day's report: a day's tables in, PNG bytes out.

Every picture is `style.WIDTH` pixels wide, weighs less than 150 kB, shows New York time and says in
words what a thin or empty day does not have.
"""

import base64

import polars as pl

from kernels.survey import DROP_REASONS
from pipeline_assets.previews import episodes, levels, market
from pipeline_assets.previews.style import png
from resources.lake import LakeDay

_ALL, _PRICE = pl.all(), pl.col(market.PRICE)
_FIGURES = {
    "bar5s": (market.bar5s, {"bar5s": _ALL}),
    "session_levels": (levels.session_levels, {"bar5s": _PRICE, "session_levels": _ALL}),
    "level_episodes": (
        levels.level_episodes,
        {"bar5s": _PRICE, "session_levels": _ALL, "level_episodes": _ALL},
    ),
    "approach_features": (episodes.approach_features, {"approach_features": _ALL}),
    "setup_vectors": (episodes.setup_vectors, {"setup_vectors": _ALL}),
}
"""What draws a table's figure, of which tables and columns; clean_ticks' is of ticks and facts."""


def draw(tables: LakeDay, table: str) -> bytes:
    """The picture of a table, a PNG.

    Raises:
        TableMissing: if the lake lacks one of the tables it is drawn from.
    """
    if table == "clean_ticks":
        facts = tables.facts(table)
        dropped = {reason: facts[f"dropped/{reason}"] for reason in DROP_REASONS}
        return png(market.clean_ticks(tables.scan(table), dropped))
    figure, drawn_from = _FIGURES[table]
    frames = [tables.scan(name).select(columns).collect() for name, columns in drawn_from.items()]
    return png(figure(*frames))


def as_markdown(picture: bytes) -> str:
    """A PNG as an inline Markdown image, for `dagster.MetadataValue.md`."""
    return f"![preview]({data_uri(picture)})"


def data_uri(picture: bytes) -> str:
    """A PNG as an address that holds it whole."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
