"""Feeds of raw files; the download against a local https server speaking Databento's routes."""

import base64
import logging
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import zstandard
from databento_dbn import Schema
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response
from werkzeug.serving import make_ssl_devcert

from pipeline_assets.settings import raw_feed
from resources.databento_feed import KEY, DatabentoFeed
from resources.dbn import DbnError
from resources.feed import (
    DownloadError,
    FolderFeed,
    RawDataMissing,
    SimulatedFeed,
    count_records,
)
from tests.conftest import DAY
from tests.dbn_files import book_record, header

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
    monkeypatch.setenv("NO_PROXY", "localhost")
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


def test_day_is_downloaded_as_it_is(feed, api, whole, waits):
    fetched = feed.fetch("ES", DAY)
    assert fetched.files == [feed.folder / "ES" / NAME]
    assert fetched.files[0].read_bytes() == whole
    assert fetched.metadata == {
        "feed": "databento",
        "bytes": len(whole),
        "downloaded": True,
        "condition": "available",
        "price_usd": 1.25,
        "streams": 1,
        "records": EVENTS,
    }
    assert files(feed.folder) == [f"ES/{NAME}"]
    assert waits == []


def test_request_is_for_the_parent_symbol_and_the_utc_day(feed, api):
    feed.fetch("ES", DAY)
    (seen, _), (priced, _), (streamed, _) = api.log
    assert seen.args.to_dict() == {
        "dataset": "GLBX.MDP3",
        "start_date": "2025-06-05",
        "end_date": "2025-06-05",
    }
    wanted = {
        "dataset": "GLBX.MDP3",
        "schema": "mbp-10",
        "stype_in": "parent",
        "stype_out": "instrument_id",
        "symbols": "ES.FUT",
        "start": "2025-06-05",
        "end": "2025-06-06",
    }
    assert priced.form.to_dict() == wanted
    assert streamed.form.to_dict() == wanted | {"encoding": "dbn", "compression": "zstd"}


def test_key_is_sent_and_never_told(feed, api, caplog):
    caplog.set_level(logging.DEBUG)
    api.expect_oneshot_request(COST).respond_with_data(status=503)
    feed.fetch("ES", DAY)
    for request, _ in api.log:
        assert (request.authorization.username, request.authorization.password) == (API_KEY, "")
    (feed.folder / "ES" / NAME).unlink()
    api.expect_oneshot_request(COST).respond_with_data(status=401)
    with pytest.raises(DownloadError) as caught:
        feed.fetch("ES", DAY)
    told = caplog.text + repr(feed) + "".join(traceback.format_exception(caught.value))
    assert "503" in caplog.text
    assert API_KEY not in told
    assert base64.b64encode(f"{API_KEY}:".encode()).decode() not in told


def test_second_call_asks_for_nothing(feed, api, whole, monkeypatch):
    feed.fetch("ES", DAY)
    api.clear_log()
    monkeypatch.delenv(KEY)
    fetched = feed.fetch("ES", DAY)
    assert fetched.files == [feed.folder / "ES" / NAME]
    assert fetched.metadata == {"feed": "databento", "bytes": len(whole), "downloaded": False}
    assert api.log == []


def test_whole_file_of_another_name_will_do(feed, api, whole):
    path = feed.folder / "ES" / "my-20250605.dbn.zst"
    path.parent.mkdir(parents=True)
    path.write_bytes(whole)
    assert feed.fetch("ES", DAY).files == [path]
    assert api.log == []


def test_broken_file_of_the_feeds_name_is_downloaded_again(feed, whole):
    path = feed.folder / "ES" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(whole[:-100])
    assert feed.fetch("ES", DAY).metadata["downloaded"]
    assert path.read_bytes() == whole


def test_broken_file_of_another_name_is_left_to_its_owner(feed, api, whole):
    path = feed.folder / "ES" / "my-20250605.dbn.zst"
    path.parent.mkdir(parents=True)
    path.write_bytes(whole[:-100])
    with pytest.raises(DbnError, match=r"my-20250605.*truncated"):
        feed.fetch("ES", DAY)
    assert api.log == []
    assert path.read_bytes() == whole[:-100]


def test_cost_over_the_limit_spends_nothing(feed, api):
    api.expect_oneshot_request(COST).respond_with_json(5.01)
    fails_with(feed, "$5.01", "limit of $5.00", "MBP10_COST_LIMIT")
    assert asked(api, RANGE) == 0


