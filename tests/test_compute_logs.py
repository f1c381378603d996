"""What a step prints is kept in the UI's files and shown, without programs beside the step."""

import subprocess
import sys
from pathlib import Path

from tests.place import REPOSITORY

STEP = """
import os, subprocess, sys
import psutil
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from pipeline_assets.compute_logs import show_by_thread

show_by_thread()
print("before")
with LocalComputeLogManager(sys.argv[1]).capture_logs(["run", "step"]):
    print("printed")
    print("in trouble", file=sys.stderr)
    subprocess.run(["echo", "by a program"], check=True)
    print("programs beside it:", len(psutil.Process().children(recursive=True)))
    {in_the_end}
print("after")
"""

KEPT = "printed\nby a program\nprograms beside it: 0\n"


def run_step(folder: Path, in_the_end: str) -> tuple[subprocess.CompletedProcess, str, str]:
    """A step in a process of its own, and what was kept of its two streams."""
    command = [sys.executable, "-u", "-c", STEP.format(in_the_end=in_the_end), str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    return done, *((folder / "run" / f"step.{stream}").read_text() for stream in ("out", "err"))


def test_what_a_step_prints_is_kept_and_shown(tmp_path: Path) -> None:
    done, out, err = run_step(tmp_path, "print('the last word')")
    assert (out, err) == (KEPT + "the last word\n", "in trouble\n")
    assert done.stdout == f"before\n{out}after\n"
    assert done.stderr == err


def test_the_last_words_of_a_process_that_dies_are_kept(tmp_path: Path) -> None:
    done, out, err = run_step(tmp_path, "os.write(2, b'out of memory\\n'), os.abort()")
    assert done.returncode < 0
    assert err == "in trouble\nout of memory\n"
    assert out == KEPT
