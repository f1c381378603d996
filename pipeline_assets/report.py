"""A day in one page: pictures, figures, checks and episodes as one HTML file, from the lake alone.

python -m pipeline_assets.report 2025-06-05 --root ES
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

import jinja2
import polars as pl

from kernels.features import TABLES
from kernels.instrument import NEW_YORK
from pipeline_assets import previews
from pipeline_assets.previews import style
from pipeline_assets.settings import lake_folder
from resources.atomic import whole_file
from resources.tables import table_path

_DIRECTIONS = {1: "from below", -1: "from above"}


class Check(NamedTuple):
    """One check's result.

    name: what was checked.
    table: the table it was checked on.
    passed: whether it held.
    severity: `ERROR` or `WARN`, what it means if it does not.
    message: what was found and what to do.
    """

    name: str
    table: str
    passed: bool
    severity: str
    message: str


class MissingTables(FileNotFoundError):
    """Tables of the day are not in the lake; the message names them and says how to make them."""


class _Day(NamedTuple):
    """A day's tables as the report reads them, ticks lazily."""

    clean_ticks: pl.LazyFrame
    bar5s: pl.DataFrame
    session_levels: pl.DataFrame
    level_episodes: pl.DataFrame
    approach_features: pl.DataFrame
    setup_vectors: pl.DataFrame


class _Table(NamedTuple):
    """A table of the page: its size in the lake, and its picture as an address."""

    name: str
    rows: int
    columns: int
    size: int
    picture: str


def day_report(
    lake: Path,
    root: str,
    day: date,
    checks: Sequence[Check] = (),
    dropped: Mapping[str, int] | None = None,
) -> str:
    """The page of a day, self-contained HTML.

    Args:
        lake: the lake's folder.
        root: the instrument's root, `ES`.
        day: the trading day.
        checks: results to show; none says that none were run.
        dropped: records that cleaning dropped, by reason, where it is known: the lake does not.

    Raises:
        MissingTables: a table of the day is not in the lake.
    """
    paths = _paths(lake, root, day)
    tables = _read(paths)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline_assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        root=root,
        day=day,
        contract=tables.session_levels["symbol"].first(),
        figures=_figures(tables, dropped or {}),
        tables=_tables(tables, paths, dropped or {}),
        levels=_levels(tables),
        outcomes=[style.plain_name(outcome) for outcome in style.OUTCOME_COLOURS],
        checks=checks,
        episodes=_episodes(tables),
    )


def write_report(page: str, output: Path) -> None:
    """Write a page under its name, whole or not at all."""
    with whole_file(output) as part:
        part.write_text(page, encoding="utf-8")


def _paths(lake: Path, root: str, day: date) -> dict[str, Path]:
    """Where each table of the day lies."""
    paths = {table: table_path(lake, root, table, day) for table in TABLES}
    missing = [path for path in paths.values() if not path.exists()]
    if missing:
        folder = lake / root.lower()
        raise MissingTables(
            f"{root} {day} lacks {len(missing)} of {len(paths)} tables in {folder}:"
            f" {', '.join(str(path.relative_to(folder)) for path in missing)};"
            " materialise the day, dagster asset materialize -m pipeline_assets.definitions"
            f" --select group:{root.lower()} --partition {day}, or name another lake with --lake"
        )
    return paths


def _read(paths: Mapping[str, Path]) -> _Day:
    frames = {table: pl.scan_parquet(path) for table, path in paths.items()}
    ticks = frames.pop("clean_ticks")
    return _Day(ticks, *(frame.collect() for frame in frames.values()))


def _figures(day: _Day, dropped: Mapping[str, int]) -> dict[str, str]:
    """The day's figures in words, by what they are."""
    bars, vectors, ts = day.bar5s, day.setup_vectors, pl.col("ts_event")
    ticks, first, last = day.clean_ticks.select(pl.len(), a=ts.min(), b=ts.max()).collect().row(0)
    empty = (bars["bar5s_meta_msg_cnt_sum"] == 0).mean()
    spread = bars["bar5s_state_spread_pts_twa"].median()
    bought, sold = (bars[f"bar5s_trade_agg{side}_vol_sum"].sum() for side in ("buy", "sell"))
    cut = {name: vectors[f"is_truncated_{name}"].sum() for name in ("lookback", "forward")}
    figures = {
        "ticks": f"{ticks:,}",
        "first and last tick": f"{_clock(first)} and {_clock(last)}" if ticks else "none",
        "bars of 5 s": f"{bars.height:,}",
        "bars without a tick": "none" if empty is None else f"{empty:.1%}",
        "median spread": "none" if spread is None else f"{spread:.4g} points",
        "traded volume": f"{bars['bar5s_trade_vol_sum'].sum():,.0f} contracts",
        "contracts by aggressor": f"{bought:,.0f} bought, {sold:,.0f} sold",
        "triggers": f"{vectors.height:,}",
        "windows cut short": f"{cut['lookback']:,} before, {cut['forward']:,} after the trigger",
    }
    return figures | {
        f"dropped: {reason.replace('_', ' ')}": f"{count:,}" for reason, count in dropped.items()
    }


def _tables(day: _Day, paths: Mapping[str, Path], dropped: Mapping[str, int]) -> list[_Table]:
    """Every table with its size and picture."""
    pictures = {
        "clean_ticks": previews.clean_ticks(day.clean_ticks, dropped),
        "bar5s": previews.bar5s(day.bar5s),
        "session_levels": previews.session_levels(day.bar5s, day.session_levels),
        "level_episodes": previews.level_episodes(
            day.bar5s, day.session_levels, day.level_episodes
        ),
        "approach_features": previews.approach_features(day.approach_features),
        "setup_vectors": previews.setup_vectors(day.setup_vectors),
    }
    return [
        _Table(
            table,
            pl.scan_parquet(path).select(pl.len()).collect().item(),
            len(TABLES[table]),
            path.stat().st_size,
            previews.data_uri(pictures[table]),
        )
        for table, path in paths.items()
    ]


def _levels(day: _Day) -> list[dict[str, object]]:
    """Every level with its price, its triggers and how many of them had each outcome."""
    vectors = day.setup_vectors.select("level_type", style.OUTCOME_LABEL)
    rows = []
    for level, price in day.session_levels.select("level_type", "level_price").iter_rows():
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


def _episodes(day: _Day) -> list[dict[str, object]]:
    """Every episode, in time order."""
    triggers = day.level_episodes.filter("is_trigger_bar").select("episode_id", "extension_count")
    rows = (
        day.setup_vectors.drop("vector")
        .join(triggers, "episode_id")
        .with_columns(style.OUTCOME_LABEL)
        .sort("trigger_bar_ts", maintain_order=True)
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


def _number(value: float | None) -> str:
    """Two decimals, `none` where there is none."""
    return "none" if value is None else f"{value:,.2f}"


def main() -> None:
    """Write the page of a day and say where."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline_assets.report", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("day", type=date.fromisoformat, help="trading day, 2025-06-05")
    parser.add_argument("--root", default="ES", type=str.upper, help="root (default: ES)")
    parser.add_argument(
        "--lake", type=Path, default=lake_folder(), help="the lake's folder (default: %(default)s)"
    )
    parser.add_argument(
        "--output", type=Path, help="the file (default: report-<root>-<day>.html, here)"
    )
    options = parser.parse_args()
    output = options.output or Path(f"report-{options.root}-{options.day}.html")
    try:
        page = day_report(options.lake, options.root, options.day)
    except MissingTables as error:
        sys.exit(f"error: {error}")
    write_report(page, output)
    print(output.resolve())


if __name__ == "__main__":
    main()
