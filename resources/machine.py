"""How many dates this machine works on at once: as many as its cores and its memory carry.

Everything is read again each time it is asked, since a container's limits may change as it runs.
"""

import math
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

OVERRIDE = "MBP10_DATES_AT_ONCE"
GB = 1_000_000_000

CLOCK_SLACK_SECONDS = 60
"""How far a process's start, counted from the machine's, may be off after clocks are set."""

LEAST_RESERVE, RESERVED_SHARE = 2 * GB, 0.1
"""Memory left to others: the webserver, the daemon and the code servers take about 1 GB, the system
and its file cache as much again; on a large machine a tenth, as there is more of everything else."""

PEAK_BASE = 0.9 * GB
PEAK_PER_FILE_BYTE = {".zst": 0.7, ".dbn": 0.1}
"""Estimated peak memory of a date: the interpreter, its libraries and compiled kernels, a few
batches of ticks, and room for late records: a tenth of the records, which zstd packs sevenfold.
Measured on simulated days, kernels compiled: 0.77 GB at 1.9 M ticks, 0.80 GB at 10 M."""


def dates_at_once(cores: int, memory: int, reserve: int, peak_of_one_date: int) -> int:
    """How many dates fit: one a core, all peaks within the memory less the reserve; at least one.

    Memory, reserve and peak are in bytes.
    """
    return max(1, min(cores, (memory - reserve) // peak_of_one_date))


def dates_on_this_machine(
    recorded_peaks: Iterable[int], raw_files: Iterable[Path], root: Path = Path("/")
) -> int:
    """How many dates to work on at once here and now, or what `MBP10_DATES_AT_ONCE` says instead.

    Args:
        recorded_peaks: Peak memory of dates done before, in bytes.
        raw_files: Files of the largest date to come; its peak is estimated from them if none is
            recorded.
        root: Where `proc` and `sys` are.

    Raises:
        ValueError: if `MBP10_DATES_AT_ONCE` is not a positive whole number.
    """
    override = dates_override()
    if override is not None:
        return override
    memory = usable_memory(root)
    peak = peak_of_one_date(recorded_peaks, raw_files)
    return dates_at_once(usable_cores(root), memory, reserve_of(memory), peak)


def reserve_of(memory: int) -> int:
    """Bytes of a machine's memory that dates leave alone: 2 GB or a tenth, whichever is more."""
    return max(LEAST_RESERVE, round(memory * RESERVED_SHARE))


def peak_of_one_date(recorded: Iterable[int], raw_files: Iterable[Path]) -> int:
    """The greatest peak recorded, else an estimate from the size of a date's files, in bytes."""
    return max(recorded, default=0) or estimated_peak(raw_files)


def estimated_peak(raw_files: Iterable[Path]) -> int:
    """Peak memory in bytes that a date of these `.dbn` or `.dbn.zst` files should need."""
    return round(
        PEAK_BASE + sum(path.stat().st_size * PEAK_PER_FILE_BYTE[path.suffix] for path in raw_files)
    )


def usable_cores(root: Path = Path("/")) -> int:
    """Cores this process may use, by its affinity and the CPU quotas of its cgroups, rounded up."""
    affine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    cores = len(affine) or os.cpu_count() or 1
    return min([cores, *map(math.ceil, _cpu_quotas(root))])


def usable_memory(root: Path = Path("/")) -> int:
    """Bytes of memory this process may use: the machine's, or the least limit of its cgroups."""
    return min([psutil.virtual_memory().total, *_memory_limits(root)])


def peak_memory() -> int:
    """Most memory this process ever held, in bytes.

    On Linux from `/proc`, as the peak that `getrusage` gives includes the process it came from.
    """
    for line in _text(Path("/proc/self/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def is_alive(pid: int, seen: float) -> bool:
    """Whether process `pid`, seen earlier, is still alive and its number not reused.

    Args:
        seen: seconds since the epoch.
    """
    try:
        process = psutil.Process(pid)
        is_same = process.create_time() <= seen + CLOCK_SLACK_SECONDS
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def dates_override() -> int | None:
    """What `MBP10_DATES_AT_ONCE` says, None if it says nothing.

    Raises:
        ValueError: if it is not a positive whole number.
    """
    text = os.environ.get(OVERRIDE)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(
            f"{OVERRIDE} is {text!r}; set it to a whole number from 1, or unset it to let the"
            " machine's cores and memory decide"
        )
    return int(text)


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Quotas in cores: `cpu.max` of cgroup v2, `cpu.cfs_*` of v1; unlimited ones left out."""
    for group in _cgroups("cpu", root):
        v1 = _text(group / "cpu.cfs_quota_us") + _text(group / "cpu.cfs_period_us")
        words = (_text(group / "cpu.max") or v1).split()
        if len(words) == 2 and words[0].isdecimal():
            quota, period = map(int, words)
            yield quota / period


def _memory_limits(root: Path) -> Iterator[int]:
    """Limits in bytes: `memory.max` of cgroup v2, `memory.limit_in_bytes` of v1."""
    for group in _cgroups("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _text(group / name).strip()
            if limit.isdecimal():
                yield int(limit)


def _cgroups(controller: str, root: Path) -> Iterator[Path]:
    """Folders of the process's cgroups for a controller, each followed by its parents.

    A line of `proc/self/cgroup` is `id:controllers:path`, without controllers for v2. In a
    container the path may be the host's; then only the topmost folder exists, and is its own.
    """
    mounts = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            group = Path(path.lstrip("/"))
            yield from (mounts / controllers / each for each in (group, *group.parents))


def _text(file: Path) -> str:
    """What a file says; nothing if it is not there or not ours to read."""
    try:
        return file.read_text()
    except OSError:
        return ""
