"""Checks of setup_vectors."""

import numpy as np

from kernels.features import VECTOR_DIMS
from pipeline_assets.checks.episodes import MIN_EPISODES
from pipeline_assets.checks.finding import Finding, found, make_again
from pipeline_assets.words import counted
from resources.lake import LakeDay

MOST_NAMES = 8
"""Most dimensions named in a message; the rest are counted."""
_MAY_BE_CONSTANT = np.array([dimension.unit in ("flag", "sign") for dimension in VECTOR_DIMS])
"""Flags and signs may well keep one value all day: only highs touched, no wall gone."""


def one_vector_an_episode(tables: LakeDay) -> Finding:
    """There is one vector for each episode, in the episodes' order."""
    episodes, vectors = (
        tables.scan(table).select("episode_id").collect()["episode_id"]
        for table in ("approach_features", "setup_vectors")
    )
    episodes = episodes.unique(maintain_order=True)
    fault = ""
    if len(episodes) != len(vectors):
        fault = f"{len(vectors)} vectors for {len(episodes)} episodes"
    elif not episodes.equals(vectors):
        fault = "vectors are not of the episodes of approach_features"
    return found(
        fault,
        make_again(tables, "setup_vectors"),
        f"{counted(len(vectors), 'vector')}, one an episode",
        {"vectors": len(vectors), "episodes": len(episodes)},
    )


def vectors_are_finite(tables: LakeDay) -> Finding:
    """No dimension of any vector is null, NaN or infinite."""
    is_bad = ~np.isfinite(_matrix(tables))
    return found(
        f"{is_bad.any(axis=1).sum()} of {len(is_bad)} vectors are not finite, in"
        f" {_names(is_bad.any(axis=0))}"
        if is_bad.any()
        else "",
        make_again(tables, "setup_vectors"),
        "every value is finite",
        {"values_not_finite": int(is_bad.sum())},
    )


def no_dimension_is_constant(tables: LakeDay) -> Finding:
    """On a day of many episodes every dimension varies, flags and signs aside."""
    vectors = _matrix(tables)
    is_judged = len(vectors) >= MIN_EPISODES
    is_constant = is_judged & (vectors == vectors[:1]).all(axis=0) & ~_MAY_BE_CONSTANT
    return found(
        f"the same in all {len(vectors)} episodes: {_names(is_constant)}"
        if is_constant.any()
        else "",
        f"check the columns of the bars of {tables.day} that they come from, and leave these"
        " dimensions of that day out of a model",
        "every dimension varies"
        if is_judged
        else f"too few to tell: {counted(len(vectors), 'episode')}, {MIN_EPISODES} are needed",
        {"constant_dimensions": int(is_constant.sum())},
    )


def _matrix(tables: LakeDay) -> np.ndarray:
    """The vectors, (episodes, 147) float64; NaN for null."""
    vectors = tables.scan("setup_vectors").select("vector").collect()["vector"]
    return vectors.to_numpy().reshape(-1, len(VECTOR_DIMS))


def _names(is_meant: np.ndarray) -> str:
    """The names of some dimensions, the first `MOST_NAMES` of them."""
    names = [VECTOR_DIMS[i].name for i in np.flatnonzero(is_meant)]
    others = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {others} more" if others > 0 else "")
