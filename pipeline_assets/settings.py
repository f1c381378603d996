"""What the environment decides: where files come from and go, which roots and contracts there are."""

import glob
import math
import os
import re
from pathlib import Path

from kernels.instrument import INSTRUMENTS, Instrument
from resources.databento_feed import DatabentoFeed
from resources.feed import Feed, FolderFeed, SimulatedFeed

_DATA = Path(__file__).resolve().parents[1] / "data"


def all_roots() -> list[str]:
    """The roots that `instruments` are of."""
    return [instrument.root for instrument in instruments()]


def raw_folder() -> Path:
    """`MBP10_RAW`, else `data/raw` in the repository.

    Raises:
        ValueError: if it is set to nothing.
    """
    return _folder("MBP10_RAW", _DATA / "raw")


def lake_folder() -> Path:
    """`MBP10_LAKE`, else `data/lake` in the repository.

    Raises:
        ValueError: if it is set to nothing.
    """
    return _folder("MBP10_LAKE", _DATA / "lake")


def refuse_unread_home() -> None:
    """Refuse a `DAGSTER_HOME` whose dagster.yaml Dagster would leave unread, and say nothing.

    Raises:
        ValueError: if Dagster takes its path for a pattern of names.
    """
    home = os.environ.get("DAGSTER_HOME", "")
    if glob.escape(home) != home:
        raise ValueError(
            f"DAGSTER_HOME is {home}, where Dagster finds no dagster.yaml; rename the folder that has"
            " [ * or ? in its name, or set it to another"
        )


def _folder(variable: str, default: Path) -> Path:
    path = os.environ.get(variable, default)
    if not path:
        raise ValueError(f"{variable} is empty; set it to a folder, or unset it for {default}")
    return Path(path).expanduser()


def raw_feed() -> Feed:
    """The feed that `MBP10_FEED` names, into `raw_folder`: folder (default), databento, simulated.

    Raises:
        ValueError: if it is none of them, or databento with a senseless `MBP10_COST_LIMIT`.
    """
    name = os.environ.get("MBP10_FEED", "folder")
    if name == "folder":
        return FolderFeed(raw_folder())
    if name == "databento":
        return DatabentoFeed(raw_folder(), cost_limit())
    if name == "simulated":
        return SimulatedFeed(raw_folder())
    raise ValueError(f"MBP10_FEED is {name!r}; set it to folder, databento or simulated")


def cost_limit() -> float:
    """`MBP10_COST_LIMIT`, else 5: dollars that a download may cost for one root and day.

    Raises:
        ValueError: if it is not a number of dollars.
    """
    text = os.environ.get("MBP10_COST_LIMIT", "5")
    try:
        dollars = float(text)
    except ValueError:
        dollars = math.nan
    if not 0 <= dollars < math.inf:
        raise ValueError(f"MBP10_COST_LIMIT is {text!r}; set it to dollars a root and day, like 5")
    return dollars


def roll_rule() -> str:
    """`MBP10_ROLL`, else volume: which contract a day keeps (`kernels.instrument.Instrument`).

    Raises:
        ValueError: if it can be no rule.
    """
    return as_roll_rule(os.environ.get("MBP10_ROLL", "volume"), "MBP10_ROLL")


def as_roll_rule(text: str, name: str) -> str:
    """A roll rule, given in either case; `name` is the setting, for the error.

    Raises:
        ValueError: if it can be no rule.
    """
    rule = text.lower() if text.lower() in ("volume", "calendar") else text.upper()
    if not re.fullmatch(r"volume|calendar|[A-Z]+[0-9]{1,2}", rule):
        raise ValueError(f"{name} is {text!r}; set it to volume, calendar or a contract like ESM5")
    return rule


def instruments() -> list[Instrument]:
    """The instruments of `MBP10_ROOTS`, comma-separated, else ES.

    Raises:
        ValueError: if there is none, or one that is not of `kernels.instrument.INSTRUMENTS`.
    """
    text = os.environ.get("MBP10_ROOTS", "ES")
    roots = [root.strip().upper() for root in text.split(",") if root.strip()]
    if not roots:
        raise ValueError(f"MBP10_ROOTS is {text!r}; set it to roots like ES,NQ")
    unknown = [root for root in roots if root not in INSTRUMENTS]
    if unknown:
        raise ValueError(
            f"MBP10_ROOTS names {', '.join(unknown)}, known are {', '.join(INSTRUMENTS)};"
            " add the instrument to kernels/instrument.py"
        )
    return [INSTRUMENTS[root] for root in dict.fromkeys(roots)]
