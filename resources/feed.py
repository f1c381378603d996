"""Where raw files come from: a folder of Databento deliveries, or the simulated market."""

from datetime import date
from pathlib import Path

from resources.simulated import simulate_day

__all__ = ["RawDataMissing", "raw_files", "simulate_day"]


class RawDataMissing(FileNotFoundError):
    """No raw file of a root and day; the message says where it was looked for and what to do."""


def raw_files(raw: Path, root: str, day: date) -> list[Path]:
    """The DBN files of a root and UTC day in `<raw>/<root>/`, in name order.

    They are named `*YYYYMMDD*.dbn` or `*YYYYMMDD*.dbn.zst`; of a file that is there in both forms
    only the compressed one counts.

    Raises:
        RawDataMissing: if there is none.
    """
    folder = raw / root
    found = [*folder.glob(f"*{day:%Y%m%d}*.dbn"), *folder.glob(f"*{day:%Y%m%d}*.dbn.zst")]
    files = {path.name.removesuffix(".zst"): path for path in found if path.name[0] != "."}
    if not files:
        raise RawDataMissing(
            f"no raw file of {root} for {day}: nothing like *{day:%Y%m%d}*.dbn.zst in {folder};"
            f" put the day's MBP-10 file there, or simulate it with"
            f" `python -m resources.simulated {day} --root {root} --raw {raw}`"
        )
    return [files[name] for name in sorted(files)]
