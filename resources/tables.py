"""Where the lake's tables lie, for those who read them without Dagster."""

from datetime import date
from pathlib import Path


def table_path(lake: Path, root: str, table: str, day: date) -> Path:
    """`<lake>/<root>/<table>/<day>.parquet`, the root in lower case as in its assets' keys."""
    return lake / root.lower() / table / f"{day}.parquet"
