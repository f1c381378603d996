"""Seeded simulated market days as Databento MBP-10 files, for tests, benchmarks and first runs.

    python -m resources.simulated 2025-06-05 2025-06-06 --root ES --seed 7 --raw data/raw

A file is what a request for a parent symbol (`ES.FUT`) to GLBX.MDP3 returns: the front quarterly
contract, the next one and the calendar spread between them.
"""

import argparse
import hashlib
import math
import random
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import zstandard
from databento_dbn import FIXED_PRICE_SCALE, Metadata, Schema, SType

from kernels.features import MBP10_RTYPE, NS_PER_DAY
from kernels.instrument import INSTRUMENTS, NEW_YORK
from resources.atomic import whole_file
from resources.options import date_option, print_on_any_terminal
from resources.raw_files import DATASET, RawDataMissing, day_file, raw_files
from resources.simulated_book import BOOK_DTYPE, CENTRE, RECORD_DTYPE
from resources.simulated_dirt import add_flaws, open_dirt
from resources.simulated_market import advance, open_market

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)

PUBLISHER_ID = 1
BLOCK_RECORDS = 16_384
ZSTD_LEVEL, ZSTD_THREADS = 3, 2

EVENTS_A_DAY = 1_900_000
ES_PRICE, ES_TICK = 5950.0, 0.25
CARRY = 0.009
"""Price of the calendar spread, as a share of the front contract's."""
MONTH_CODES = {3: "H", 6: "M", 9: "U", 12: "Z"}

# fmt: off
RATE_BY_HOUR = {
    0: 2, 2: 3, 3: 6, 4: 6, 6: 5, 8: 8, 8.5: 14, 8.75: 10, 9.45: 16, 9.5: 100, 10: 65, 11: 45,
    12: 33, 13: 32, 14: 40, 15: 45, 15.75: 65, 16: 80, 16.05: 12, 17: 5, 18: 8, 18.5: 4, 24: 2,
}
# fmt: on
"""Relative event rate by hour of the New York day, linear in between."""
NEWS_CHANCE, NEWS_RATE, NEWS_DECAY = 0.004, 3.0, 0.8
"""Chance of news in a minute; the multiple of the rate it adds; how much of it a minute keeps."""


def simulate_day(
    path: Path,
    day: date,
    *,
    root: str = "ES",
    events: int = EVENTS_A_DAY,
    seed: int = 0,
    dirt: int = 0,
    version: int = 3,
    price: float = ES_PRICE,
    tick: float = ES_TICK,
) -> Path:
    """Write one simulated UTC day of MBP-10 records to `path` (`.dbn.zst`) and return it.

    The books trade around a fair value that reverts to `price`, so that the price revisits the
    day's earlier highs and lows. Sizes lean towards where the fair value pulls, trades sweep levels
    and their fills follow as cancels and modifies, large orders come and go. Events follow the New
    York day: quiet overnight, a rush at 09:30, a busy close, none from 17:00 to 18:00 or over the
    weekend.

    The same arguments give the same bytes; each root, day and seed is a market of its own. Memory
    does not grow with `events`. The file appears whole or not at all.

    Args:
        path: The file; missing folders are made.
        day: UTC day of the file.
        root: Root of the quarterly futures, e.g. `ES`.
        events: Records in the file, at least 1.
        seed: Any integer.
        dirt: How many times over to add the flaws that real files have and a pipeline must survive:
            crossed and locked books, missing levels, clears, sideless and typeless records, warning
            flags, late records.
        version: DBN version, 1 to 3.
        price: Central price of the front contract, in points.
        tick: Tick of the outrights, in points; the price ranges over some 250 ticks a day.

    Raises:
        ValueError: if the market is closed all `day`, or a number makes no sense.
    """
    if events < 1:
        raise ValueError(f"events is {events}; it must be at least 1")
    if dirt < 0:
        raise ValueError(f"dirt is {dirt}; it must be at least 0")
    if not (0 < tick < math.inf and math.isfinite(price)):
        raise ValueError(f"tick is {tick}, price {price}; they must be finite, the tick above 0")
    rng = random.Random(_stream_seed(root, day, seed))
    symbols = symbols_of(root, day)
    books = _books(symbols, price, tick)
    market = open_market(
        books,
        _activity(day, rng),
        _midnight_ns(day),
        events,
        rng.getrandbits(64),
        with_clears=dirt > 0,
    )
    flaws = open_dirt(_midnight_ns(day), rng.getrandbits(64))
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=ZSTD_THREADS)
    with whole_file(path) as part, zstandard.open(part, "wb", compressor) as stream:
        stream.write(bytes(_metadata(root, day, symbols, books, version)))
        for block in _blocks(events):
            advance(market, block)
            for _ in range(dirt):
                add_flaws(flaws, block)
            stream.write(block.view(np.uint8))
    return path


