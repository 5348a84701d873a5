"""How long the bench looks: the same few hundred cases at every run, or ever new ones by the thousand.

python -m pytest tests/bench --hypothesis-profile=long
"""

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.append(str(Path(__file__).parent))
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("short", max_examples=120, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("long", max_examples=2000, deadline=None, suppress_health_check=SLOW, print_blob=True)


def pytest_configure(config):
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("short")
