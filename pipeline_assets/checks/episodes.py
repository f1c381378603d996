"""Checks of session_levels, level_episodes and approach_features."""

import polars as pl

from kernels.features import OUTCOME
from pipeline_assets.checks.finding import Finding, found, make_again
from pipeline_assets.words import counted
from resources.lake import LakeDay

MIN_EPISODES = 20
"""With fewer, one outcome or value may well be all there is."""
MAX_OUTCOME_SHARE = 0.95
"""If the market only ever does one thing at a level, the data are probably at fault."""
MAX_SHARE_WITHOUT_OUTCOME = 0.25
"""An outcome is missing where the day ends within six minutes of a touch, which is rare."""


def lows_lie_below_highs(tables: LakeDay) -> Finding:
    """Of the pre-market and of the opening range, the low is not above the high."""
    prices = dict(
        tables.scan("session_levels").select("level_type", "level_price").collect().rows()
    )
    formed = {name: price for name, price in prices.items() if price is not None}
    inverted = [
        window
        for window in ("PM", "OR")
        if formed.get(f"{window}_LOW", 0.0) > formed.get(f"{window}_HIGH", float("inf"))
    ]
    return found(
        ", ".join(
            f"{w}_LOW {prices[f'{w}_LOW']:.4f} is above {w}_HIGH {prices[f'{w}_HIGH']:.4f}"
            for w in inverted
        ),
        make_again(tables, "session_levels"),
        ", ".join(f"{name} {price:.2f}" for name, price in formed.items())
        or "no level: no tick in the pre-market or the opening range",
        {"inverted_windows": len(inverted)},
    )


def levels_lie_in_the_days_range(tables: LakeDay) -> Finding:
    """Every level lies between the day's least and greatest microprice."""
    price = pl.col("bar5s_microprice_eob")
    low, high = tables.scan("bar5s").select(low=price.min(), high=price.max()).collect().row(0)
    levels = tables.scan("session_levels").select("level_type", "level_price").drop_nulls()
    outside = [
        f"{name} {level:.4f}"
        for name, level in levels.collect().iter_rows()
        if low is None or not low <= level <= high
    ]
    says = "though no bar has a price" if low is None else f"outside {low:.4f} to {high:.4f}"
    return found(
        f"{', '.join(outside)} {says}" if outside else "",
        make_again(tables, "session_levels"),
        "every level lies between the day's least and greatest microprice",
        {"levels_outside": len(outside)},
    )


def one_trigger_an_episode(tables: LakeDay) -> Finding:
    """Every episode has one trigger bar, and it is bar 0."""
    is_trigger, is_zero = pl.col("is_trigger_bar"), pl.col("bars_to_trigger") == 0
    is_one = (is_trigger.sum() == 1) & (is_trigger == is_zero).all()
    return _of_episodes(
        tables,
        is_one,
        "with no trigger bar, several, or one that is not bar 0",
        "bar 0 and no other is the trigger",
    )


def bars_run_through_the_trigger(tables: LakeDay) -> Finding:
    """Within every episode bars_to_trigger rises by one."""
    is_run = (pl.col("bars_to_trigger").diff() == 1).all()
    return _of_episodes(
        tables,
        is_run,
        "with bars that do not follow one another",
        "every bar follows the one before",
    )


def _of_episodes(tables: LakeDay, is_sound: pl.Expr, fault: str, sound: str) -> Finding:
    """What is to be said of the episodes that are not sound, or of all if they are."""
    episodes = tables.scan("level_episodes").group_by("episode_id", maintain_order=True)
    judged = episodes.agg(is_sound=is_sound).collect()
    unsound = judged.filter(~pl.col("is_sound"))["episode_id"]
    return found(
        f"{counted(len(unsound), 'episode')} {fault}, the first {unsound[0]}"
        if len(unsound)
        else "",
        make_again(tables, "level_episodes"),
        f"{sound}, in all of {counted(judged.height, 'episode')}",
        {"unsound_episodes": len(unsound), "episodes": judged.height},
    )


def outcomes_are_plausible(tables: LakeDay) -> Finding:
    """If there are many episodes, not nearly all share one outcome, and few lack one."""
    triggers = tables.scan("level_episodes").filter("is_trigger_bar").select("outcome").collect()
    outcomes = triggers["outcome"]
    shares = {name: float(outcomes.eq_missing(name).mean() or 0.0) for name in OUTCOME.categories}
    without = outcomes.null_count() / max(len(outcomes), 1)
    commonest = max(shares, key=shares.get)
    implausible = []
    if len(outcomes) >= MIN_EPISODES and shares[commonest] > MAX_OUTCOME_SHARE:
        implausible.append(f"{shares[commonest]:.0%} of {len(outcomes)} episodes are {commonest}")
    if len(outcomes) >= MIN_EPISODES and without > MAX_SHARE_WITHOUT_OUTCOME:
        implausible.append(f"{without:.0%} of {len(outcomes)} episodes have no outcome")
    return found(
        " and ".join(implausible),
        f"look at the day's price and levels, and whether its raw file ends early ({tables.day})",
        f"{counted(len(outcomes), 'episode')}, {commonest} the commonest outcome"
        if len(outcomes)
        else "no episode on this day",
        {f"share_{name.lower()}": share for name, share in shares.items()}
        | {"share_none": without},
    )


def rows_are_those_of_the_episodes(tables: LakeDay) -> Finding:
    """approach_features has the rows of level_episodes, in their order."""
    keys = [
        tables.scan(table).select("episode_id", "bar_ts").collect()
        for table in ("level_episodes", "approach_features")
    ]
    rows, approach_rows = (frame.height for frame in keys)
    fault = ""
    if rows != approach_rows:
        fault = f"approach_features has {approach_rows:,} rows, level_episodes {rows:,}"
    elif not keys[0].equals(keys[1]):
        fault = "rows of approach_features are not those of level_episodes"
    return found(
        fault,
        make_again(tables, "approach_features"),
        f"the same {rows:,} rows as level_episodes",
        {"rows": approach_rows, "episode_rows": rows},
    )