def symbols_of(root: str, day: date) -> list[str]:
    """The front quarterly contract, the next and their spread: ESM5, ESU5, ESM5-ESU5.

    The front contract rolls on the Monday before the third Friday of its expiry month.
    """
    quarters = [(year, month) for year in (day.year, day.year + 1) for month in MONTH_CODES]
    front = next(i for i, quarter in enumerate(quarters) if day < _roll_day(*quarter))
    outrights = [
        f"{root}{MONTH_CODES[month]}{year % 10}" for year, month in quarters[front : front + 2]
    ]
    return [*outrights, "-".join(outrights)]


def _roll_day(year: int, month: int) -> date:
    first = date(year, month, 1)
    first_friday = first + (4 - first.weekday()) % 7 * DAY
    return first_friday + 10 * DAY


def _books(symbols: Sequence[str], price: float, tick: float) -> np.ndarray:
    """The empty books of the front contract, the next and their spread (BOOK_DTYPE)."""
    prices = np.array([price, price * (1 + CARRY), price * CARRY])
    ticks = np.array([tick, tick, tick / 5])
    books = np.zeros(len(symbols), BOOK_DTYPE)
    books["instrument_id"] = [zlib.crc32(symbol.encode()) >> 8 for symbol in symbols]
    books["tick"] = np.rint(ticks * FIXED_PRICE_SCALE)
    books["origin"] = np.rint(prices / ticks) - CENTRE
    books["share"] = 0.96, 0.03, 0.01
    books["follow"] = 1.0, 1.0, 0.02
    books["thickness"] = 1.0, 0.1, 0.6
    return books


def _stream_seed(root: str, day: date, seed: int) -> int:
    digest = hashlib.sha256(f"{root} {day.isoformat()} {seed}".encode()).digest()
    return int.from_bytes(digest, "little")


def _midnight_ns(day: date) -> int:
    return (day - date(1970, 1, 1)).days * NS_PER_DAY


def _activity(day: date, rng: random.Random) -> np.ndarray:
    """The share of the day's events before each UTC minute (1441 values from 0 to 1)."""
    rates = _usual_rates(day)
    total = np.cumsum(rates * np.fromiter(_bustle(rng), float, len(rates)))
    return np.concatenate(([0.0], total / total[-1]))


