"""What exists, and when: the Dagster definitions of the pipeline."""
