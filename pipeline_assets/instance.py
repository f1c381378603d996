"""The Dagster instance of a command."""

import os
import sys

import dagster as dg


def open_instance() -> dg.DagsterInstance:
    """The instance of `DAGSTER_HOME`; without one the command ends with a line that says so."""
    if not os.environ.get("DAGSTER_HOME"):
        sys.exit("error: DAGSTER_HOME is not set; export DAGSTER_HOME=$PWD/dagster_home")
    try:
        return dg.DagsterInstance.get()
    except dg.DagsterError as error:
        sys.exit(f"error: {error}")
