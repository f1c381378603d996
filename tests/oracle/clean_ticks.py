"""One contract's ticks among the day's records."""

import re
from datetime import UTC, date, datetime

from tests.oracle.arithmetic import Row, named
from tests.oracle.book import FIELDS, LEVELS, SIDES

MONTH_CODES = "FGHJKMNQUVXZ"
DROP_REASONS = named("{}", "other_rtype other_root spread other_contract crossed_or_locked")
FLAGS = {"is_last": 0x80, "is_snapshot": 0x20, "is_bad_ts": 0x08, "is_bad_book": 0x04}
TICK_COLUMNS = [
    *named("{}", "ts_event ts_recv sequence action side depth price size flags"),
    *FLAGS,
    *named("{}", "publisher_id instrument_id symbol"),
    *(f"{side}_{field}_{i:02d}" for i in LEVELS for field in FIELDS for side in SIDES),
]


def is_outright(symbol: str, root: str) -> bool:
    """The root, a month letter and one or two digits of the year: ESH5, ESH25."""
    pattern = rf"{re.escape(root)}[{MONTH_CODES}][0-9]{{1,2}}"
    return re.fullmatch(pattern, symbol) is not None


def is_spread(symbol: str, root: str) -> bool:
    """Parts joined by '-', ':' or ' ', the root or an outright of it among them."""
    parts = re.split("[-: ]", symbol)
    return len(parts) > 1 and any(p == root or is_outright(p, root) for p in parts)


def expiry(symbol: str, root: str, day: date) -> tuple[int, int]:
    """First (year, month) of that letter and year ending not before the day's month."""
    code, digits = symbol[len(root)], symbol[len(root) + 1 :]
    month = MONTH_CODES.index(code) + 1
    year = day.year if month >= day.month else day.year + 1
    while not str(year).endswith(digits):
        year += 1
    return year, month


def choose_contract(outrights: list[Row], root: str, roll: str, day: date) -> str:
    """The one contract to keep.

    volume: the most traded size, ties to the nearest expiry; calendar: the nearest
    expiry whose month has not begun; anything else names the contract itself.
    """
    traded = {record["symbol"]: 0 for record in outrights}
    for record in outrights:
        if record["action"] == "T":
            traded[record["symbol"]] += record["size"]
    nearest_first = sorted(traded, key=lambda s: (expiry(s, root, day), s))
    if roll == "volume":
        return max(nearest_first, key=lambda symbol: traded[symbol])
    if roll == "calendar":
        for symbol in nearest_first:
            if date(*expiry(symbol, root, day), 1) > day:
                return symbol
        raise ValueError(f"the expiry month of every {root} contract has begun")
    if roll not in traded:
        raise ValueError(f"no record of the contract {roll}")
    return roll


def time_and_sequence_of(record: Row, day: date) -> tuple[int, int]:
    """When a record counts, ns UTC, and its sequence: its event's; of a snapshot when it was made, and 0.

    That holds of snapshots with a bad receive time, or of old orders, which is more than a second. A
    snapshot is made when it is received, not before the day nor before the event.
    """
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000
    made = max(record["ts_recv"] or 0, record["ts_event"], midnight)
    is_snapshot = record["flags"] & FLAGS["is_snapshot"] != 0
    is_bad_ts = record["flags"] & FLAGS["is_bad_ts"] != 0
    is_old = made - record["ts_event"] > 1_000_000_000
    if is_snapshot and (is_bad_ts or is_old):
        return made, 0
    return record["ts_event"], record["sequence"]


def clean_ticks(
    records: list[Row], root: str, roll: str, day: date
) -> tuple[list[Row], dict[str, int]]:
    """One contract's MBP-10 records with an uncrossed book, in time order.

    Also the number of records dropped for each reason, a record being counted for
    the first reason that applies.
    """
    dropped = dict.fromkeys(DROP_REASONS, 0)
    outrights = []
    for record in records:
        symbol = record["symbol"] or ""
        if record["rtype"] != 10:
            dropped["other_rtype"] += 1
        elif is_outright(symbol, root):
            outrights.append(record)
        else:
            dropped["spread" if is_spread(symbol, root) else "other_root"] += 1
    if not outrights:
        raise ValueError(f"no record of an outright of {root}")

    contract = choose_contract(outrights, root, roll, day)
    kept = []
    for record in outrights:
        bid, ask = record["bid_px_00"], record["ask_px_00"]
        if record["symbol"] != contract:
            dropped["other_contract"] += 1
        elif bid is not None and ask is not None and bid >= ask:
            dropped["crossed_or_locked"] += 1
        else:
            flags = {name: record["flags"] & bit != 0 for name, bit in FLAGS.items()}
            ts_event, sequence = time_and_sequence_of(record, day)
            tick = record | flags | {"ts_event": ts_event, "sequence": sequence}
            kept.append({name: tick[name] for name in TICK_COLUMNS})
    if not kept:
        raise ValueError(f"no record of {contract} is left after cleaning")
    return sorted(kept, key=lambda t: (t["ts_event"], t["sequence"])), dropped