def _usual_rates(day: date) -> np.ndarray:
    """The relative event rate of each of the day's UTC minutes; a day without any is refused."""
    midnight = datetime.combine(day, time_of_day(), UTC)
    moments = [(midnight + minute * MINUTE).astimezone(NEW_YORK) for minute in range(DAY // MINUTE)]
    rates = np.array([_usual_rate(moment) for moment in moments])
    if not rates.any():
        raise ValueError(f"{day} is a {day:%A}: the market is closed all day")
    return rates


def _usual_rate(moment: datetime) -> float:
    """The relative event rate at a New York time, 0 where the market is closed."""
    if not _is_open(moment):
        return 0.0
    hour = moment.hour + moment.minute / 60
    return round(float(np.interp(hour, list(RATE_BY_HOUR), list(RATE_BY_HOUR.values()))), 6)


def _is_open(moment: datetime) -> bool:
    """Whether CME trades at a New York time: from Sunday 18:00, a daily break at 17:00."""
    friday, saturday = 4, 5
    if moment.hour >= 17:
        return moment.hour >= 18 and moment.weekday() not in (friday, saturday)
    return moment.weekday() < saturday


def _bustle(rng: random.Random) -> Iterator[float]:
    """Yield minute by minute a multiple of the usual rate: waves, and news that dies away."""
    wave, news = 0.5, 0.0
    while True:
        wave = 0.8 * wave + 0.2 * rng.random()
        news = NEWS_DECAY * news + NEWS_RATE * (rng.random() < NEWS_CHANCE)
        yield 0.5 + wave + news


def _metadata(
    root: str, day: date, symbols: Sequence[str], books: np.ndarray, version: int
) -> Metadata:
    mappings = [
        SimpleNamespace(
            raw_symbol=symbol,
            intervals=[SimpleNamespace(start_date=day, end_date=day + DAY, symbol=str(mapped_id))],
        )
        for symbol, mapped_id in zip(symbols, books["instrument_id"], strict=True)
    ]
    return Metadata(
        DATASET,
        start=_midnight_ns(day),
        end=_midnight_ns(day + DAY),
        stype_in=SType.PARENT,
        stype_out=SType.INSTRUMENT_ID,
        schema=Schema.MBP_10,
        symbols=[f"{root}.FUT"],
        mappings=mappings,
        version=version,
    )


def _blocks(events: int) -> Iterator[np.ndarray]:
    """Yield views of one reused block, `events` records in all, their constant fields filled in."""
    block = np.zeros(min(events, BLOCK_RECORDS), RECORD_DTYPE)
    block["length"] = RECORD_DTYPE.itemsize // 4
    block["rtype"] = MBP10_RTYPE
    block["publisher_id"] = PUBLISHER_ID
    for start in range(0, events, BLOCK_RECORDS):
        yield block[: events - start]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m resources.simulated",
        description="Write simulated market days as Databento MBP-10 files.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("days", nargs="+", type=date_option, help="UTC days, YYYY-MM-DD")
    parser.add_argument(
        "--root", default="ES", type=str.upper, choices=INSTRUMENTS, help="root of the futures"
    )
    parser.add_argument("--events", type=int, default=EVENTS_A_DAY, help="records a day")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same files")
    parser.add_argument(
        "--dirt", type=int, default=0, help="how many times over to add the flaws of real files"
    )
    parser.add_argument("--version", type=int, default=3, choices=(1, 2, 3), help="DBN version")
    parser.add_argument("--price", type=float, default=ES_PRICE, help="central price, in points")
    parser.add_argument("--tick", type=float, default=ES_TICK, help="tick size, in points")
    parser.add_argument(
        "--raw",
        type=Path,
        default=Path("data/raw"),
        help="folder; files go to RAW/ROOT/glbx-mdp3-YYYYMMDD.mbp-10.dbn.zst",
    )
    return parser


def main() -> None:
    """Write the days named on the command line; print a line for each."""
    print_on_any_terminal()
    parser = _parser()
    options = vars(parser.parse_args())
    days, raw = options.pop("days"), options.pop("raw")
    try:
        for day in days:
            with suppress(RawDataMissing):
                there = ", ".join(map(str, raw_files(raw, options["root"], day)))
                parser.error(f"{there} exists; delete it, or name another folder with --raw")
            _usual_rates(day)
        for day in days:
            started = time.perf_counter()
            path = simulate_day(day_file(raw, options["root"], day), day, **options)
            megabytes, seconds = path.stat().st_size / 1e6, time.perf_counter() - started
            print(f"{path}: {options['events']:,} events, {megabytes:.1f} MB, {seconds:.1f} s")
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"cannot write to {raw}: {error}; name another folder with --raw")


if __name__ == "__main__":
    main()
