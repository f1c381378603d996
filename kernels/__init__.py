"""The mathematics of the pipeline: one pure function a stage, Polars in, Polars out."""

from kernels.compiling import use_cache_of_this_source

use_cache_of_this_source()

# The cache folder must be set before the first kernel is decorated.
from kernels.approach_features import approach_features
from kernels.bar5s import BarsSoFar, bar5s
from kernels.clean_ticks import Reading, clean_ticks, readings
from kernels.errors import UnusableDay
from kernels.level_episodes import level_episodes
from kernels.session_levels import session_levels
from kernels.setup_vectors import setup_vectors

__all__ = [
    "BarsSoFar",
    "Reading",
    "UnusableDay",
    "approach_features",
    "bar5s",
    "clean_ticks",
    "level_episodes",
    "readings",
    "session_levels",
    "setup_vectors",
]
