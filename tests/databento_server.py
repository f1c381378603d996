"""Databento on 127.0.0.1: its routes with a day behind them, and the feed that asks them."""

import ssl
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response
from werkzeug.serving import make_ssl_devcert

from resources.databento_feed import KEY, DatabentoFeed
from resources.feed import DownloadError
from tests.conftest import DAY

API_KEY = "db-0123456789abcdefghijklmnopqrs"
CONDITION = "/v0/metadata.get_dataset_condition"
COST = "/v0/metadata.get_cost"
RANGE = "/v0/timeseries.get_range"
NAME = "glbx-mdp3-20250605.mbp-10.dbn.zst"
EVENTS = 5_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HTTPServer, str]]:
    """A https server on 127.0.0.1, as the client speaks nothing else, and its certificate."""
    certificate, key = make_ssl_devcert(str(tmp_path_factory.mktemp("tls") / "it"), "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer("127.0.0.1", 0, ssl_context=context) as running:
        yield running, certificate


@pytest.fixture(scope="module")
def whole(day_file: Callable[[int, bool], Path]) -> bytes:
    """What Databento has of the day."""
    return day_file(EVENTS, False).read_bytes()


@pytest.fixture
def api(
    server: tuple[HTTPServer, str], whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HTTPServer]:
    """Databento with the day, available, for $1.25; no test may ask it for anything else."""
    running, certificate = server
    running.clear()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    monkeypatch.setenv(KEY, API_KEY)
    running.expect_request(CONDITION, "GET").respond_with_json(condition("available"))
    running.expect_request(COST, "POST").respond_with_json(1.25)
    running.expect_request(RANGE, "POST").respond_with_data(whole)
    yield running
    running.check()


@pytest.fixture
def waits() -> list[float]:
    """The seconds a feed would have waited."""
    return []


@pytest.fixture
def feed(api: HTTPServer, waits: list[float], tmp_path: Path) -> DatabentoFeed:
    return DatabentoFeed(tmp_path / "raw", 5.0, f"https://localhost:{api.port}", waits.append)


def condition(name: str, day: date = DAY) -> list[dict[str, str]]:
    """What the route of conditions answers about a day."""
    return [{"date": str(day), "condition": name, "last_modified_date": str(day)}]


def asked(api: HTTPServer, route: str) -> int:
    """How often a route was requested."""
    return sum(request.path == route for request, _ in api.log)


def files(folder: Path) -> list[str]:
    """Every file under the folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def cut_off(body: bytes, *, announced: bool) -> Callable[[Request], Response]:
    """Answers with half a body; where its length was not announced nobody can tell from outside."""
    headers = {"Content-Length": str(len(body))} if announced else {}
    return lambda _: Response(iter([body[: len(body) // 2]]), headers=headers)


def fails_with(feed: DatabentoFeed, *words: str, day: date = DAY) -> None:
    """The day fails in these words, naming root and day, and leaves no file."""
    with pytest.raises(DownloadError) as caught:
        feed.fetch("ES", day)
    for word in ("ES", str(day), *words):
        assert word in str(caught.value)
    assert files(feed.folder) == []