def test_cost_at_the_limit_is_spent(feed, api):
    api.expect_oneshot_request(COST).respond_with_json(5.0)
    assert feed.fetch("ES", DAY).metadata["price_usd"] == 5.0


@pytest.mark.parametrize("route", [CONDITION, COST, RANGE])
@pytest.mark.parametrize("status", [408, 429, 500, 503, 504])
def test_passing_fault_is_waited_out(route, status, feed, api, waits, whole):
    api.expect_oneshot_request(route).respond_with_data(status=status)
    fetched = feed.fetch("ES", DAY)
    assert fetched.files[0].read_bytes() == whole
    assert fetched.metadata["streams"] == 1
    assert asked(api, route) == 2
    assert len(waits) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asks", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 1, 2),
        ("86400", 300, 300),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1, 2),
    ],
)
def test_wait_is_as_long_as_the_server_asks(status, asks, least, most, feed, api, waits):
    headers = {"Retry-After": asks}
    api.expect_oneshot_request(COST).respond_with_data(status=status, headers=headers)
    feed.fetch("ES", DAY)
    assert len(waits) == 1
    assert least <= waits[0] <= most


def test_waits_double(feed, api, waits):
    for _ in range(5):
        api.expect_oneshot_request(COST).respond_with_data(status=503)
    feed.fetch("ES", DAY)
    assert [int(wait) for wait in waits] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("route", [CONDITION, COST, RANGE])
def test_lasting_fault_gives_up(route, feed, api, waits):
    for _ in range(6):
        api.expect_oneshot_request(route).respond_with_data(status=503)
    fails_with(feed, "attempt 6", "503", "try again later")
    assert asked(api, route) == 6
    assert len(waits) == 5


@pytest.mark.parametrize("route", [CONDITION, COST, RANGE])
@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "check DATABENTO_API_KEY"),
        (402, "settle"),
        (403, "live licence"),
        (422, "whole day"),
    ],
)
def test_refusal_is_not_tried_again(route, status, remedy, feed, api, waits):
    said = {"case": "it_was_refused", "message": "No, and why.", "docs": "https://databento.com"}
    api.expect_oneshot_request(route).respond_with_json({"detail": said}, status=status)
    fails_with(feed, "attempt 1", str(status), "it_was_refused No, and why.", remedy)
    assert asked(api, route) == 1
    assert waits == []


@pytest.mark.parametrize("announced", [True, False])
def test_stream_cut_off_is_fetched_again_whole(announced, feed, api, whole, waits):
    api.expect_oneshot_request(RANGE).respond_with_handler(cut_off(whole, announced=announced))
    fetched = feed.fetch("ES", DAY)
    assert fetched.files[0].read_bytes() == whole
    assert fetched.metadata["streams"] == 2
    assert len(waits) == 1
    assert files(feed.folder) == [f"ES/{NAME}"]


@pytest.mark.parametrize("announced", [True, False])
def test_stream_cut_off_for_ever_leaves_no_file(announced, feed, api, whole, waits):
    api.expect_oneshot_request(COST).respond_with_json(0.1)
    for _ in range(6):
        api.expect_oneshot_request(RANGE).respond_with_handler(cut_off(whole, announced=announced))
    fails_with(feed, "attempt 6", "try again later")
    assert asked(api, RANGE) == 6
    assert len(waits) == 5


def test_streams_cut_off_count_against_the_limit(feed, api, whole):
    api.expect_oneshot_request(COST).respond_with_json(2.0)
    for _ in range(3):
        api.expect_oneshot_request(RANGE).respond_with_handler(cut_off(whole, announced=True))
    fails_with(feed, "$2.00 and 2 streams", "limit of $5.00")
    assert asked(api, RANGE) == 2


NOT_WHOLE = {
    "nothing": lambda whole: b"",
    "a message": lambda whole: b'{"detail": "sorry"}',
    "a piece of the header": lambda whole: whole[:40],
    "all but a byte": lambda whole: whole[:-1],
    "a byte too many": lambda whole: whole + b"x",
    "noise after the magic": lambda whole: whole[:4] + bytes(range(256)) * 8,
    "half a record": lambda whole: zstandard.compress(header() + book_record()[:100]),
    "another schema": lambda whole: zstandard.compress(header(schema=Schema.TRADES)),
}


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_what_is_not_a_whole_file_is_fetched_again(name, feed, api, whole):
    api.expect_oneshot_request(RANGE).respond_with_data(NOT_WHOLE[name](whole))
    fetched = feed.fetch("ES", DAY)
    assert fetched.files[0].read_bytes() == whole
    assert fetched.metadata["streams"] == 2


