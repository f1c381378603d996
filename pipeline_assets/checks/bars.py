"""Checks of bar5s: the grid, and what must come through from ticks to bars."""

from itertools import product

import polars as pl

from kernels.features import BANDS, SIDES
from pipeline_assets.checks.finding import Finding, found, make_again
from pipeline_assets.words import counted
from resources.lake import LakeDay

_ACTIONS = {"add": "A", "cancel": "C", "modify": "M", "clear": "R", "trade": "T"}


def grid_is_gapless(tables: LakeDay) -> Finding:
    """Bars are strictly 5 s apart."""
    gap = pl.col("bar_ts").diff() != pl.duration(seconds=5)
    gaps = tables.scan("bar5s").select(gap.sum()).collect().item()
    return found(
        f"{counted(gaps, 'bar')} not 5 s after the one before" if gaps else "",
        make_again(tables, "bar5s"),
        "every bar follows the one before by 5 s",
        {"gaps": gaps},
    )


def ticks_are_conserved(tables: LakeDay) -> Finding:
    """Message counts, trades and volumes of the bars add up to those of the ticks."""
    expected = tables.scan("clean_ticks").select(**_totals()).collect().row(0, named=True)
    bars = tables.scan("bar5s").select(pl.col(f"bar5s_{name}_sum").sum() for name in expected)
    totals = dict(zip(expected, bars.collect().row(0), strict=True))
    lost = {name: ticks - totals[name] for name, ticks in expected.items()}
    unequal = [
        f"{name} is {expected[name]:,} in the ticks and {totals[name]:,.0f} in the bars"
        for name in lost
        if lost[name]
    ]
    return found(
        ", ".join(unequal),
        make_again(tables, "bar5s"),
        f"{expected['meta_msg_cnt']:,} ticks and {expected['trade_vol']:,} contracts traded, in ticks and bars alike",
        {f"lost_{name}": int(missing) for name, missing in lost.items()},
    )


def volumes_balance(tables: LakeDay) -> Finding:
    """In every bar signed volume is buy less sell, and net flow is added less removed."""
    unbalanced = {
        "signed_volume": _differs("trade_signed_vol", "trade_aggbuy_vol", "trade_aggsell_vol"),
        "net_flow": pl.any_horizontal(
            _differs(*(f"flow_{what}_vol_{side}_{band}" for what in ("net", "add", "rem")))
            for side, band in product(SIDES, BANDS)
        ),
    }
    counts = tables.scan("bar5s").select(**{k: v.sum() for k, v in unbalanced.items()})
    bars = counts.collect().row(0, named=True)
    return found(
        ", ".join(
            f"{name} does not balance in {counted(n, 'bar')}" for name, n in bars.items() if n
        ),
        make_again(tables, "bar5s"),
        "in every bar signed volume is buy less sell, net flow added less removed",
        {f"unbalanced_{name}": n for name, n in bars.items()},
    )


def _totals() -> dict[str, pl.Expr]:
    """What the ticks add up to, by the stem of the bars' column."""
    is_trade = pl.col("action") == "T"
    volume = pl.col("size").cast(pl.Int64)
    counts = {
        f"meta_{kind}_cnt": (pl.col("action") == action).sum() for kind, action in _ACTIONS.items()
    }
    return {"meta_msg_cnt": pl.len(), **counts} | {
        "trade_cnt": is_trade.sum(),
        "trade_vol": volume.filter(is_trade).sum(),
        "trade_aggbuy_vol": volume.filter(is_trade, pl.col("side") == "B").sum(),
        "trade_aggsell_vol": volume.filter(is_trade, pl.col("side") == "A").sum(),
    }


def _differs(of: str, plus: str, minus: str) -> pl.Expr:
    """Whether one sum of a bar is not the second less the third."""
    of, plus, minus = (pl.col(f"bar5s_{name}_sum") for name in (of, plus, minus))
    return of != plus - minus
