"""The UI as a person uses it, in Chromium, on a real deployment; each screen is kept as a picture.

The pictures lie in `.artefacts/` of the repository.
"""

import re
import shutil
from collections.abc import Iterator
from datetime import date

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from kernels.features import TABLES
from pipeline_assets.raw import RAW
from resources.raw_files import day_file
from resources.simulated import simulate_day
from tests.conftest import DAY
from tests.live import Deployment, deployed
from tests.place import PATIENCE, REPOSITORY

BROWSERS = [
    "chromium",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
]
"""Where a browser of Chromium's kind may lie."""

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ARTEFACTS = REPOSITORY / ".artefacts"
THREE_DAYS = [date(2025, 6, 9), date(2025, 6, 10), date(2025, 6, 11)]
WINDOW = {"width": 1440, "height": 900}
DARK = "rgb(3, 6, 21)"
"""The UI's ground in its dark theme."""
WIDE_WINDOW = {"width": 2160, "height": 520}
"""Wide enough for the graph to show what is in its nodes."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with `DAY` materialised, and the raw files of `THREE_DAYS`."""
    with deployed(tmp_path_factory.mktemp("live")) as live:
        simulate_day(day_file(live.raw, "ES", DAY), DAY, events=50_000, seed=3)
        for day in THREE_DAYS:
            simulate_day(day_file(live.raw, "ES", day), day, events=3_000)
        run = live.launch("trading_day", {"dagster/partition": str(DAY)})
        assert live.end_of_run(run) == "SUCCESS"
        yield live


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a window yet."""
    browsers = list(filter(None, map(shutil.which, BROWSERS)))
    assert browsers, "no Chromium: install Debian's package chromium, or Google Chrome"
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE * 1000)
        yield playwright.chromium.launch(executable_path=browsers[0], args=ARGUMENTS)


@pytest.fixture
def page(browser: Browser, live: Deployment) -> Iterator[Page]:
    """A new window, which knows nothing of those before it."""
    with browser.new_page(base_url=live.url, viewport=WINDOW) as page:
        page.set_default_timeout(PATIENCE * 1000)
        yield page


def test_graph_shows_the_chain(page: Page) -> None:
    page.set_viewport_size(WIDE_WINDOW)
    open_graph(page)
    page.get_by_role("button", name="Hide navigation").click()
    page.reload()
    for name in (RAW, *TABLES):
        expect(page.get_by_text(name, exact=True).locator("visible=true").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"^(\d+) / \1 Passed$"))).to_have_count(len(TABLES) + 1)
    keep(page, "graph")


def test_partition_shows_figures_and_picture(page: Page) -> None:
    page.goto(f"/assets/es/bar5s?view=partitions&partition={DAY}")
    for figure in ("dagster/row_count", "ticks", "spread_pts_median", "traded_volume"):
        value = page.get_by_role("row").filter(has=page.get_by_text(figure, exact=True))
        expect(value).to_contain_text(re.compile(r"[1-9]"))
    keep(page, "figures")

    page.get_by_text("Show Markdown").click()
    picture = page.get_by_role("dialog").get_by_alt_text("preview")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 500
    keep(page, "partition")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body")).to_have_css("background-color", DARK)
    keep(page, "partition-dark")
    page.get_by_role("button", name="Close").click()
    expect(picture).to_be_hidden()


def test_figures_are_plotted(page: Page) -> None:
    page.goto("/assets/es/bar5s")
    page.get_by_role("button", name="Plots").click()
    page.get_by_role("button", name="Events").click()
    title = page.get_by_text("traded_volume", exact=True)
    title.scroll_into_view_if_needed()
    expect(title).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()
    keep(page, "plots")


def test_schema_is_documented(page: Page) -> None:
    page.goto("/assets/es/bar5s")
    column = TABLES["bar5s"][-1]
    page.get_by_placeholder("Filter columns").fill(column.name)
    row = page.get_by_role("row").filter(has=page.get_by_text(column.name, exact=True))
    expect(row).to_contain_text(f"[{column.unit}]")
    expect(row).to_contain_text("clean_ticks")
    page.get_by_placeholder("Filter columns").clear()
    expect(page.get_by_text("bar5s_microprice_eob", exact=True)).to_be_visible()
    keep(page, "schema")


def test_checks_say_what_they_found(page: Page) -> None:
    page.goto("/assets/es/bar5s")
    page.get_by_role("tab", name="Checks").click()
    page.get_by_text("grid_is_gapless").first.click()
    expect(page.get_by_text("every bar follows the one before by 5 s")).to_be_visible()
    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    keep(page, "checks")


def test_backfill_by_mouse_turns_green(page: Page, live: Deployment) -> None:
    open_graph(page)
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Show all partitions").click()
    days = dialog.get_by_placeholder("ex:")
    days.fill(f"[{THREE_DAYS[0]}...{THREE_DAYS[-1]}]")
    days.press("Enter")
    expect(dialog.get_by_text("3 partitions")).to_be_visible()
    keep(page, "dialog")
    dialog.get_by_role("button", name="Launch backfill").click()

    page.get_by_role("link", name="View", exact=True).click()
    expect(page.get_by_text("Partitions targeted")).to_be_visible()
    keep(page, "backfill-begun")
    expect(page.get_by_text("100% completed")).to_have_count(len(TABLES) + 1)
    column_and_status = page.get_by_text("Succeeded", exact=True)
    expect(column_and_status).to_have_count(2)
    keep(page, "backfill-done")

    page.goto(f"/assets/es/setup_vectors?view=partitions&partition={THREE_DAYS[-1]}")
    expect(page.get_by_text("Materialized (4)")).to_be_visible()
    expect(page.get_by_text("Failed (0)")).to_be_visible()
    keep(page, "backfill-partitions")
    made = [str(day) for day in (DAY, *THREE_DAYS)]
    assert sorted(live.materialised("es/setup_vectors")) == made


def open_graph(page: Page) -> None:
    """Open the graph of the group."""
    page.goto("/locations/pipeline_assets.definitions/asset-groups/es/lineage")
    expect(page.get_by_role("button", name="Materialize all")).to_be_enabled()


def keep(page: Page, name: str) -> None:
    """Keep what is shown as a picture, once its icons have had a moment to load."""
    page.wait_for_timeout(700)
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", animations="disabled")
