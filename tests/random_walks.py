"""Random walks of price around levels."""

from datetime import datetime, time, timedelta
from typing import NamedTuple

import polars as pl
from hypothesis import strategies as st

from kernels.features import schema
from kernels.instrument import new_york
from tests import oracle
from tests.conftest import DAY
from tests.oracle import LEVELS

CENTRE = 5950.0
QUARTER = 0.25
NO_WALL, FAINT_WALL, STRONG_WALL = 1.5, 2.0, 3.0


class Stretch(NamedTuple):
    """Some bars at one place, in quarter points from the centre."""

    place: int
    bars: int
    volume: int
    bid_wall_z: float


class Walk(NamedTuple):
    """A day of stretches, its first bars without a book, and the levels it meets."""

    starts: datetime
    bookless: int
    stretches: list[Stretch]
    levels: pl.DataFrame
    point: float


STARTS = [time(9, 58), time(12), time(13, 10), time(13, 20), time(13, 27), time(13, 31)]
"""New York times; the last ones let 13:30 come within the walk, or before it."""

PLACES = [-13, -10, -9, -5, -4, -1, 0, 0, 0, 1, 4, 5, 8, 9, 12]
LENGTHS = [1, 2, 5, 6, 7, 12, 23, 24, 25, 48, 73, 97]
LEVEL_PLACES = [0, 0, 0, -8, 6, None]


def level_row(level_type: str, price: float | None, valid_from: datetime) -> dict:
    return {
        "date": DAY,
        "symbol": "ESM5",
        "level_type": level_type,
        "level_price": price,
        "polarity": oracle.polarity_of(level_type),
        "formed_from": valid_from - timedelta(minutes=30),
        "formed_to": valid_from,
        "valid_from": valid_from,
    }


@st.composite
def walks(draw: st.DrawFn) -> Walk:
    """A walk drawn whole from one seed; Hypothesis would rather vary few walks than try many."""
    pick = draw(st.randoms(use_true_random=True)).choice
    starts, point = new_york(DAY, pick(STARTS)), pick([1.0, 0.25, 10.0])
    stretches = [
        Stretch(
            pick(PLACES),
            pick(LENGTHS),
            pick([0, 0, 1, 7]),
            pick([NO_WALL, FAINT_WALL, STRONG_WALL]),
        )
        for _ in range(pick(range(1, 13)))
    ]
    levels = []
    for level_type in pick([["PM_HIGH"], ["OR_LOW"], ["PM_LOW", "OR_HIGH"]]):
        place, waits = pick(LEVEL_PLACES), timedelta(seconds=pick([-60, 0, 3, 300]))
        price = None if place is None else CENTRE + place * QUARTER * point
        levels.append(level_row(level_type, price, starts + waits))
    levels = pl.DataFrame(levels, schema=schema("session_levels"))
    return Walk(starts, pick([0, 0, 1, 4, 20]), stretches, levels, point)


def bars_of(walk: Walk, template: pl.DataFrame) -> pl.DataFrame:
    """Bars whose book follows the walk; flow and depth are the template's."""
    steps = [stretch for stretch in walk.stretches for _ in range(stretch.bars)]
    n = len(steps)
    tick = QUARTER * walk.point
    price = CENTRE + pl.Series([step.place for step in steps]) * tick
    volume = pl.Series([step.volume for step in steps], dtype=pl.Float64)
    bid_z = pl.Series([step.bid_wall_z for step in steps])
    columns = {
        "ts": pl.datetime_range(
            walk.starts,
            walk.starts + timedelta(seconds=5 * (n - 1)),
            "5s",
            time_unit="ns",
            eager=True,
        ),
        "microprice_eob": price,
        "microprice_twa": price + tick / 8,
        "midprice_eob": price,
        "trade_cnt_sum": (volume > 0).cast(pl.Float64),
        "meta_trade_cnt_sum": (volume > 0).cast(pl.Float64),
        "trade_vol_sum": volume,
        "trade_aggbuy_vol_sum": volume - volume // 3,
        "trade_aggsell_vol_sum": volume // 3,
        "trade_signed_vol_sum": volume - volume // 3 * 2,
    }
    for side, outward, z in (("bid", -1, bid_z), ("ask", 1, FAINT_WALL + STRONG_WALL - bid_z)):
        is_wall = z >= FAINT_WALL
        columns[f"wall_{side}_maxz_eob"] = z
        columns[f"wall_{side}_nearest_strong_dist_pts_eob"] = pl.select(
            pl.when(is_wall).then(z / 2)
        ).to_series()
        columns[f"wall_{side}_nearest_strong_levelidx_eob"] = is_wall.cast(pl.Int32) * 5 - 1
        for i in LEVELS:
            columns[f"shape_{side}_px_l{i:02d}_eob"] = price + outward * (i + 1) * tick
    bars = template.sample(n, with_replacement=True, seed=n).with_columns(
        columns.pop("ts").alias("bar_ts"),
        *(values.alias(f"bar5s_{name}") for name, values in columns.items()),
    )
    has_book = pl.int_range(pl.len()) >= walk.bookless
    return bars.with_columns(
        pl.when(has_book).then(pl.col(name))
        for name in bars.columns
        if name.endswith(("_eob", "_twa"))
    )


def plain_walk(*stretches: tuple[int, int], bid_walls: tuple[float, ...] = ()) -> Walk:
    """A walk of (place, bars) with trades all the time, around a high that is valid at once."""
    noon = new_york(DAY, time(12))
    levels = pl.DataFrame([level_row("PM_HIGH", CENTRE, noon)], schema=schema("session_levels"))
    walls = bid_walls or [NO_WALL] * len(stretches)
    steady = [Stretch(*where, 1, wall) for where, wall in zip(stretches, walls, strict=True)]
    return Walk(noon, 0, steady, levels, 1.0)
