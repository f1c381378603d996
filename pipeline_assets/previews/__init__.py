"""One picture a table, for a partition's page and the day's report: tables in, PNG bytes out.

Every picture is `style.WIDTH` pixels wide, weighs less than 150 kB, shows New York time and says in
words what a thin or empty day does not have. Nothing here reads or writes files.
"""

import base64
from collections.abc import Mapping

import polars as pl

from pipeline_assets.previews import episodes as _episodes
from pipeline_assets.previews import levels as _levels
from pipeline_assets.previews import market as _market
from pipeline_assets.previews.style import png


def clean_ticks(ticks: pl.LazyFrame, dropped: Mapping[str, int]) -> bytes:
    """Ticks a minute by action, and what was dropped by reason.

    Args:
        ticks: table `clean_ticks`, of which three columns are read.
        dropped: number of records dropped, by reason; empty where it is not known.
    """
    return png(_market.clean_ticks(ticks, dropped))


def bar5s(bars: pl.DataFrame) -> bytes:
    """Microprice of table `bar5s`, with spread and traded volume beneath."""
    return png(_market.bar5s(bars))


def session_levels(bars: pl.DataFrame, levels: pl.DataFrame) -> bytes:
    """Price of table `bar5s` from the pre-market on, with the levels of table `session_levels`."""
    return png(_levels.session_levels(bars, levels))


def level_episodes(bars: pl.DataFrame, levels: pl.DataFrame, episodes: pl.DataFrame) -> bytes:
    """The session's price and levels, with every trigger by direction and outcome.

    Args:
        bars: table `bar5s`.
        levels: table `session_levels`.
        episodes: table `level_episodes`, of which the trigger bars are shown.
    """
    return png(_levels.level_episodes(bars, levels, episodes))


def approach_features(approach: pl.DataFrame) -> bytes:
    """|Distance| and depth imbalance of table `approach_features` around the triggers."""
    return png(_episodes.approach_features(approach))


def setup_vectors(vectors: pl.DataFrame) -> bytes:
    """Table `setup_vectors` as a heat map by family, with outcomes."""
    return png(_episodes.setup_vectors(vectors))


def as_markdown(picture: bytes) -> str:
    """A PNG as an inline Markdown image, for `dagster.MetadataValue.md`."""
    return f"![preview]({data_uri(picture)})"


def data_uri(picture: bytes) -> str:
    """A PNG as an address that holds it whole."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
