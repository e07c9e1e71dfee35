"""For all tests."""

from __future__ import annotations

import os
import tempfile

from hypothesis import HealthCheck, settings

# How long examples take to be drawn depends on the machine and on what else it does: shared ones
# are slow now and then, and coverage is measured on some tests.
settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")

# What a server keeps for its user stays out of the home of whoever runs the tests.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="antiphon-tests-")
