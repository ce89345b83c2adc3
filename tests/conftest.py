"""
How hard Hypothesis searches, chosen with HYPOTHESIS_PROFILE.

- `explore`, the default: other examples each run, and failures are remembered in .hypothesis/.
- `ci`: the same examples each run, so that a commit's verdict does not change (.ci/run).
- `thorough`: a hundred times the examples, for a night.

No profile has a deadline: machines are shared, and how long a step takes is for benchmarks to say.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "explore",
    deadline=None,
    derandomize=False,
    print_blob=True,
    # A slow machine makes generating slow; that is no fault of the test.
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("explore"), derandomize=True, database=None)
settings.register_profile("thorough", settings.get_profile("explore"), max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "explore"))

ROOT = Path(__file__).resolve().parent.parent

pytest_plugins = [
    "tests.services.plugin",  # the fixtures `kafka` and `redis_server`
    "tests.records",  # every record is as its schema says
]


def pytest_configure() -> None:
    """Refuse to test a compiled module whose source has changed since: Python would load the old one."""
    stale = [
        path.name
        for folder in ("operators", "connectors", "pipeline")
        for path in (ROOT / folder).rglob("*.so")
        if path.stat().st_mtime < path.with_name(f"{path.name.split('.')[0]}.py").stat().st_mtime
    ]
    if stale:
        pytest.exit(f"{', '.join(sorted(stale))}: older than the source; run `make setup`", returncode=2)
