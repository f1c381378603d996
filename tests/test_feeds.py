"""Feeds that need no network, and the settings that choose a feed."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from databento_dbn import Schema

import resources.raw_files
from pipeline_assets.settings import instruments, lake_folder, raw_feed, raw_folder, roll_rule
from resources.databento_feed import DatabentoFeed
from resources.dbn import DbnError, scan_dbn
from resources.feed import FolderFeed, SimulatedFeed, count_records
from resources.raw_files import RawDataMissing, UnreadableFolder, dbn_files, raw_files
from tests.conftest import DAY
from tests.databento_server import EVENTS, NAME
from tests.dbn_files import book_record, header


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


def test_of_a_file_in_two_forms_the_compressed_one_is_taken_and_no_hidden_one(
    tmp_path, monkeypatch
):
    """In whichever order the folder has them."""
    (tmp_path / "ES").mkdir()
    for name in ("20250605.dbn", "20250605.dbn.zst", ".20250605.part.dbn"):
        (tmp_path / "ES" / name).touch()
    there = dbn_files(tmp_path / "ES")
    for files in (there, there[::-1]):
        monkeypatch.setattr(resources.raw_files, "dbn_files", lambda _, files=files: files)
        assert raw_files(tmp_path, "ES", DAY) == [tmp_path / "ES" / "20250605.dbn.zst"]


def test_folder_feed_without_a_file_says_where_it_looked(tmp_path):
    said = rf"ES for 2025-06-05.*{tmp_path}.*put the day's MBP-10 file there"
    with pytest.raises(RawDataMissing, match=said):
        FolderFeed(tmp_path).fetch("ES", DAY)


def test_a_folder_that_may_not_be_read_is_not_called_empty(tmp_path, monkeypatch):
    """Its files would be bought again."""
    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "ES"))
    monkeypatch.setattr(os, "scandir", Mock(side_effect=refused))
    with pytest.raises(UnreadableFolder, match=rf"denied: '{tmp_path}/ES'; let this user"):
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
    symbols = scan_dbn(fetched.files[0]).collect()["symbol"]
    assert {symbol[:2] for symbol in symbols} == {"NQ"}
    written = fetched.files[0].stat().st_mtime_ns
    assert feed.fetch("NQ", DAY) == fetched
    assert fetched.files[0].stat().st_mtime_ns == written
    assert fetched.metadata == {"feed": "simulated", "bytes": fetched.files[0].stat().st_size}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Sets `MBP10_` variables; the raw folder is the test's own."""
    monkeypatch.setenv("MBP10_RAW", str(tmp_path))

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


@pytest.mark.parametrize("roots", ["", " , "])
def test_no_roots_are_refused(roots, settings):
    settings(ROOTS=roots)
    with pytest.raises(ValueError, match=r"MBP10_ROOTS is '.*'; set it to roots like ES,NQ"):
        instruments()


def test_roots_are_taken_in_either_case_with_commas_to_spare(settings):
    settings(ROOTS=" nq,ES,,nq,")
    assert [instrument.root for instrument in instruments()] == ["NQ", "ES"]


@pytest.mark.parametrize("rule", ["volume", "calendar", "ESM5", "ESH26"])
def test_roll_rules_are_taken_in_either_case(rule, settings):
    for written in (rule, rule.lower(), rule.upper()):
        settings(ROLL=written)
        assert roll_rule() == rule


@pytest.mark.parametrize("rule", ["", "volumes", "front", "ES", "ESM\u0665"])
def test_senseless_roll_rule_is_refused(rule, settings):
    settings(ROLL=rule)
    with pytest.raises(ValueError, match=f"MBP10_ROLL is '{rule}'; set it to volume, calendar or"):
        roll_rule()


def test_folders_may_be_in_the_users_own(settings):
    settings(LAKE="~/lake")
    assert lake_folder() == Path.home() / "lake"


@pytest.mark.parametrize("folder", [raw_folder, lake_folder])
def test_folder_of_no_name_is_refused(folder, settings):
    settings(RAW="", LAKE="")
    with pytest.raises(ValueError, match="is empty; set it to a folder, or unset it for /"):
        folder()


def test_unknown_feed_is_refused(settings):
    settings(FEED="floppy")
    with pytest.raises(ValueError, match="'floppy'; set it to folder, databento or simulated"):
        raw_feed()
