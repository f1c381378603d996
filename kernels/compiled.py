"""Where Numba keeps compiled kernels: a folder of its own for each state of the source.

Numba renews a cached function when its own file changes, not when a module it calls does, and
cannot read a cache whose types were renamed. A folder named by the digest of all kernels' source
makes a stale cache impossible.
"""

import hashlib
import os
from pathlib import Path

import numba


def use_cache_of_this_source() -> None:
    """Point Numba at this source's cache, unless NUMBA_CACHE_DIR says where."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    package = Path(__file__).parent
    source = b"".join(path.read_bytes() for path in sorted(package.rglob("*.py")))
    digest = hashlib.sha256(source).hexdigest()[:12]
    numba.config.CACHE_DIR = str(package / "__pycache__" / f"numba-{digest}")
