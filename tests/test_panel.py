"""The panel: the same figures in the same types every day, and a schema that is the catalogue."""

import math
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from kernels.features import TABLES, schema
from kernels.instrument import INSTRUMENTS
from pipeline_assets.features_page import in_markdown
from pipeline_assets.figures import figures
from pipeline_assets.lineage import sources
from pipeline_assets.order_book import order_book_assets
from pipeline_assets.panel import describe
from pipeline_assets.raw import RAW
from pipeline_assets.stages import STAGES, Stage
from resources.lake import LakeDay, Made, write_table
from tests.conftest import DAY, wired

TEXT, INT, FLOAT = dg.TextMetadataValue, dg.IntMetadataValue, dg.FloatMetadataValue
OF_EVERY_TABLE = {
    "path": dg.PathMetadataValue,
    "dagster/row_count": INT,
    "dagster/size_bytes": INT,
    "seconds": FLOAT,
    "peak_memory_bytes": INT,
    "picture": dg.MarkdownMetadataValue,
}
OF_TABLE = {
    "clean_ticks": {
        "ticks_per_second": FLOAT,
        "contract": TEXT,
        "files": TEXT,
        "dropped_other_rtype": INT,
        "dropped_other_root": INT,
        "dropped_spread": INT,
        "dropped_other_contract": INT,
        "dropped_crossed_or_locked": INT,
    },
    "bar5s": {
        "ticks_per_second": FLOAT,
        "ticks": INT,
        "empty_bar_share": FLOAT,
        "spread_pts_mean": FLOAT,
        "spread_pts_median": FLOAT,
        "traded_volume": INT,
        "trades": INT,
    },
    "session_levels": dict.fromkeys(
        ("level_pm_high", "level_pm_low", "level_or_high", "level_or_low"), FLOAT
    ),
    "level_episodes": dict.fromkeys(
        (
            "episodes",
            "triggers_pm_high",
            "triggers_pm_low",
            "triggers_or_high",
            "triggers_or_low",
            "outcome_strong_break",
            "outcome_weak_break",
            "outcome_chop",
            "outcome_weak_bounce",
            "outcome_strong_bounce",
            "outcome_none",
            "truncated_lookback",
            "truncated_forward",
        ),
        INT,
    ),
    "approach_features": {},
    "setup_vectors": {},
}
ASSETS = {asset.key.path[1]: asset for asset in order_book_assets(INSTRUMENTS["ES"])}


@pytest.fixture
def tables(small_lake: Path) -> LakeDay:
    return LakeDay(small_lake, "ES", DAY)


def described(tables: LakeDay, table: str) -> Mapping[str, dg.MetadataValue]:
    """What is recorded of a table made in 2 s."""
    return dg.AssetMaterialization(table, metadata=describe(tables, table, 2.0)).metadata


def types(metadata: Mapping[str, dg.MetadataValue]) -> dict[str, type]:
    return {name: type(value) for name, value in metadata.items()}


@pytest.mark.parametrize("table", TABLES)
def test_each_table_is_recorded_with_its_figures_in_their_types(
    table: str, tables: LakeDay
) -> None:
    assert types(described(tables, table)) == OF_EVERY_TABLE | OF_TABLE[table]


def test_an_empty_day_has_the_same_keys(tables: LakeDay, tmp_path: Path) -> None:
    """Averages of nothing are null; whatever is counted is 0."""
    empty = LakeDay(tmp_path, "ES", DAY)
    for table in TABLES:
        facts = tables.facts("clean_ticks")
        write_table(Made(pl.DataFrame(schema=schema(table)), facts), empty.path(table))
    for table in ("bar5s", "session_levels", "level_episodes"):
        got = types(described(empty, table))
        expected = OF_EVERY_TABLE | OF_TABLE[table]
        assert expected.keys() <= got.keys()
        assert {got[name] for name, kind in expected.items() if kind is INT} == {INT}
        assert {got[name] for name in OF_TABLE[table]} <= {INT, FLOAT, dg.NullMetadataValue}


def test_figures_are_those_of_the_tables(tables: LakeDay) -> None:
    said = {
        table: {name: entry.value for name, entry in described(tables, table).items()}
        for table in TABLES
    }
    frames = {table: tables.scan(table).collect() for table in TABLES}
    for table, frame in frames.items():
        assert said[table]["path"] == str(tables.path(table))
        assert said[table]["dagster/row_count"] == frame.height
        assert said[table]["dagster/size_bytes"] == tables.path(table).stat().st_size
        assert said[table]["seconds"] == 2.0
    ticks, bars = frames["clean_ticks"], frames["bar5s"]
    assert said["clean_ticks"]["contract"] == ticks["symbol"][0]
    dropped = sum(said["clean_ticks"][name] for name in OF_TABLE["clean_ticks"] if "drop" in name)
    assert dropped + ticks.height == 50_000
    assert said["clean_ticks"]["ticks_per_second"] == ticks.height / 2
    assert said["bar5s"]["ticks"] == ticks.height
    assert said["bar5s"]["trades"] == ticks.filter(action="T").height
    assert said["bar5s"]["traded_volume"] == ticks.filter(action="T")["size"].sum()
    starts = ticks["ts_event"].dt.truncate("5s").n_unique()
    assert said["bar5s"]["empty_bar_share"] == pytest.approx(1 - starts / bars.height)
    spreads = bars["bar5s_state_spread_pts_twa"]
    assert said["bar5s"]["spread_pts_mean"] == pytest.approx(spreads.mean())
    assert said["bar5s"]["spread_pts_median"] == spreads.median()
    prices = frames["session_levels"]["level_price"].to_list()
    eight_digits = [float(f"{price:.8g}") for price in prices]
    assert [said["session_levels"][name] for name in OF_TABLE["session_levels"]] == eight_digits
    episodes, vectors = said["level_episodes"], frames["setup_vectors"]
    assert episodes["episodes"] == vectors.height
    assert episodes["triggers_or_low"] == vectors.filter(level_type="OR_LOW").height
    assert episodes["outcome_chop"] == vectors.filter(outcome="CHOP").height
    assert episodes["outcome_none"] == vectors["outcome"].null_count()
    for what in ("triggers", "outcome"):
        parts = [episodes[name] for name in OF_TABLE["level_episodes"] if name.startswith(what)]
        assert sum(parts) == vectors.height


