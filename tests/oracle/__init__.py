"""The slow, obvious twin of the feature pipeline, for tests to compare against.

A table is a list of plain dicts whose keys stand in column order. Instants are int
nanoseconds UTC, a missing value is None, and a `_pts` value is a price difference
divided by `point`.
"""

from tests.oracle.approach_features import approach_features, setup_window, split_episodes
from tests.oracle.bar5s import BAR_NS, EVENT_SIDE, FLOW_ACTIONS, bar5s
from tests.oracle.book import (
    BANDS,
    LEVELS,
    NO_STATE,
    SIDES,
    TICK_LADDER,
    Book,
    State,
    band_of,
    is_two_sided,
    read_book,
    state_of,
)
from tests.oracle.clean_ticks import clean_ticks
from tests.oracle.level_episodes import level_episodes
from tests.oracle.session_levels import LEVEL_TYPES, new_york_ns, polarity_of, session_levels
from tests.oracle.setup_vectors import MISSING_WALL_PTS, VECTOR_DIMS, setup_vectors

__all__ = [
    "BANDS",
    "BAR_NS",
    "EVENT_SIDE",
    "FLOW_ACTIONS",
    "LEVELS",
    "LEVEL_TYPES",
    "MISSING_WALL_PTS",
    "NO_STATE",
    "SIDES",
    "TICK_LADDER",
    "VECTOR_DIMS",
    "Book",
    "State",
    "approach_features",
    "band_of",
    "bar5s",
    "clean_ticks",
    "is_two_sided",
    "level_episodes",
    "new_york_ns",
    "polarity_of",
    "read_book",
    "session_levels",
    "setup_vectors",
    "setup_window",
    "split_episodes",
    "state_of",
]
