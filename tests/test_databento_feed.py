"""What the download asks for, pays and keeps, against a local https server."""

import base64
import logging
import os
import subprocess
import sys
import traceback
from datetime import UTC, datetime, timedelta

import pytest
import zstandard

from resources.databento_feed import KEY
from resources.dbn import DbnError
from resources.feed import DownloadError
from tests.conftest import DAY
from tests.databento_server import (
    API_KEY,
    CONDITION,
    COST,
    EVENTS,
    NAME,
    RANGE,
    asked,
    condition,
    fails_with,
    files,
)
from tests.dbn_files import header
from tests.place import without_settings

ON_MACOS = """
import os, signal, sys, types
from datetime import date
from pathlib import Path

def die():
    os.kill(os.getpid(), signal.SIGSEGV)

sys.modules["_scproxy"] = types.SimpleNamespace(_get_proxies=die, _get_proxy_settings=die)
here, sys.platform = sys.platform, "darwin"
import urllib.request
sys.platform = here

from resources.databento_feed import DatabentoFeed

folder, gateway, day = sys.argv[1:]
DatabentoFeed(Path(folder), 5.0, gateway).fetch("ES", date.fromisoformat(day))
"""
"""A download by a Python that takes the machine for macOS, where asking for proxies ends it."""


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
    feed.fetch("NQ", DAY)
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
        "symbols": "NQ.FUT",
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


def test_broken_file_beside_a_whole_one_is_told_and_nothing_bought(feed, api, whole):
    """A new one would hold the same as the whole one."""
    path = feed.folder / "ES" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(whole[:-1])
    path.with_name(f"other-{NAME}").write_bytes(whole)
    with pytest.raises(DbnError, match=NAME):
        feed.fetch("ES", DAY)
    assert api.log == []


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
    fails_with(feed, "$5.01, over the limit of $5.00", "MBP10_COST_LIMIT")
    assert asked(api, RANGE) == 0


def test_cost_at_the_limit_is_spent(feed, api):
    api.expect_oneshot_request(COST).respond_with_json(5.0)
    assert feed.fetch("ES", DAY).metadata["price_usd"] == 5.0


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
def test_a_missing_key_is_told_and_nothing_asked(key, feed, api, monkeypatch):
    monkeypatch.delenv(KEY)
    if key is not None:
        monkeypatch.setenv(KEY, key)
    fails_with(feed, f"{KEY} is not set", "https://databento.com/portal/keys")
    assert api.log == []


def test_a_masked_key_is_told_and_nothing_asked(feed, api, monkeypatch):
    monkeypatch.setenv(KEY, "db-" + "\u2022" * 29)
    fails_with(feed, f"{KEY} is masked", "https://databento.com/portal/keys")
    assert api.log == []


@pytest.mark.parametrize("days_from_today", [0, 1])
def test_day_that_is_not_over_is_not_asked_for(days_from_today, feed, api):
    day = datetime.now(UTC).date() + timedelta(days=days_from_today)
    fails_with(feed, "not over", "midnight UTC", day=day)
    assert api.log == []


def test_client_is_not_imported_before_it_is_needed():
    code = "import sys, resources.databento_feed; sys.exit('databento' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_the_environment_says_of_proxies_holds(feed, monkeypatch):
    """Nothing listens at this one."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost")
    assert feed.fetch("ES", DAY).metadata["downloaded"]


def test_macos_is_not_asked_for_its_proxies(feed, api):
    """There, asking kills a process that was forked, as those of runs and dates are."""
    asks = [sys.executable, "-c", ON_MACOS, feed.folder, feed.gateway, str(DAY)]
    knows_of_none = without_settings(os.environ) | {KEY: API_KEY}
    assert subprocess.run(asks, env=knows_of_none, check=False).returncode == 0
    assert files(feed.folder) == [f"ES/{NAME}"]
