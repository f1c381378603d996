"""What a bar's last book says: its state, ladder, shape and walls."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import polars as pl

from kernels.book import (
    MICROPRICE,
    N_STATE,
    Book,
    books_of,
    new_depth,
    states_at_own_price,
)
from kernels.compiling import kernel
from kernels.features import BOOK_COLUMNS, LEVELS, SIDES, STATE

STRONG_Z = 2.0
Z_ROUNDING = 1e-9
"""Two equal walls among eight equal levels have z = 2 exactly; rounding must not decide."""
_WALL = ("maxz", "maxz_levelidx", "nearest_strong_dist_pts", "nearest_strong_levelidx")


@kernel
def _ladder_gaps(px, point, gaps) -> None:
    """Per bar max and mean distance between adjacent defined levels; px (n, 10), gaps (n, 2)."""
    for bar in range(px.shape[0]):
        greatest, total, count, previous = 0.0, 0.0, 0, np.nan
        for level in range(LEVELS):
            price = px[bar, level]
            if np.isnan(price):
                continue
            if not np.isnan(previous):
                gap = abs(price - previous) / point
                greatest, total, count = max(greatest, gap), total + gap, count + 1
            previous = price
        gaps[bar, 0] = greatest if count else np.nan
        gaps[bar, 1] = total / count if count else np.nan


@kernel
def _walls(px, sz, microprice, point, walls) -> None:
    """Write each bar's `_WALL` into `walls`, (n, 4); a level is strong at z >= 2.

    z = (log1p(size) - mean) / population std over the ten levels, 0 if all sizes are equal.
    """
    logs = np.empty(LEVELS)
    for bar in range(px.shape[0]):
        is_flat, total, squares = True, 0.0, 0.0
        for level in range(LEVELS):
            logs[level] = np.log1p(sz[bar, level])
            total += logs[level]
            is_flat = is_flat and sz[bar, level] == sz[bar, 0]
        mean = total / LEVELS
        for level in range(LEVELS):
            squares += (logs[level] - mean) ** 2
        std = np.sqrt(squares / LEVELS)
        highest, at, strong = -np.inf, 0, -1
        for level in range(LEVELS):
            z = 0.0 if is_flat else (logs[level] - mean) / std
            if z > highest:
                highest, at = z, level
            if strong < 0 and z >= STRONG_Z - Z_ROUNDING:
                strong = level
        walls[bar, 0], walls[bar, 1], walls[bar, 3] = highest, at, strong
        walls[bar, 2] = abs(px[bar, strong] - microprice[bar]) / point if strong >= 0 else np.nan


def _states(book: Book, point: float) -> np.ndarray:
    """The state of each bar's last book, (N_STATE, n)."""
    n = book.bid_px[0].size
    price, states = np.empty(n), np.empty((N_STATE, n))
    states_at_own_price(book, 0, price, point, new_depth(n), states)
    return states


def end_of_bar(books: pl.DataFrame, point: float) -> pl.DataFrame:
    """The `_eob` columns of bars from their last two-sided books.

    Args:
        books: `BOOK_COLUMNS`, a row a bar; all null in bars before the first two-sided book.
        point: price of one point, in price units.
    """
    exists = books["bid_px_00"].is_not_null()
    books = books.with_columns(_no_size_without_price())
    book = books_of(
        books.with_columns(
            pl.col(names).fill_null(np.nan if what.endswith("px") else 0)
            for what, names in BOOK_COLUMNS.items()
        ).rechunk()
    )
    states = _states(book, point)
    midprice = (books["bid_px_00"] + books["ask_px_00"]) / 2
    frames = [
        frame_of(states.T, [f"{stem}_eob" for stem, *_ in STATE]),
        pl.DataFrame({"midprice_eob": midprice}),
        _shape(books),
    ]
    for side in SIDES:
        gaps, walls = np.empty((books.height, 2)), np.empty((books.height, len(_WALL)))
        px, sz = (np.column_stack(getattr(book, f"{side}_{what}")) for what in ("px", "sz"))
        _ladder_gaps(px, point, gaps)
        _walls(px, sz.astype(float), states[MICROPRICE], point, walls)
        frames.append(
            frame_of(gaps, [f"ladder_{side}_gap_{stat}_pts_eob" for stat in ("max", "mean")])
        )
        frames.append(frame_of(walls, [f"wall_{side}_{what}_eob" for what in _WALL]))
    eob = pl.concat(frames, how="horizontal")
    return eob.select(pl.when(exists).then(pl.all()).name.prefix("bar5s_"))


def _no_size_without_price() -> Iterator[pl.Expr]:
    for side, what in product(SIDES, ("sz", "ct")):
        for px, name in zip(
            BOOK_COLUMNS[f"{side}_px"], BOOK_COLUMNS[f"{side}_{what}"], strict=True
        ):
            yield pl.when(pl.col(px).is_not_null()).then(pl.col(name)).otherwise(0)


def frame_of(matrix: np.ndarray, names: list[str]) -> pl.DataFrame:
    """A row a bar, NaN being null.

    The orientation is given, as Polars takes rows for columns where there are as many of both.
    """
    return pl.from_numpy(matrix, names, orient="row").fill_nan(None)


def _shape(books: pl.DataFrame) -> pl.DataFrame:
    """Price, size and count of each level, and their fractions of the ten-level total."""
    columns = []
    for side, what in product(SIDES, ("px", "sz", "ct")):
        names = BOOK_COLUMNS[f"{side}_{what}"]
        total = pl.sum_horizontal(pl.col(names).cast(pl.Float64))
        for level, name in enumerate(names):
            columns.append(pl.col(name).alias(f"shape_{side}_{what}_l{level:02d}_eob"))
            if what != "px":
                frac = pl.when(total > 0).then(pl.col(name) / total).otherwise(0.0)
                columns.append(frac.alias(f"shape_{side}_{what}_frac_l{level:02d}_eob"))
    return books.select(columns)
