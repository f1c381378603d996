"""What exists, and when: the Dagster definitions of the pipeline."""

import gc
import os

# Loading all this makes 400,000 objects that stay; the usual thresholds would have them walked over
# time and again, for a third of the time it takes.
gc.set_threshold(50_000, 20, 100)

# Polars is to keep the memory of a batch for the next one, and its threads to share it: a page given
# back and taken anew is cleared each time. It reads this as it is imported.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:-1,narenas:2")

# NumPy's BLAS has no work here for threads, which spin for a tenth of a second as they begin.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Pictures are drawn into files. Jupyter names a backend to all that it starts, which only its own
# environment may have.
os.environ["MPLBACKEND"] = "agg"
