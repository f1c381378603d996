"""What options of the commands have in common."""

import argparse
from datetime import date


def date_option(text: str) -> date:
    """A date of a command line.

    Raises:
        argparse.ArgumentTypeError: if it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write it YYYY-MM-DD") from None
