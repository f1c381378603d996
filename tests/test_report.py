"""The day's page: complete, self-contained, true to the tables, and clear where they are missing."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

import kernels
from kernels.features import TABLES, schema
from kernels.instrument import INSTRUMENTS, NEW_YORK
from pipeline_assets.report import Check, MissingTables, day_report, write_report
from resources import lake as dagsters
from resources.dbn import scan_dbn
from resources.tables import table_path
from tests.conftest import DAY

EVENTS = 60_000
EMPTY_DAY = date(2025, 6, 6)


class Page(HTMLParser):
    """What a page holds: headings, tables as rows of cells, pictures, addresses and open tags."""

    _VOID = ("meta", "img", "br", "link")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.pictures: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.addresses += [values[name] for name in ("src", "href") if name in values]
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "img":
            self.pictures.append(values["src"])
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in self._VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data.strip()


@pytest.fixture(scope="module")
def lake(day_file: Callable[[int, bool], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one simulated day and one empty one, where the IO manager would put them."""
    folder = tmp_path_factory.mktemp("lake")
    ticks = kernels.clean_ticks(scan_dbn(day_file(EVENTS, True)), INSTRUMENTS["ES"], DAY).ticks
    bars = kernels.bar5s(ticks)
    levels = kernels.session_levels(bars, DAY)
    episodes = kernels.level_episodes(bars, levels, DAY)
    approach = kernels.approach_features(episodes)
    vectors = kernels.setup_vectors(approach)
    frames = (ticks.collect(), bars, levels, episodes, approach, vectors)
    for table, frame in zip(TABLES, frames, strict=True):
        for day, content in ((DAY, frame), (EMPTY_DAY, pl.DataFrame(schema=schema(table)))):
            path = dagsters.table_path(folder, "ES", table, day)
            path.parent.mkdir(parents=True, exist_ok=True)
            content.write_parquet(path)
    return folder


@pytest.fixture(scope="module")
def text(lake: Path) -> str:
    return day_report(lake, "ES", DAY, dropped={"crossed_or_locked": 1234, "spread": 0})


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def table(lake: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(table_path(lake, "ES", name, DAY))


def report(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    """Run the command as a user would."""
    repository = Path(__file__).resolve().parents[1]
    return subprocess.run(
        [sys.executable, "-m", "pipeline_assets.report", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )


def test_every_table_has_its_picture_and_size(page, text, lake):
    for name in TABLES:
        assert name in page.ids
        path = table_path(lake, "ES", name, DAY)
        size = f"{table(lake, name).height:,} rows, {len(TABLES[name])} columns"
        assert f"{size}, {path.stat().st_size:,} bytes" in text
    assert len(page.pictures) == len(TABLES)
    for picture in page.pictures:
        content = base64.b64decode(picture.removeprefix("data:image/png;base64,"), validate=True)
        assert content.startswith(b"\x89PNG")


def test_the_episodes_are_the_tables(page, lake):
    vectors = table(lake, "setup_vectors").sort("trigger_bar_ts", maintain_order=True)
    heads = table(lake, "level_episodes").filter("is_trigger_bar")
    extensions = dict(heads.select("episode_id", "extension_count").iter_rows())
    header, *rows = page.tables[-1]
    assert header[0] == "trigger"
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


def test_levels_count_triggers_and_outcomes(page, lake):
    vectors = table(lake, "setup_vectors")
    header, *rows = page.tables[0]
    outcomes = [name.upper().replace(" ", "_") for name in header[3:]]
    assert [cells[0] for cells in rows] == ["PM high", "PM low", "OR high", "OR low"]
    for cells in rows:
        of_level = vectors.filter(level_type=cells[0].upper().replace(" ", "_"))
        labels = of_level["outcome"].cast(pl.String).fill_null("PAST_THE_DATA")
        counts = [(labels == outcome).sum() for outcome in outcomes]
        assert [int(cell) for cell in cells[2:]] == [of_level.height, *counts]
        assert sum(counts) == of_level.height


def test_the_figures_of_the_day(text, lake):
    bars = table(lake, "bar5s")
    empty = bars.filter(bar5s_meta_msg_cnt_sum=0).height / bars.height
    volume = table(lake, "clean_ticks").filter(action="T")["size"].sum()
    for figure in (
        f"<dt>bars without a tick</dt><dd>{empty:.1%}</dd>",
        f"<dt>traded volume</dt><dd>{volume:,} contracts</dd>",
        f"<dt>triggers</dt><dd>{table(lake, 'setup_vectors').height}</dd>",
        "<dt>dropped: crossed or locked</dt><dd>1,234</dd>",
        "<dt>dropped: spread</dt><dd>0</dd>",
    ):
        assert figure in text


def test_the_page_needs_nothing_but_itself(page, text):
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    assert "http" not in text
    assert "url(" not in text
    assert not {"script", "link", "iframe"} & set(page.tags)


def test_checks_say_what_was_found_and_are_escaped(lake):
    checks = [
        Check("grid_gapless", "bar5s", True, "ERROR", "17,280 bars, 5 s apart"),
        Check("crossed", "clean_ticks", False, "WARN", "<b>2</b> books & more; look at the file"),
    ]
    text = day_report(lake, "ES", DAY, checks)
    header, good, bad = Page(text).tables[1]
    assert header == ["check", "table", "result", "found"]
    assert good == ["grid_gapless", "bar5s", "✓ passed", "17,280 bars, 5 s apart"]
    assert bad == ["crossed", "clean_ticks", "✗ warn", "<b>2</b> books & more; look at the file"]
    assert "None were run" not in text


def test_without_checks_the_page_says_so(text):
    assert "None were run" in text


def test_an_empty_day_has_its_page(lake):
    text = day_report(lake, "ES", EMPTY_DAY)
    page = Page(text)
    assert len(page.pictures) == len(TABLES)
    assert "No level was touched" in text
    assert "contract unknown" in text


def test_missing_tables_are_named_with_the_remedy(lake):
    day = date(2025, 6, 9)
    path = table_path(lake, "ES", "bar5s", day)
    path.symlink_to(table_path(lake, "ES", "bar5s", EMPTY_DAY))
    with pytest.raises(MissingTables, match=r"ES 2025-06-09 lacks 5 of 6 tables") as error:
        day_report(lake, "ES", day)
    assert "setup_vectors/2025-06-09.parquet" in str(error.value)
    assert "bar5s/2025-06-09.parquet" not in str(error.value)
    assert "--select group:es --partition 2025-06-09" in str(error.value)


def test_a_page_replaces_the_one_before_it_whole(tmp_path):
    output = tmp_path / "new" / "day.html"
    write_report("first", output)
    write_report("sécond", output)
    assert output.read_text(encoding="utf-8") == "sécond"
    assert list(output.parent.iterdir()) == [output]


def test_the_command_writes_the_page_and_says_where(lake, tmp_path):
    done = report(DAY, "--root", "es", "--lake", lake, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = tmp_path / f"report-ES-{DAY}.html"
    assert done.stdout.strip() == str(written)
    assert Page(written.read_text(encoding="utf-8")).pictures


def test_the_command_fails_in_words_and_writes_nothing(tmp_path):
    done = report(DAY, "--lake", tmp_path / "none", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: ES {DAY} lacks 6 of 6 tables in {tmp_path / 'none'}")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_report_does_not_load_dagster():
    code = "import sys, pipeline_assets.report; assert 'dagster' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