def test_no_length_of_a_stream_passes_for_the_whole(tmp_path):
    body = zstandard.compress(header() + book_record() * 3)
    path = tmp_path / "part"
    for length in range(len(body)):
        path.write_bytes(body[:length])
        with pytest.raises(DbnError):
            count_records(path)
    path.write_bytes(body)
    assert count_records(path) == 3


def test_no_connection_is_tried_again(feed, waits):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    nowhere = replace(feed, gateway=f"https://localhost:{port}")
    fails_with(nowhere, "attempt 6", "refused", "try again later")
    assert len(waits) == 5


def test_answer_cut_off_is_asked_for_again(feed, api, waits):
    body = b"1.25" + b" " * 100
    api.expect_oneshot_request(COST).respond_with_handler(cut_off(body, announced=True))
    assert feed.fetch("ES", DAY).metadata["price_usd"] == 1.25
    assert asked(api, COST) == 2
    assert len(waits) == 1


def test_silent_server_is_asked_again(feed, api, monkeypatch):
    """It stays silent until the feed, tired of it, waits for the next attempt."""
    given_up = threading.Event()

    def stall(_: Request) -> Response:
        given_up.wait(60)
        return Response()

    api.expect_oneshot_request(COST).respond_with_handler(stall)
    monkeypatch.setattr("databento.common.http.BentoHttpAPI.TIMEOUT", 0.5)
    patient = replace(feed, sleep=lambda _: given_up.set())
    assert patient.fetch("ES", DAY).metadata["price_usd"] == 1.25
    assert given_up.is_set()


@pytest.mark.parametrize("name", ["degraded", "pending"])
def test_condition_of_the_day_is_told(name, feed, api):
    api.expect_oneshot_request(CONDITION).respond_with_json(condition(name))
    assert feed.fetch("ES", DAY).metadata["condition"] == name


@pytest.mark.parametrize(
    "conditions", [condition("missing"), [], condition("available", DAY - timedelta(days=1))]
)
def test_missing_day_fails_unpriced(conditions, feed, api):
    api.expect_oneshot_request(CONDITION).respond_with_json(conditions)
    fails_with(feed, "missing from GLBX.MDP3")
    assert asked(api, COST) == asked(api, RANGE) == 0


def test_day_without_a_record_fails(feed, api, waits):
    api.expect_oneshot_request(RANGE).respond_with_data(zstandard.compress(header()))
    fails_with(feed, "no record")
    assert waits == []


@pytest.mark.parametrize("key", [None, "", " "])
def test_key_missing(key, feed, api, monkeypatch):
    monkeypatch.delenv(KEY)
    if key is not None:
        monkeypatch.setenv(KEY, key)
    fails_with(feed, f"{KEY} is not set", "https://databento.com/portal/keys")
    assert api.log == []


def test_day_that_is_not_over_is_not_asked_for(feed, api):
    fails_with(feed, "not over", "midnight UTC", day=datetime.now(UTC).date() + timedelta(days=1))
    assert api.log == []


