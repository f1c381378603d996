"""How many dates fit a machine, on machines and cgroup trees laid out for the test."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from resources.machine import (
    GB,
    OVERRIDE,
    dates_at_once,
    dates_on_this_machine,
    estimated_peak,
    peak_of_one_date,
    reserve_of,
    usable_cores,
    usable_memory,
)

USUAL_PEAK = 970_000_000


@pytest.fixture
def machine(monkeypatch) -> Callable[[int, int], None]:
    """Makes this a machine of so many cores and bytes."""

    def build(cores: int, memory: int) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=memory))

    return build


@pytest.fixture
def tree(tmp_path) -> Callable[..., Path]:
    """Lays out `proc/self/cgroup` and files under `sys/fs/cgroup`; returns their root."""

    def lay_out(cgroup: str, files: dict[str, str]) -> Path:
        groups = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
        for name, text in {"proc/self/cgroup": cgroup, **groups}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return tmp_path

    return lay_out


@pytest.mark.parametrize(
    ("cores", "memory", "peak", "dates"),
    [
        (14, 128 * GB, USUAL_PEAK, 14),
        (32, 128 * GB, USUAL_PEAK, 32),
        (32, 128 * GB, 5 * GB, 23),
        (8, 4 * GB, USUAL_PEAK, 2),
        (8, 4 * GB, GB // 2, 4),
        (8, 16 * GB, USUAL_PEAK, 8),
        (2, 1 * GB, USUAL_PEAK, 1),
        (1, 128 * GB, USUAL_PEAK, 1),
    ],
)
def test_dates_fit_cores_and_memory(cores, memory, peak, dates, machine, tmp_path):
    assert dates_at_once(cores, memory, reserve_of(memory), peak) == dates
    machine(cores, memory)
    assert dates_on_this_machine([peak], [], root=tmp_path) == dates


@pytest.mark.parametrize("memory", [2 * GB, 3 * GB, 64 * GB, 128 * GB])
@pytest.mark.parametrize("peak", [GB // 3, GB, 7 * GB])
def test_more_than_one_date_never_exceeds_the_memory(memory, peak):
    dates = dates_at_once(1_000, memory, reserve_of(memory), peak)
    assert dates == 1 or dates * peak + reserve_of(memory) <= memory
    assert (dates + 1) * peak + reserve_of(memory) > memory


def test_reserve_is_two_gigabytes_or_a_tenth():
    assert [reserve_of(gb * GB) for gb in (4, 20, 128)] == [2 * GB, 2 * GB, 12_800_000_000]


def test_peak_is_the_greatest_recorded_else_estimated(tmp_path):
    small, large = tmp_path / "a.dbn.zst", tmp_path / "b.dbn"
    small.write_bytes(bytes(1_000))
    large.write_bytes(bytes(7_000))
    assert estimated_peak([small]) == estimated_peak([large]) == 900_000_700
    assert peak_of_one_date([], [small, large]) == 900_001_400
    assert peak_of_one_date(iter([GB, 3 * GB, 2 * GB]), [small]) == 3 * GB


def test_a_usual_day_is_estimated_at_its_usual_peak(tmp_path):
    day = tmp_path / "day.dbn.zst"
    with day.open("wb") as file:
        file.truncate(100_000_000)
    assert estimated_peak([day]) == USUAL_PEAK


LEAF = "0::/user.slice/session.scope"


@pytest.mark.parametrize(
    ("cgroup", "files", "limit"),
    [
        ("0::/", {"memory.max": "3000000"}, 3_000_000),
        (LEAF, {"user.slice/session.scope/memory.max": "4000000"}, 4_000_000),
        (LEAF, {"user.slice/session.scope/memory.max": "max", "user.slice/memory.max": "5"}, 5),
        (LEAF, {"user.slice/session.scope/memory.max": "9", "user.slice/memory.max": "5"}, 5),
        ("0::/../elsewhere", {"memory.max": "6"}, 6),
        ("4:memory:/a\n1:cpu:/", {"memory/a/memory.limit_in_bytes": "7"}, 7),
        ("4:memory:/docker/f00\n0::/", {"memory/memory.limit_in_bytes": "8"}, 8),
        ("0::/a b", {"a b/memory.max": "9"}, 9),
    ],
)
def test_memory_is_capped_by_its_cgroups(cgroup, files, limit, tree):
    assert usable_memory(tree(cgroup, files)) == limit


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        ("0::/", {"memory.max": "max"}),
        (LEAF, {"other.slice/memory.max": "5"}),
        ("4:memory:/\n0::/", {"memory/memory.limit_in_bytes": "9223372036854771712"}),
        ("4:cpu:/a", {"memory/a/memory.limit_in_bytes": "7"}),
    ],
)
def test_memory_without_a_limit_is_the_machines(cgroup, files, tree):
    assert usable_memory(tree(cgroup, files)) == psutil.virtual_memory().total


def test_memory_limit_above_the_machines_does_not_count(tree, machine):
    machine(4, 8 * GB)
    assert usable_memory(tree("0::/", {"memory.max": str(16 * GB)})) == 8 * GB


V1_QUOTA, V1_PERIOD = "cpu,cpuacct/cpu.cfs_quota_us", "cpu,cpuacct/cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("cgroup", "files", "cores"),
    [
        ("0::/", {"cpu.max": "max 100000"}, 16),
        ("0::/", {"cpu.max": "300000 100000"}, 3),
        ("0::/", {"cpu.max": "150000 100000"}, 2),
        ("0::/", {"cpu.max": "20000 100000"}, 1),
        ("0::/", {"cpu.max": "6400000 100000"}, 16),
        (LEAF, {"user.slice/cpu.max": "500000 100000"}, 5),
        ("2:cpu,cpuacct:/", {V1_QUOTA: "-1", V1_PERIOD: "100000"}, 16),
        ("2:cpu,cpuacct:/", {V1_QUOTA: "400000", V1_PERIOD: "100000"}, 4),
        ("2:cpu,cpuacct:/", {V1_QUOTA: "400000"}, 16),
    ],
)
def test_cores_are_capped_by_cpu_quotas(cgroup, files, cores, tree, machine):
    machine(16, GB)
    assert usable_cores(tree(cgroup, files)) == cores


def test_container_limits_decide_on_a_large_machine(tree, machine):
    machine(32, 128 * GB)
    limits = {"app/memory.max": str(8 * GB), "app/cpu.max": "400000 100000"}
    root = tree("0::/app", limits)
    assert dates_on_this_machine([USUAL_PEAK], [], root) == 4
    assert dates_on_this_machine([2 * GB], [], root) == 3


def test_peak_memory_is_in_bytes():
    hold = "import resources.machine; b'x' * 300_000_000; print(resources.machine.peak_memory())"
    done = subprocess.run([sys.executable, "-c", hold], capture_output=True, text=True, check=True)
    assert 300_000_000 < int(done.stdout) < 600_000_000


def test_without_recorded_peaks_the_raw_file_decides(tmp_path, machine):
    machine(8, 8 * GB)
    day = tmp_path / "day.dbn.zst"
    with day.open("wb") as file:
        file.truncate(200_000_000)
    assert dates_on_this_machine([], [day], tmp_path) == 5


def test_this_machine_is_readable():
    """Wherever the test runs: at least one core and some memory, within what the machine has."""
    assert 1 <= usable_cores() <= os.cpu_count()
    assert 0 < usable_memory() <= psutil.virtual_memory().total


def test_override_counts_instead(monkeypatch, machine, tmp_path):
    machine(2, 4 * GB)
    monkeypatch.setenv(OVERRIDE, "7")
    assert dates_on_this_machine([USUAL_PEAK], [], tmp_path) == 7


@pytest.mark.parametrize("value", ["0", "-2", "1.5", "many", ""])
def test_senseless_override_is_refused(value, monkeypatch):
    monkeypatch.setenv(OVERRIDE, value)
    with pytest.raises(ValueError, match=f"{OVERRIDE} is '{value}'.*whole number"):
        dates_on_this_machine([USUAL_PEAK], [])
