"""A day in one page: pictures, figures, checks and episodes as one HTML file, from the lake alone.

python -m pipeline_assets.report 2025-06-05 --root ES
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import jinja2
import polars as pl
from dotenv import load_dotenv

from kernels.features import TABLES
from kernels.instrument import INSTRUMENTS, NEW_YORK
from kernels.survey import DROP_REASONS
from pipeline_assets import previews
from pipeline_assets.checks import findings
from pipeline_assets.figures import figures
from pipeline_assets.partitions import why_closed
from pipeline_assets.previews import style
from pipeline_assets.settings import lake_folder
from resources.atomic import whole_file
from resources.lake import LakeDay, UnreadableTable, damage_of
from resources.options import date_option, print_on_any_terminal

_DIRECTIONS = {1: "from below", -1: "from above"}


class MissingTables(FileNotFoundError):
    """Tables of the day are not in the lake; the message names them and says how to make them."""


class _Table(NamedTuple):
    """A table of the page: its size in the lake, and its picture as an address."""

    name: str
    rows: int
    columns: int
    size: int
    picture: str


def day_report(tables: LakeDay) -> str:
    """The page of a day, self-contained HTML; all tables but the ticks are held from then on.

    Raises:
        MissingTables: a table of the day is not in the lake.
        UnreadableTable: a table's file is damaged.
    """
    _refuse_missing(tables)
    try:
        return _page(tables)
    except pl.exceptions.PolarsError as error:
        damaged = list(_damaged(tables))
        if not damaged:
            raise
        raise UnreadableTable(f"{'; '.join(damaged)}; {_remedy(tables)}") from error


def write_report(page: str, output: Path) -> None:
    """Write a page under its name, whole or not at all."""
    with whole_file(output) as part:
        part.write_text(page, encoding="utf-8")


def _refuse_missing(tables: LakeDay) -> None:
    missing = [table for table in TABLES if not tables.path(table).exists()]
    if missing:
        named = (
            f"{table} (refused by its checks)" if tables.refused_path(table).exists() else table
            for table in missing
        )
        raise MissingTables(
            f"{tables.root} {tables.day} lacks {len(missing)} of {len(TABLES)} tables in"
            f" {tables.lake / tables.root.lower()}: {', '.join(named)};"
            f" {_remedy(tables)}, or name another lake with --lake"
        )


def _damaged(tables: LakeDay) -> Iterator[str]:
    """Which files of the day cannot be read to their end, and why."""
    for table in TABLES:
        if damage := damage_of(tables.scan(table)):
            yield f"{tables.path(table)} cannot be read: {damage}"


def _remedy(tables: LakeDay) -> str:
    return (
        f"materialise the day, with {tables.root} among MBP10_ROOTS: dagster asset materialize"
        f" -m pipeline_assets.definitions --select group:{tables.root.lower()}"
        f" --partition {tables.day}"
    )


def _page(tables: LakeDay) -> str:
    for table in TABLES:
        if table != "clean_ticks":
            tables.hold(table, tables.scan(table).collect())
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline_assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        root=tables.root,
        day=tables.day,
        contract=tables.facts("clean_ticks")["contract"],
        figures=_figures(tables),
        levels=_levels(tables),
        outcomes=[style.plain_name(outcome) for outcome in style.OUTCOME_COLOURS],
        checks=[found for table in TABLES for found in findings(tables, table)],
        tables=[_table(tables, table) for table in TABLES],
        episodes=_episodes(tables),
    )


def _figures(tables: LakeDay) -> dict[str, str]:
    """The day's figures in words, by what they are."""
    ticks, bars, episodes = (
        figures(tables, table) for table in ("clean_ticks", "bar5s", "level_episodes")
    )
    ts = pl.col("ts_event")
    first, last = tables.scan("clean_ticks").select(a=ts.min(), b=ts.max()).collect().row(0)
    bought, sold = (pl.col(f"bar5s_trade_agg{side}_vol_sum").sum() for side in ("buy", "sell"))
    count, bought, sold = (
        tables.scan("bar5s").select(pl.len(), bought=bought, sold=sold).collect().row(0)
    )
    empty, spread = bars["empty_bar_share"], bars["spread_pts_median"]
    return {
        "ticks": f"{bars['ticks']:,}",
        "first tick": _date_and_clock(first),
        "last tick": _date_and_clock(last),
        "bars of 5 s": f"{count:,}",
        "bars without a tick": "no bars" if empty is None else f"{empty:.1%}",
        "median spread": "none" if spread is None else f"{spread:.4g} points",
        "traded volume": f"{bars['traded_volume']:,} contracts",
        "contracts by aggressor": f"{bought:,.0f} bought, {sold:,.0f} sold,"
        f" {bars['traded_volume'] - bought - sold:,.0f} unknown",
        "triggers": f"{episodes['episodes']:,}",
        "windows cut short": f"{episodes['truncated_lookback']:,} before,"
        f" {episodes['truncated_forward']:,} after the trigger",
    } | {
        f"dropped: {style.plain_name(reason)}": f"{ticks[f'dropped_{reason}']:,}"
        for reason in DROP_REASONS
    }


