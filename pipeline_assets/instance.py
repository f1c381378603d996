"""The Dagster instance of a command."""

import sys

import dagster as dg
from dagster._core.errors import DagsterHomeNotSetError


def open_instance() -> dg.DagsterInstance:
    """The instance of `DAGSTER_HOME`; without one the command ends with a line that says so."""
    try:
        return dg.DagsterInstance.get()
    except DagsterHomeNotSetError:
        sys.exit("error: DAGSTER_HOME is not set; export DAGSTER_HOME=$PWD/dagster_home")
    except dg.DagsterError as error:
        sys.exit(f"error: {error}")