def test_windows_cut_short_are_counted(tables: LakeDay) -> None:
    """The day has none."""
    episodes = tables.scan("level_episodes").with_columns(
        is_truncated_lookback=pl.lit(True),
        is_truncated_forward=pl.col("level_type") == "OR_LOW",
    )
    tables.hold("level_episodes", episodes.collect())
    said = figures(tables, "level_episodes")
    assert said["truncated_lookback"] == said["episodes"]
    assert said["truncated_forward"] == said["triggers_or_low"] > 0


def test_a_materialisation_carries_the_description(small_raw: Path, tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize(
            list(ASSETS.values()),
            partition_key=str(DAY),
            instance=instance,
            resources=wired(small_raw, tmp_path),
        )
    made = {event.asset_key.path[1]: event for event in run.get_asset_materialization_events()}
    assert list(made) == [RAW, *TABLES]
    for table in TABLES:
        metadata = made[table].materialization.metadata
        assert types(metadata) == OF_EVERY_TABLE | OF_TABLE[table]
        assert math.isfinite(metadata["seconds"].value)
        assert metadata["picture"].value.startswith("![preview](data:image/png;base64,")


@pytest.mark.parametrize("table", TABLES)
def test_the_schema_is_the_catalogue(table: str) -> None:
    metadata = ASSETS[table].metadata_by_key[ASSETS[table].key]
    columns = metadata["dagster/column_schema"].columns
    assert [column.name for column in columns] == schema(table).names()
    for column, known in zip(columns, TABLES[table], strict=True):
        assert column.type == str(known.dtype.base_type())
        assert column.description.startswith(f"{in_markdown(known.meaning)} [{known.unit}]")


def test_the_schema_says_what_a_column_is_made_of() -> None:
    def description(table: str, name: str) -> str:
        columns = ASSETS[table].metadata_by_key[ASSETS[table].key]["dagster/column_schema"].columns
        return next(column.description for column in columns if column.name == name)

    bid = description("bar5s", "bar5s_depth_bid10_qty_eob")
    assert bid.endswith(
        "; from `ts_event`, `bid_px_*`, `ask_px_00`, `bid_sz_*`, `ask_sz_00` of `clean_ticks`"
    )
    assert description("level_episodes", "symbol").endswith("; as in `bar5s`")
    distance = description("level_episodes", "dist_to_level_pts")
    assert distance.endswith(
        "; from `bar5s_microprice_eob` of `bar5s`; `level_price` of `session_levels`"
    )
    assert description("setup_vectors", "vector").endswith(" columns of `approach_features`")


def test_a_formula_keeps_its_asterisks() -> None:
    """The UI reads descriptions as Markdown, which makes a*b + c*d slanted letters."""
    asset = ASSETS["bar5s"]
    columns = asset.metadata_by_key[asset.key]["dagster/column_schema"].columns
    price = next(c.description for c in columns if c.name == "bar5s_microprice_eob")
    assert price.startswith(r"p = (ask0\*b0 + bid0\*a0) / (b0 + a0)")


@pytest.mark.parametrize("table", TABLES)
def test_the_lineage_is_between_the_assets(table: str) -> None:
    asset = ASSETS[table]
    lineage = asset.metadata_by_key[asset.key]["dagster/column_lineage"].deps_by_column
    upstream = {dep.asset_key for spec in asset.specs for dep in spec.deps}
    assert list(lineage) == schema(table).names()
    for column, deps in lineage.items():
        assert {dep.asset_key for dep in deps} <= upstream
        found = {(dep.asset_key.path[1], dep.column_name) for dep in deps}
        assert found == set(sources(table)[column])


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.table)
def test_an_asset_leads_to_its_features_page(stage: Stage) -> None:
    asset = ASSETS[stage.table]
    description = asset.descriptions_by_key[asset.key]
    assert description.startswith(stage.about)
    assert f"docs/features.md#{stage.table}" in description
    (page,) = asset.metadata_by_key[asset.key]["dagster/code_references"].code_references
    assert page.label == f"docs/features.md#{stage.table}"
    assert f"\n## {stage.table}\n" in Path(page.file_path).read_text()