def _table(tables: LakeDay, table: str) -> _Table:
    return _Table(
        table,
        tables.scan(table).select(pl.len()).collect().item(),
        len(TABLES[table]),
        tables.path(table).stat().st_size,
        previews.data_uri(previews.draw(tables, table)),
    )


def _levels(tables: LakeDay) -> list[dict[str, object]]:
    """Every level with its price, its triggers and how many of them had each outcome."""
    levels = tables.scan("session_levels").select("level_type", "level_price").collect()
    vectors = tables.scan("setup_vectors").select("level_type", style.OUTCOME_LABEL).collect()
    rows = []
    for level, price in levels.iter_rows():
        outcomes = Counter(vectors.filter(level_type=level)["outcome"])
        rows.append(
            {
                "name": style.plain_name(level),
                "price": _number(price),
                "triggers": outcomes.total(),
                "outcomes": [outcomes[outcome] for outcome in style.OUTCOME_COLOURS],
            }
        )
    return rows


def _episodes(tables: LakeDay) -> list[dict[str, object]]:
    """Every episode, in time order."""
    triggers = tables.scan("level_episodes").filter("is_trigger_bar")
    rows = (
        tables.scan("setup_vectors")
        .drop("vector")
        .join(triggers.select("episode_id", "extension_count"), "episode_id", maintain_order="left")
        .with_columns(style.OUTCOME_LABEL)
        .sort("trigger_bar_ts", maintain_order=True)
        .collect()
    )
    return [
        {
            "id": row["episode_id"],
            "clock": _clock(row["trigger_bar_ts"]),
            "level": style.plain_name(row["level_type"]),
            "price": _number(row["level_price"]),
            "approach": _DIRECTIONS[row["approach_direction"]],
            "standard": "yes" if row["is_standard_approach"] else "no",
            "outcome": style.plain_name(row["outcome"]),
            "colour": style.OUTCOME_COLOURS[row["outcome"]],
            "score": _number(row["outcome_score"]),
            "lookback": f"{row['lookback_bars']:,}",
            "extensions": f"{row['extension_count']:,}",
            "cut": "yes" if row["is_truncated_forward"] else "no",
        }
        for row in rows.iter_rows(named=True)
    ]


def _clock(instant: datetime) -> str:
    return f"{instant.astimezone(NEW_YORK):%H:%M:%S}"


def _date_and_clock(instant: datetime | None) -> str:
    """With its date, since a day's first ticks are of the evening before; `none` for none."""
    return f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}" if instant else "none"


def _number(value: float | None) -> str:
    """Two decimals, `none` where there is none."""
    return "none" if value is None else f"{value:,.2f}"


def main() -> None:
    """Write the page of a day and say where."""
    print_on_any_terminal()
    load_dotenv(".env", override=True)
    parser = argparse.ArgumentParser(
        prog="python -m pipeline_assets.report",
        description="Write a day as one HTML page, from the lake alone.",
    )
    parser.add_argument("day", type=date_option, help="trading day, YYYY-MM-DD")
    parser.add_argument(
        "--root", default="ES", type=str.upper, choices=INSTRUMENTS, help="root (default: ES)"
    )
    try:
        lake = lake_folder()
    except ValueError as error:
        sys.exit(f"error: {error}")
    parser.add_argument(
        "--lake", type=Path, default=lake, help="the lake's folder (default: %(default)s)"
    )
    parser.add_argument(
        "--output", type=Path, help="the file (default: report-<root>-<day>.html, here)"
    )
    options = parser.parse_args()
    if closed := why_closed(options.day):
        parser.error(f"{options.day} is no trading day: {closed}")
    output = (options.output or Path(f"report-{options.root}-{options.day}.html")).resolve()
    try:
        page = day_report(LakeDay(options.lake, options.root, options.day))
    except (MissingTables, UnreadableTable) as error:
        sys.exit(f"error: {error}")
    try:
        write_report(page, output)
    except OSError as error:
        sys.exit(f"error: cannot write {output}: {error}; name another file with --output")
    print(output)


if __name__ == "__main__":
    main()