def test_full_disk_is_not_tried_again(feed, api, whole):
    """The file-size limit of the process stands for the disk's end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, hard))
    try:
        with pytest.raises(DownloadError, match=r"cannot write .*raw/ES: .*make room"):
            feed.fetch("ES", DAY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert asked(api, RANGE) == 1
    assert files(feed.folder) == []


DOWNLOAD = """
import sys
from datetime import date
from pathlib import Path
from resources.databento_feed import DatabentoFeed
DatabentoFeed(Path(sys.argv[1]), 5.0, sys.argv[2]).fetch("ES", date(2025, 6, 5))
"""


def test_killed_download_leaves_nothing_under_the_name_and_is_made_good(feed, api, whole):
    killed = threading.Event()

    def half_then_stall(_: Request) -> Response:
        def body() -> Iterator[bytes]:
            yield whole[: len(whole) // 2]
            killed.wait(60)

        return Response(body(), headers={"Content-Length": str(len(whole))})

    api.expect_oneshot_request(RANGE).respond_with_handler(half_then_stall)
    command = [sys.executable, "-c", DOWNLOAD, str(feed.folder), feed.gateway]
    with subprocess.Popen(command, env=os.environ) as process:
        while not any(path.stat().st_size for path in feed.folder.rglob(".*.zst.*")):
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    killed.set()
    assert [name for name in files(feed.folder) if not name.startswith("ES/.")] == []
    assert feed.fetch("ES", DAY).files[0].read_bytes() == whole
    assert files(feed.folder) == [f"ES/{NAME}"]


def test_client_is_not_imported_before_it_is_needed():
    code = "import sys, resources.databento_feed; sys.exit('databento' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_folder_feed_takes_what_is_there(day_file):
    path = day_file(EVENTS, False)
    folder = path.parent.parent
    fetched = FolderFeed(folder).fetch(path.parent.name, DAY)
    assert fetched.files == [path]
    assert fetched.metadata == {"feed": "folder", "bytes": path.stat().st_size}


def test_folder_feed_takes_all_files_of_the_day(tmp_path):
    (tmp_path / "ES").mkdir()
    paths = [tmp_path / "ES" / f"{part}-20250605.dbn" for part in "ab"]
    for path in paths:
        path.write_bytes(header() + book_record())
    fetched = FolderFeed(tmp_path).fetch("ES", DAY)
    assert fetched.files == paths
    assert fetched.metadata["bytes"] == 2 * len(header() + book_record())


def test_folder_feed_without_a_file_says_where_it_looked(tmp_path):
    with pytest.raises(RawDataMissing, match=rf"ES for 2025-06-05.*{tmp_path}"):
        FolderFeed(tmp_path).fetch("ES", DAY)


@pytest.mark.parametrize("body", [b"", b"noise", header()[:50], header(schema=Schema.MBP_1)])
def test_folder_feed_refuses_what_is_no_mbp10_file(body, tmp_path):
    path = tmp_path / "ES" / "b-20250605.dbn"
    path.parent.mkdir()
    path.with_name("a-20250605.dbn").write_bytes(header())
    path.write_bytes(body)
    with pytest.raises(DbnError, match="b-20250605"):
        FolderFeed(tmp_path).fetch("ES", DAY)


def test_simulated_feed_writes_the_day_once(tmp_path):
    feed = SimulatedFeed(tmp_path, events=500)
    fetched = feed.fetch("NQ", DAY)
    assert fetched.files == [tmp_path / "NQ" / NAME]
    assert count_records(fetched.files[0]) == 500
    written = fetched.files[0].stat().st_mtime_ns
    assert feed.fetch("NQ", DAY) == fetched
    assert fetched.files[0].stat().st_mtime_ns == written
    assert fetched.metadata == {"feed": "simulated", "bytes": fetched.files[0].stat().st_size}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Sets `MBP10_` variables; the raw folder is the test's own, others are unset."""
    monkeypatch.setenv("MBP10_RAW", str(tmp_path))
    monkeypatch.delenv("MBP10_FEED", raising=False)
    monkeypatch.delenv("MBP10_COST_LIMIT", raising=False)

    def choose(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"MBP10_{name}", value)

    return choose


def test_settings_choose_the_feed(settings, tmp_path):
    assert raw_feed() == FolderFeed(tmp_path)
    settings(FEED="simulated")
    assert raw_feed() == SimulatedFeed(tmp_path)
    settings(FEED="databento")
    assert raw_feed() == DatabentoFeed(tmp_path, 5.0)
    settings(COST_LIMIT="0.5")
    assert raw_feed() == DatabentoFeed(tmp_path, 0.5)


@pytest.mark.parametrize("limit", ["", "five", "-1", "nan", "inf", "$5"])
def test_senseless_cost_limit_is_refused(limit, settings):
    settings(FEED="databento", COST_LIMIT=limit)
    with pytest.raises(ValueError, match=r"MBP10_COST_LIMIT is .*dollars"):
        raw_feed()


def test_unknown_feed_is_refused(settings):
    settings(FEED="floppy")
    with pytest.raises(ValueError, match="'floppy'; set it to folder, databento or simulated"):
        raw_feed()
