"""What the environment decides: where raw files and the lake lie, and which roots there are."""

import os
from pathlib import Path

from kernels.instrument import INSTRUMENTS, Instrument

_DATA = Path(__file__).resolve().parents[1] / "data"


def raw_folder() -> Path:
    """`MBP10_RAW`, else `data/raw` in the repository."""
    return Path(os.environ.get("MBP10_RAW", _DATA / "raw"))


def lake_folder() -> Path:
    """`MBP10_LAKE`, else `data/lake` in the repository."""
    return Path(os.environ.get("MBP10_LAKE", _DATA / "lake"))


def instruments() -> list[Instrument]:
    """The instruments of `MBP10_ROOTS`, comma-separated, else ES.

    Raises:
        ValueError: if a root is not one of `kernels.instrument.INSTRUMENTS`.
    """
    roots = [root.strip().upper() for root in os.environ.get("MBP10_ROOTS", "ES").split(",")]
    unknown = [root for root in roots if root not in INSTRUMENTS]
    if unknown:
        raise ValueError(
            f"MBP10_ROOTS names {', '.join(unknown)}, known are {', '.join(INSTRUMENTS)};"
            " add the instrument to kernels/instrument.py"
        )
    return [INSTRUMENTS[root] for root in dict.fromkeys(roots)]
