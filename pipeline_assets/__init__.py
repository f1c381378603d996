"""What exists, and when: the Dagster definitions of the pipeline."""

import gc
import os

# Loading all this makes 400,000 objects that stay; with the usual thresholds, walking over them again
# and again would take a third of the loading time.
gc.set_threshold(50_000, 20, 100)

# Polars is to keep a batch's memory for the next batch, in one place for all its threads: a page given
# back and taken again is cleared each time. Polars reads this as it is imported.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:-1,narenas:1")

# So is glibc, which NumPy's arrays come from. It reads this as a process starts, so it holds for those
# started from here, such as the server that runs and dates are forked from.
os.environ.setdefault("MALLOC_ARENA_MAX", "1")
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(32 << 20))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(64 << 20))

# NumPy's BLAS has no work for threads here, and they spin for a tenth of a second as they start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Pictures are drawn into files. Jupyter sets a backend for every process it starts, which may exist in
# its own environment only.
os.environ["MPLBACKEND"] = "agg"
