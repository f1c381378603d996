"""The Dagster instance of a command."""

import os
import sys

import dagster as dg
from sqlalchemy.exc import DatabaseError


def open_instance() -> dg.DagsterInstance:
    """The instance of `DAGSTER_HOME`; without one the command ends with a line that says so."""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        sys.exit("error: DAGSTER_HOME is not set; export DAGSTER_HOME=$PWD/dagster_home")
    try:
        return dg.DagsterInstance.get()
    except dg.DagsterError as error:
        sys.exit(f"error: {error}")
    except (OSError, DatabaseError) as error:
        why = getattr(error, "orig", error)
        sys.exit(
            f"error: no records can be kept in DAGSTER_HOME, {home}: {why}; it must be a writable"
            " folder, with a short path without % and undamaged databases"
        )
