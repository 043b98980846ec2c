"""How hard the properties are tried.

By default the same examples every time, so few that the default run stays quick. With
`EVENTMILL_EXAMPLES=20` there are twenty times as many, and others in every run.
"""

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

FACTOR: Final = int(os.environ.get("EVENTMILL_EXAMPLES", "1"))

# For `pytestmark`: a long run may take its time.
patience: Final = pytest.mark.timeout(60 * FACTOR)


def examples(count: int) -> settings:
    """Try a property on so many examples, times the factor of a long run."""
    return settings(
        max_examples=count * FACTOR,
        derandomize=FACTOR == 1,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
