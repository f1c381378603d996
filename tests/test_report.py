"""The day's page: complete, self-contained, true to the tables, and clear where they are missing."""

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from kernels.features import TABLES, schema
from kernels.instrument import NEW_YORK
from kernels.survey import DROP_REASONS
from pipeline_assets.checks import CHECKS
from pipeline_assets.report import MissingTables, day_report, main, write_report
from resources.lake import LakeDay, Made, UnreadableTable, write_table
from tests.conftest import DAY, Ended
from tests.html_page import Page
from tests.place import REPOSITORY

EMPTY_DAY = date(2025, 6, 6)


@pytest.fixture(scope="module")
def day(small_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> LakeDay:
    """A simulated day, in a lake that has an empty one too."""
    folder = tmp_path_factory.mktemp("lake")
    shutil.copytree(small_lake, folder, dirs_exist_ok=True)
    full, empty = (LakeDay(folder, "ES", day) for day in (DAY, EMPTY_DAY))
    for name in TABLES:
        facts = full.facts("clean_ticks")
        write_table(Made(pl.DataFrame(schema=schema(name)), facts), empty.path(name))
    return full


@pytest.fixture
def spoilt(small_lake: Path, tmp_path: Path) -> LakeDay:
    """A lake with the same day, to spoil."""
    shutil.copytree(small_lake, tmp_path / "lake")
    return LakeDay(tmp_path / "lake", "ES", DAY)


@pytest.fixture(scope="module")
def text(day: LakeDay) -> str:
    return day_report(LakeDay(day.lake, day.root, day.day))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def table(day: LakeDay, name: str) -> pl.DataFrame:
    return pl.read_parquet(day.path(name))


@pytest.fixture
def report(command: Callable[..., Ended]) -> Callable[..., Ended]:
    """Runs the command."""
    return lambda *arguments: command(main, *arguments)


def test_every_table_has_its_picture_and_size(page, text, day):
    for name in TABLES:
        assert name in page.ids
        size = f"{table(day, name).height:,} rows, {len(TABLES[name])} columns"
        assert f"{size}, {day.path(name).stat().st_size / 1e6:,.1f} MB" in text
    assert len(page.pictures) == len(TABLES)
    for picture in page.pictures:
        content = base64.b64decode(picture.removeprefix("data:image/png;base64,"), validate=True)
        assert content.startswith(b"\x89PNG")


def test_the_episodes_are_the_tables(page, day):
    vectors = table(day, "setup_vectors").sort("trigger_bar_ts", maintain_order=True)
    heads = table(day, "level_episodes").filter("is_trigger_bar")
    extensions = dict(heads.select("episode_id", "extension_count").iter_rows())
    header, *rows = page.tables[-1]
    assert header[0] == "trigger"
    assert header[-1].endswith("or data's end")
    assert len(rows) == vectors.height > 5
    for cells, row in zip(rows, vectors.iter_rows(named=True), strict=True):
        score = row["outcome_score"]
        assert cells == [
            f"{row['trigger_bar_ts'].astimezone(NEW_YORK):%H:%M:%S}",
            row["level_type"].replace("_HIGH", " high").replace("_LOW", " low"),
            f"{row['level_price']:,.2f}",
            "from below" if row["approach_direction"] == 1 else "from above",
            "yes" if row["is_standard_approach"] else "no",
            (row["outcome"] or "past the data").lower().replace("_", " "),
            "none" if score is None else f"{score:,.2f}",
            str(row["lookback_bars"]),
            str(extensions[row["episode_id"]]),
            "yes" if row["is_truncated_forward"] else "no",
        ]
    assert set(vectors["episode_id"]) <= set(page.ids)


def test_levels_count_triggers_and_outcomes(page, day):
    vectors = table(day, "setup_vectors")
    header, *rows = page.tables[0]
    outcomes = [name.upper().replace(" ", "_") for name in header[3:]]
    assert [cells[0] for cells in rows] == ["PM high", "PM low", "OR high", "OR low"]
    for cells in rows:
        of_level = vectors.filter(level_type=cells[0].upper().replace(" ", "_"))
        labels = of_level["outcome"].cast(pl.String).fill_null("PAST_THE_DATA")
        counts = [(labels == outcome).sum() for outcome in outcomes]
        assert [int(cell) for cell in cells[2:]] == [of_level.height, *counts]
        assert sum(counts) == of_level.height


def test_the_figures_are_those_of_the_day(text, day):
    bars = table(day, "bar5s")
    empty = bars.filter(bar5s_meta_msg_cnt_sum=0).height / bars.height
    volume = table(day, "clean_ticks").filter(action="T")["size"].sum()
    ticks = table(day, "clean_ticks")["ts_event"]
    first, last = (f"{t.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}" for t in (ticks[0], ticks[-1]))
    assert first.startswith(str(day.day - timedelta(days=1)))
    for figure in (
        f"<dt>first tick</dt><dd>{first}</dd>",
        f"<dt>last tick</dt><dd>{last}</dd>",
        f"<dt>bars without a tick</dt><dd>{empty:.1%}</dd>",
        f"<dt>traded volume</dt><dd>{volume:,} contracts</dd>",
        f"<dt>triggers</dt><dd>{table(day, 'setup_vectors').height}</dd>",
        f"contract {day.facts('clean_ticks')['contract']}; all times New York, but the day is the UTC day",
    ):
        assert figure in text


def test_trades_add_up_with_those_of_unknown_side(spoilt):
    name = "bar5s_trade_aggbuy_vol_sum"
    bars = table(spoilt, "bar5s")
    bought, sold = bars[name].sum(), bars["bar5s_trade_aggsell_vol_sum"].sum()
    bars = bars.with_columns(pl.when(pl.int_range(pl.len()) % 2 == 0).then(name).otherwise(0.0))
    write_table(Made(bars), spoilt.path("bar5s"))
    known = bars[name].sum()
    assert 0 < known < bought
    said = f"<dd>{known:,.0f} bought, {sold:,.0f} sold, {bought - known:,.0f} unknown</dd>"
    assert said in day_report(spoilt)


def test_what_was_dropped_is_the_facts(text, day):
    dropped = {reason: day.facts("clean_ticks")[f"dropped/{reason}"] for reason in DROP_REASONS}
    assert sum(dropped.values()) > 0
    for reason, count in dropped.items():
        assert f"<dt>dropped: {reason.replace('_', ' ')}</dt><dd>{count:,}</dd>" in text


def test_the_page_needs_nothing_but_itself(page, text):
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    assert "://" not in text
    assert "url(" not in text
    assert not {"script", "link", "iframe"} & set(page.tags)


def test_a_good_day_passes_every_check(page):
    header, *rows = page.tables[1]
    assert header == ["check", "table", "result", "found"]
    assert [tuple(cells[:3]) for cells in rows] == [
        (check.name, check.table, "✓ passed") for check in CHECKS
    ]
    assert all(found for *_, found in rows)


def test_checks_say_what_was_found_and_are_escaped(spoilt, small_lake):
    """A gap in the bars is an error; many crossed books in a file of a strange name, a warning."""
    facts = spoilt.facts("clean_ticks") | {
        "files": "<b>2</b> & more.dbn",
        "dropped/crossed_or_locked": 10_000,
    }
    ticks = LakeDay(small_lake, "ES", DAY).scan("clean_ticks")
    write_table(Made(ticks, facts), spoilt.path("clean_ticks"))
    spoilt.hold("bar5s", table(spoilt, "bar5s").with_row_index("at").filter(pl.col("at") != 9))
    text = day_report(spoilt)
    results = {cells[0]: cells[2:] for cells in Page(text).tables[1]}
    assert results["grid_is_gapless"][0] == "✗ error"
    assert results["grid_is_gapless"][1].startswith("1 bar not 5 s after the one before;")
    assert results["few_books_were_dropped"][0] == "✗ warn"
    assert "<b>2</b> & more.dbn" in results["few_books_were_dropped"][1]
    assert "<b>" not in text


def test_an_empty_day_has_its_page(day):
    text = day_report(LakeDay(day.lake, "ES", EMPTY_DAY))
    page = Page(text)
    assert len(page.pictures) == len(TABLES)
    assert "No level was touched" in text
    assert "<dt>bars without a tick</dt><dd>no bars</dd>" in text
    assert "✗" not in text


def test_missing_tables_are_named_with_the_remedy(spoilt):
    spoilt.refuse("clean_ticks")
    for name in set(TABLES) - {"clean_ticks", "bar5s"}:
        spoilt.path(name).unlink()
    with pytest.raises(MissingTables, match=r"ES 2025-06-05 lacks 5 of 6 tables") as error:
        day_report(spoilt)
    assert "clean_ticks (refused by its checks), session_levels, " in str(error.value)
    assert "bar5s" not in str(error.value)
    assert "with ES among MBP10_ROOTS: dagster asset materialize" in str(error.value)
    assert "--select group:es --partition 2025-06-05" in str(error.value)


@pytest.mark.parametrize("name", ["clean_ticks", "level_episodes"])
@pytest.mark.parametrize("kept", [0, 1000])
def test_a_file_cut_off_is_named_with_the_remedy(name, kept, spoilt):
    os.truncate(spoilt.path(name), kept)
    with pytest.raises(UnreadableTable, match=r"cannot be read: parquet: .*; materialise") as error:
        day_report(spoilt)
    assert str(error.value).startswith(f"{spoilt.path(name)} cannot be read")


@pytest.mark.parametrize("name", ["clean_ticks", "approach_features"])
def test_a_file_damaged_within_is_named_with_the_remedy(name, spoilt):
    with spoilt.path(name).open("r+b") as file:
        file.seek(len(b"PAR1"))
        file.write(bytes(spoilt.path(name).stat().st_size // 2))
    with pytest.raises(UnreadableTable, match="--select group:es --partition 2025") as error:
        day_report(spoilt)
    assert str(error.value).startswith(f"{spoilt.path(name)} cannot be read")


def test_a_damaged_file_of_the_day_before_is_named(spoilt):
    before = LakeDay(spoilt.lake, "ES", DAY - timedelta(days=1)).path("clean_ticks")
    before.write_bytes(b"PAR1")
    assert f"cannot be compared: {before} cannot be read" in day_report(spoilt)


def test_a_page_replaces_the_one_before_it_whole(tmp_path):
    output = tmp_path / "new" / "day.html"
    write_report("first", output)
    write_report("sécond", output)
    assert output.read_text(encoding="utf-8") == "sécond"
    assert list(output.parent.iterdir()) == [output]


def test_the_command_writes_the_page_and_says_where(day, tmp_path):
    """In a process of its own, as a user runs it, on a terminal that cannot print the folder."""
    folder = tmp_path / "β"
    folder.mkdir()
    arguments = [str(DAY), "--root=es", f"--lake={day.lake}"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline_assets.report", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    written = folder / f"report-ES-{DAY}.html"
    assert done.stdout.strip() == str(written).replace("β", "\\u03b2")
    assert Page(written.read_text(encoding="utf-8")).pictures


def test_the_command_fails_in_words_and_writes_nothing(report, tmp_path):
    done = report(DAY, "--lake", tmp_path / "none")
    assert done.code == 1
    assert done.err.startswith(f"error: ES {DAY} lacks 6 of 6 tables in {tmp_path / 'none'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["2025-06-07"], "2025-06-07 is no trading day: Saturday"),
        (["2025-6-5"], "argument day: '2025-6-5' is not a date; write it YYYY-MM-DD"),
        ([DAY, "--root", "XX"], "argument --root: invalid choice: 'XX'"),
        ([DAY, "--output", "."], "cannot write /"),
    ],
)
def test_the_command_tells_mistakes(options, complaint, report, day, tmp_path):
    done = report(*options, "--lake", day.lake)
    assert done.code != 0
    assert f"error: {complaint}" in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_names_a_damaged_file(report, spoilt):
    os.truncate(spoilt.path("bar5s"), 1000)
    done = report(DAY, "--lake", spoilt.lake)
    assert done.code == 1
    assert done.err.startswith(f"error: {spoilt.path('bar5s')} cannot be read")
