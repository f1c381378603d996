"""What a bulk run says where its command's tests do not come by."""

import io
from typing import NoReturn

import dagster as dg
import polars as pl
import pytest
from dagster._core.events import StepFailureData
from dagster._utils.error import serializable_error_info_from_exc_info

from pipeline_assets.bulk import bulk
from pipeline_assets.definitions import defs
from pipeline_assets.progress import Summary, _crash, _reason, key_of_date


def test_dates_that_never_began_are_not_done() -> None:
    """As in a re-execution, whose dates another run planned."""
    summary = Summary(key_of_date("ES", day) for day in ("2025-06-03", "2025-06-04"))
    assert summary.has_dates()
    assert str(summary) == "0 of 2 dates done\nES, not done: 2025-06-03 2025-06-04"


def test_why_a_plan_failed_is_shown(capfd: pytest.CaptureFixture) -> None:
    """No line of a date would say it."""
    run = defs.resolve_job_def(bulk.name).execute_in_process(
        run_config={"dates": ["2025-06-07"]}, raise_on_error=False
    )
    assert not run.success
    assert "no trading day: 2025-06-07 (Saturday)" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("signal", "advice"),
    [
        ("9 (SIGKILL)", "; if memory ran out, lower MBP10_DATES_AT_ONCE"),
        ("6 (SIGABRT)", "; if memory ran out, lower MBP10_DATES_AT_ONCE"),
        ("11 (SIGSEGV)", ""),
    ],
)
def test_a_crash_that_may_be_for_want_of_memory_says_so(signal: str, advice: str) -> None:
    """The system kills, below a limit of the process's own Polars and Numba abort."""
    how = f"process for step one_date[ES_2025_06_05] was terminated by signal {signal}."
    assert _crash(how) == f"its process was terminated by signal {signal}{advice}"


def test_an_interrupt_is_called_so_though_polars_made_an_error_of_it() -> None:
    def interrupted(_: object) -> NoReturn:
        raise dg.DagsterExecutionInterruptedError

    with pytest.raises(pl.exceptions.ComputeError) as caught:
        pl.LazyFrame({"size": [1]}).sink_parquet(io.BytesIO(), metadata=interrupted)
    info = (caught.type, caught.value, caught.tb)
    failure = StepFailureData(serializable_error_info_from_exc_info(info), None)
    assert _reason(failure) == ("interrupted", True)
