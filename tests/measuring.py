"""Let processes that tests start measure which code they run.

``scripts/test`` measures the tests' own processes. Daemons, drivers and commands are processes of
their own: whoever starts one for a test adds ``environment()`` to its environment. Coverage.py then
measures it from its start and writes what it ran to ``PLACE`` when it ends; ``scripts/ratchet.py``
adds that up. A process that is killed writes nothing.

Measuring costs a process 0.1 s, 15 MiB and much of its speed. So nobody measures where tests start
thousands of processes (``tests/crash``), run real VMs, whose drivers are confined and could write
nothing, or count modules, bytes or descriptors (``OFF``, ``LEFT_OUT``).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PLACE = Path(__file__).resolve().parents[1] / ".measured"
SETTINGS = Path(__file__).with_name("children.coveragerc")
#: The tests of what a process does when room or time is scarce.
LEFT_OUT = (
    "daemon/test_descriptors.py",
    "daemon/test_full_disk.py",
    "daemon/test_leaving.py",
    "daemon/test_strangers.py",
    "driver/test_floods.py",
)
_VARIABLE = "COVERAGE_PROCESS_START"
#: Variables with which a process does not measure itself, whatever it inherits.
OFF = {_VARIABLE: ""}


def environment() -> dict[str, str]:
    """Return the variables with which a process measures itself; none if this run does not."""
    coverage = sys.modules.get("coverage")
    if coverage is None or coverage.Coverage.current() is None:
        return {}
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]
    if test.endswith(LEFT_OUT):
        return {}
    PLACE.mkdir(exist_ok=True)
    return {_VARIABLE: str(SETTINGS), "COVERAGE_FILE": str(PLACE / "data")}
