"""The raw files as an asset: their version, and what it makes stale."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copy

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from kernels.instrument import INSTRUMENTS
from pipeline_assets.order_book import order_book_assets
from pipeline_assets.raw import content_version, deliver
from resources.feed import FolderFeed
from resources.simulated import simulate_day
from tests.conftest import DAY, wired
from tests.place import REPOSITORY

CONTRACTS = """
import sys
import dagster as dg
from pipeline_assets.definitions import defs
from pipeline_assets.settings import lake_folder
from resources.lake import read_facts, table_path

def contract(**config):
    defs.resolve_job_def("trading_day").execute_in_process(
        partition_key=sys.argv[1],
        run_config={"resources": {"contract": {"config": config}}},
        asset_selection=[dg.AssetKey(["es", "raw_dbn"]), dg.AssetKey(["es", "clean_ticks"])],
    )
    return read_facts(table_path(lake_folder(), "ES", "clean_ticks", sys.argv[1]))["contract"]

print(contract(), contract(roll="Volume"))
"""
"""Prints the contract that a day keeps without config, and with another roll rule."""

RAW_DBN, CLEAN_TICKS = dg.AssetKey(["es", "raw_dbn"]), dg.AssetKey(["es", "clean_ticks"])


def test_version_is_the_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"book")
    copy(one, other)
    assert content_version([one]) == content_version([other])
    other.write_bytes(b"bool")
    assert content_version([one]) != content_version([other])
    assert content_version([one, other]) != content_version([other, one])
    assert content_version([one, other]) != content_version([one])


def test_version_tells_where_one_file_ends_and_the_next_begins(tmp_path: Path) -> None:
    contents = {"a": b"bo", "b": b"ok", "c": b"b", "d": b"ook"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert content_version([tmp_path / "a", tmp_path / "b"]) != content_version(
        [tmp_path / "c", tmp_path / "d"]
    )


def test_metadata_say_which_files_and_what_the_feed_says(tmp_path: Path) -> None:
    files = [tmp_path / "ES" / f"{part}-20250605.dbn.zst" for part in ("a", "b")]
    for path in files:
        simulate_day(path, DAY, events=100)
    delivery = deliver(FolderFeed(tmp_path), "ES", DAY)
    assert delivery.metadata == {
        "files": "a-20250605.dbn.zst, b-20250605.dbn.zst",
        "feed": "folder",
        "bytes": sum(path.stat().st_size for path in files),
    }
    assert delivery.data_version == content_version(files)


def test_the_environment_says_which_contract_unless_a_run_does(tmp_path: Path) -> None:
    simulate_day(tmp_path / "ES" / "20250605.dbn.zst", DAY, events=2_000)
    run = subprocess.run(
        [sys.executable, "-c", CONTRACTS, str(DAY)],
        env=os.environ
        | {"MBP10_ROLL": "calendar", "MBP10_RAW": str(tmp_path), "MBP10_LAKE": str(tmp_path)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert run.stdout == "ESU5 ESM5\n", run.stderr


def test_same_bytes_again_make_nothing_stale_and_others_do(tmp_path: Path) -> None:
    assets = order_book_assets(INSTRUMENTS["ES"])
    resources = wired(tmp_path / "raw", tmp_path / "lake")
    graph = dg.Definitions(assets, resources=resources).resolve_asset_graph()
    path = tmp_path / "raw" / "ES" / "20250605.dbn.zst"
    with dg.DagsterInstance.ephemeral() as instance:

        def materialise(*keys: dg.AssetKey) -> None:
            dg.materialize(
                assets, instance=instance, resources=resources, partition_key=str(DAY),
                selection=list(keys),
            )  # fmt: skip

        def status() -> StaleStatus:
            resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
            return resolver.get_status(CLEAN_TICKS, str(DAY))

        simulate_day(path, DAY, events=1_000)
        materialise(RAW_DBN, CLEAN_TICKS)
        assert status() is StaleStatus.FRESH
        copy(path, tmp_path / "again")
        path.unlink()
        copy(tmp_path / "again", path)
        materialise(RAW_DBN)
        assert status() is StaleStatus.FRESH
        simulate_day(path, DAY, events=1_000, seed=1)
        materialise(RAW_DBN)
        assert status() is StaleStatus.STALE
        materialise(CLEAN_TICKS)
        assert status() is StaleStatus.FRESH
