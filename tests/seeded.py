"""Settings of Hypothesis by which every run draws the same examples."""

from hypothesis import HealthCheck, settings

SEEDED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
