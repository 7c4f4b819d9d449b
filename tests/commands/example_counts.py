"""How many examples a property is shown: enough in every run, many more under `soak`."""

from hypothesis import HealthCheck, settings

QUICK = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
THOROUGH = settings(QUICK, max_examples=10_000, derandomize=False)
