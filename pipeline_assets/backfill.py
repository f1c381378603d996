"""The bulk job from a shell.

    python -m pipeline_assets.backfill --start 2025-01-01 --end 2025-12-31

The server that its dates are forked from loads while the command itself does; in a job launched
otherwise, Dagster starts that server with the run's first step.
"""

import argparse
import signal
import sys
from collections.abc import Mapping
from typing import Any

from dotenv import load_dotenv

from pipeline_assets import fork_server


def main() -> None:
    """Run the job, a line a date; the exit code tells whether every date was done."""
    load_dotenv(".env", override=True)  # as Dagster's own commands do
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the server, which the run ends
    try:
        fork_server.start()
    except OSError as error:
        sys.exit(f"error: no socket in TMPDIR: {error}; set it to a folder with a short path")
    signal.signal(signal.SIGINT, _end)  # there is no run yet that would have to end
    # What follows also takes two seconds to load.
    import dagster as dg
    from dagster._core.definitions.reconstruct import ReconstructableRepository
    from dagster._utils.interrupts import capture_interrupts
    from sqlalchemy.exc import DatabaseError

    try:
        from pipeline_assets import definitions
        from pipeline_assets.bulk import Backfill, bulk, chosen_days
    except ValueError as error:
        sys.exit(f"error: {error}")
    from pipeline_assets.instance import open_instance
    from pipeline_assets.jobs import UNDER_ITS_JOB
    from pipeline_assets.progress import summary_of

    config = vars(_parser(bulk.description, Backfill.model_fields).parse_args())
    try:
        chosen_days(Backfill(**config))
    except dg.Failure as error:
        sys.exit(f"error: {error}")
    instance = open_instance()
    loaded = ReconstructableRepository.for_module(definitions.__name__, "defs")
    job = loaded.get_reconstructable_job(bulk.name)
    with instance, _without_starts_of_processes(instance) as quiet, capture_interrupts():
        try:
            result = dg.execute_job(job, quiet, config, tags=UNDER_ITS_JOB)
            became = summary_of(quiet, result.run_id)
        except DatabaseError as error:
            sys.exit(
                f"error: no more records can be kept in DAGSTER_HOME: {error.orig}; make room,"
                " end what locks its databases or restore them, and start the command again"
            )
        if not result.success:
            sys.exit(f"error: run {result.run_id} failed: {became or 'see the error above'}")
        print(became or "nothing to do")


def _end(interrupt: int, _: Any) -> None:
    """End by a signal, whose handling Polars, as it loads, takes over if left to the system."""
    signal.signal(interrupt, signal.SIG_DFL)
    signal.raise_signal(interrupt)


def _without_starts_of_processes(instance: Any) -> Any:
    """The same instance, without Dagster's line on the terminal for each date's process."""
    ref = instance.get_ref()
    logs = {"python_log_level": "INFO"} | ref.settings.get("python_logs", {})
    return instance.from_ref(ref._replace(settings={**ref.settings, "python_logs": logs}))


def _parser(about: str, fields: Mapping[str, Any]) -> argparse.ArgumentParser:
    """An option for each field of the job's config."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline_assets.backfill",
        description=about,
        argument_default=argparse.SUPPRESS,
    )
    for name, field in fields.items():
        how = {}
        if field.annotation is bool:
            how["action"] = argparse.BooleanOptionalAction
        elif field.annotation == list[str]:
            how |= {"nargs": "*", "metavar": name.removesuffix("s").upper()}
        parser.add_argument(f"--{name.replace('_', '-')}", help=field.description, **how)
    return parser


if __name__ == "__main__":
    main()
