"""A root's day of MBP-10 through Databento's Historical API: its condition, price and stream.

Importing this module imports the `databento` client and pandas with it, which takes a second.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import requests
from databento import BentoError, BentoHttpError, Historical
from databento.common.zstd import ZstdError
from databento_dbn import DBNError
from tenacity import (
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from resources.feed import DownloadError, count_records
from resources.raw_files import DATASET

SCHEMA = "mbp-10"

ATTEMPTS = 6
BACKOFF = wait_exponential_jitter()
"""1, 2, 4, 8 and 16 seconds between six attempts, each up to a second longer."""
LONGEST_WAIT = 300
"""Most seconds to wait when the server asks for a wait."""

REMEDIES = {
    401: "check DATABENTO_API_KEY",
    402: "settle the account's payment with Databento",
    403: "ask Databento for access; the last 24 hours take a live licence",
    422: "ask again when Databento has the whole day",
}
LATER = "try again later"

_log = logging.getLogger(__name__)


class BrokenStream(Exception):
    """A stream that did not bring a whole file."""


_FAULTS_OF_THE_LINE = (
    BrokenStream,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


@dataclass(frozen=True)
class HistoricalDay:
    """One root's UTC day at Databento, and what may be spent on it in dollars."""

    client: Historical
    root: str
    day: date
    cost_limit: float
    sleep: Callable[[float], None]

    def download(self, part: Path) -> dict[str, str | int | float]:
        """Stream the day to `part` and return its `condition`, `price_usd`, `streams`, `records`.

        Nothing is requested that costs money before the price is known to be within the limit.

        Raises:
            DownloadError: if the day is missing, empty or too expensive, if the API refuses, or if
                the last of six attempts fails; passing faults are waited out in between.
        """
        condition = self._condition()
        price = float(self._ask(self.client.metadata.get_cost, **self._request()))
        broken_off = 0

        def stream() -> int:
            nonlocal broken_off
            self._check_price(price, broken_off)
            try:
                return self._stream(part)
            except BrokenStream:
                broken_off += 1
                raise

        records = self._ask(stream)
        if not records:
            raise self._error("Databento has no record of it", "check that it is a trading day")
        return {
            "condition": condition,
            "price_usd": price,
            "streams": broken_off + 1,
            "records": records,
        }

    def _condition(self) -> str:
        """`available`, `degraded` or `pending`; a day missing at Databento is an error."""
        conditions = self._ask(
            self.client.metadata.get_dataset_condition,
            dataset=DATASET,
            start_date=self.day,
            end_date=self.day,
        )
        by_day = {each["date"]: each["condition"] for each in conditions}
        condition = by_day.get(str(self.day), "missing")
        if condition == "missing":
            raise self._error(f"missing from {DATASET} at Databento", "leave the day out")
        return condition

    def _check_price(self, price: float, broken_off: int) -> None:
        if (broken_off + 1) * price <= self.cost_limit:
            return
        again = f" {broken_off + 1} times, as broken streams may be billed" if broken_off else ""
        raise self._error(
            f"Databento asks ${price:.2f}{again}, over the limit of ${self.cost_limit:.2f}",
            "raise MBP10_COST_LIMIT to buy it",
        )

    def _stream(self, part: Path) -> int:
        """Stream the day to `part` from its start; the number of records, once it proves whole."""
        part.unlink(missing_ok=True)
        try:
            self.client.timeseries.get_range(**self._request(), path=part)
            return count_records(part)
        except BentoHttpError:
            raise
        except BentoError as error:
            cause = error.__context__  # where the client leaves what broke the stream
            if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
                remedy = "check that it can be written to, and make room"
                raise self._error(f"cannot write {part.parent}: {cause}", remedy) from cause
            raise BrokenStream(error) from error
        except (ValueError, DBNError, EOFError, ZstdError) as error:
            raise BrokenStream(error) from error

    def _request(self) -> dict[str, Any]:
        return {
            "dataset": DATASET,
            "schema": SCHEMA,
            "stype_in": "parent",
            "symbols": [f"{self.root}.FUT"],
            "start": self.day,
            "end": self.day + timedelta(days=1),
        }

    def _ask(self, call: Callable[..., Any], **parameters: Any) -> Any:
        """What `call` returns, tried again after a passing fault."""
        attempts = Retrying(
            retry=retry_if_exception(_is_passing),
            wait=_wait,
            stop=stop_after_attempt(ATTEMPTS),
            sleep=self.sleep,
            before_sleep=before_sleep_log(_log, logging.WARNING),
            reraise=True,
        )
        try:
            return attempts(call, **parameters)
        except (BentoError, requests.RequestException, BrokenStream) as error:
            tries = attempts.statistics["attempt_number"]
            said = " ".join(str(error).split())
            remedy = REMEDIES.get(getattr(error, "http_status", None), LATER)
            raise self._error(f"attempt {tries} at Databento failed: {said}", remedy) from error

    def _error(self, problem: str, remedy: str) -> DownloadError:
        return DownloadError(self.root, self.day, problem, remedy)


def _is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later: overload, faults of the server or the line."""
    if isinstance(error, BentoHttpError):
        return error.http_status in (408, 429) or error.http_status >= 500
    return isinstance(error, _FAULTS_OF_THE_LINE)


def _wait(state: RetryCallState) -> float:
    """Seconds to wait: the backoff, or longer if the response said so in `Retry-After`."""
    headers = getattr(state.outcome.exception(), "headers", {})
    asked = headers.get("Retry-After", "")
    return max(BACKOFF(state), min(int(asked), LONGEST_WAIT) if asked.isdecimal() else 0)
