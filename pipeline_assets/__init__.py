"""What exists, and when: the Dagster definitions of the pipeline."""

import gc

# Loading all this makes 400,000 objects that stay; the usual thresholds would have them walked over
# time and again, for a third of the time it takes.
gc.set_threshold(50_000, 20, 100)
