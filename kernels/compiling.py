"""How loops are compiled, and where Numba keeps them: in a folder for each state of the source.

Numba recompiles a cached function when its own file changes, not when a module it calls does, and
cannot read a cache whose types were renamed. A folder named by the digest of all source in kernels/ and
resources/ makes a stale cache impossible.
"""

import hashlib
import os
from pathlib import Path

import numba
from numba import njit

_NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_LEAN = {"nogil": True, "error_model": "numpy", "_nrt": False}

kernel = njit(cache=True, nogil=True, error_model="numpy")
"""Decorator of the loops that Python calls: cached, GIL released, x / 0 is inf or NaN."""

inner = njit(nogil=True, error_model="numpy", **_NO_WRAPPERS)
"""Decorator of functions that only kernels call: compiled into each, not callable from Python."""

lean_kernel = njit(cache=True, **_LEAN)
"""A `kernel` without Numba's memory management: code that allocates does not compile.

Numba counts references to every array and view in use. To a loop that takes some hundred views of
fifty columns every 512 ticks that is a fifth of its time.
"""

lean_inner = njit(**_LEAN, **_NO_WRAPPERS)
"""An `inner` loop that `lean_kernel` calls."""

lean_sum = njit(**_LEAN, **_NO_WRAPPERS, fastmath={"reassoc"})
"""A `lean_inner` whose sums are added up in the order that suits the processor: equal on one kind of
processor; on two kinds the last digit or so may differ."""


def use_cache_of_this_source() -> None:
    """Point Numba at this source's cache.

    Raises:
        ValueError: if there is no folder for it.
    """
    here = Path(__file__).parent
    packages = (here, here.with_name("resources"))
    files = [path for package in packages for path in sorted(package.rglob("*.py"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    try:
        cache = _caches(here) / f"numba-{digest}"
        cache.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"no folder for compiled kernels: {error}; set NUMBA_CACHE_DIR to a writable folder"
        ) from error
    numba.config.CACHE_DIR = str(cache)


def _caches(here: Path) -> Path:
    """NUMBA_CACHE_DIR, else beside the source, or in the user's own cache if that is read-only.

    Raises:
        RuntimeError: if the user has no home.
    """
    if folder := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(folder)
    if os.access(here, os.W_OK):
        return here / "__pycache__"
    return Path.home() / ".cache" / "mbp10-pipeline"
