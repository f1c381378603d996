"""What the commands have in common: dates as options, and what they print."""

import argparse
import sys
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


def print_on_any_terminal() -> None:
    """Print what the terminal's encoding lacks as escapes, lest it end the command."""
    sys.stdout.reconfigure(errors="backslashreplace")
