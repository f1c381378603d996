"""Faults that interrupt a download: refusals, silence, cut streams, a full disk, a killed process."""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import zstandard
from databento_dbn import Schema
from werkzeug import Request, Response

from resources.dbn import DbnError
from resources.feed import DownloadError, count_records
from tests.conftest import DAY
from tests.databento_server import CONDITION, COST, NAME, RANGE, asked, cut_off, fails_with, files
from tests.dbn_files import book_record, header


@pytest.mark.parametrize(
    ("route", "status"),
    [(CONDITION, 503), (COST, 503), *((RANGE, status) for status in (408, 429, 500, 503, 504))],
)
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


@pytest.mark.parametrize(
    ("route", "status", "remedy"),
    [
        (CONDITION, 401, "check DATABENTO_API_KEY"),
        (COST, 401, "check DATABENTO_API_KEY"),
        (RANGE, 401, "check DATABENTO_API_KEY"),
        (RANGE, 402, "settle"),
        (RANGE, 403, "live licence"),
        (RANGE, 422, "whole day"),
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
    fails_with(feed, "$2.00 3 times", "limit of $5.00")
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
