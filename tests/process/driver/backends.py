"""The back ends on whose fakes the driver's tests run."""

from __future__ import annotations

import pytest
from tests.process.driver import harness

#: Marks a module whose tests hold for every back end.
EVERY_BACKEND = pytest.mark.parametrize("backend", list(harness.ZYGOTES))
