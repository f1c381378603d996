"""The ladders of a row, what lies in a band of prices, and the state of a two-sided book."""

from typing import NamedTuple

from tests.oracle.arithmetic import Row, imbalance, named, ratio

SIDES = ("bid", "ask")
LEVELS = range(10)
FIELDS = ("px", "sz", "ct")
SAME_PTS = 1e-9
"""A distance in points this little off an edge is at it: prices are off by their rounding."""
BANDS = {"p0_1": 1, "p1_2": 2, "p2_3": 3, "p3_5": 5, "p5_10": 10}
NEAR_BANDS = ("p0_1", "p1_2", "p2_3")
DEPTH_SIDE = {"bid": "below", "ask": "above"}
STATE_NAMES = [
    *named("{}", "microprice midprice state_spread_pts state_obi0 state_obi10"),
    *(f"state_cdi_{band}" for band in BANDS),
    *(f"depth_{side}10_qty" for side in SIDES),
    *(f"depth_{where}_{band}_qty" for where in DEPTH_SIDE.values() for band in BANDS),
    *(f"depth_{where}_{band}_frac" for where in DEPTH_SIDE.values() for band in BANDS),
]
TICK_LADDER = {
    side: [[f"{side}_{field}_{i:02d}" for field in FIELDS] for i in LEVELS] for side in SIDES
}
BAR_LADDER = {
    side: [[f"bar5s_shape_{side}_{f}_l{i:02d}_eob" for f in FIELDS] for i in LEVELS]
    for side in SIDES
}


class Level(NamedTuple):
    px: float | None
    sz: int
    ct: int


Book = dict[str, list[Level]]
NO_LEVEL = Level(None, 0, 0)
NO_BOOK: Book = {side: [NO_LEVEL] * len(LEVELS) for side in SIDES}


class State(NamedTuple):
    """A two-sided book and the value of each of the state's names."""

    book: Book
    values: Row


NO_STATE = State(NO_BOOK, dict.fromkeys(STATE_NAMES))


def read_book(row: Row, ladders: dict[str, list[list[str]]]) -> Book:
    """Both ladders, best first; a level without a price has no size and no count."""
    return {
        side: [
            NO_LEVEL if row[px] is None else Level(row[px], row[sz], row[ct])
            for px, sz, ct in ladders[side]
        ]
        for side in SIDES
    }


def is_two_sided(book: Book) -> bool:
    """Both best prices are defined and both best sizes are above 0."""
    return all(book[side][0].px is not None and book[side][0].sz > 0 for side in SIDES)


def quantity(levels: list[Level]) -> int:
    return sum(level.sz for level in levels)


def band_of(side: str, px: float, reference: float, point: float) -> str | None:
    """The band of a price by its distance from the reference on the side's own side.

    A bid's distance is counted downwards, an ask's upwards; a band includes its upper
    edge, the first one all negative distances, and beyond the last there is none.
    """
    distance = (reference - px if side == "bid" else px - reference) / point
    return next((band for band, upper in BANDS.items() if distance <= upper + SAME_PTS), None)


def band_quantities(
    side: str, levels: list[Level], reference: float, point: float
) -> dict[str | None, int]:
    quantities: dict[str | None, int] = dict.fromkeys([*BANDS, None], 0)
    for level in levels:
        if level.px is not None:
            quantities[band_of(side, level.px, reference, point)] += level.sz
    return quantities


def state_of(book: Book, point: float) -> State:
    """The values of a two-sided book."""
    bid, ask = book["bid"][0], book["ask"][0]
    microprice = (ask.px * bid.sz + bid.px * ask.sz) / (bid.sz + ask.sz)
    total = {side: quantity(book[side]) for side in SIDES}
    qty = {side: band_quantities(side, book[side], microprice, point) for side in SIDES}
    values = {
        "microprice": microprice,
        "midprice": (bid.px + ask.px) / 2,
        "state_spread_pts": (ask.px - bid.px) / point,
        "state_obi0": imbalance(bid.sz, ask.sz),
        "state_obi10": imbalance(total["bid"], total["ask"]),
    }
    for band in BANDS:
        values[f"state_cdi_{band}"] = imbalance(qty["bid"][band], qty["ask"][band])
    for side, where in DEPTH_SIDE.items():
        values[f"depth_{side}10_qty"] = total[side]
        for band in BANDS:
            values[f"depth_{where}_{band}_qty"] = qty[side][band]
            values[f"depth_{where}_{band}_frac"] = ratio(qty[side][band], total[side])
    return State(book, values)
