"""What the driver tells of its state."""

from __future__ import annotations

from typing import Any

from gaovm import errors
from gaovm.driver import status


def test_boot_times_and_errors_are_told() -> None:
    told: list[dict[str, Any]] = []
    now = status.Status(lambda method, params: told.append(params))
    now.begin()
    now.change("running", "booting")
    assert now.boot() is None
    now.change("running", "agent")
    now.change("running", "degraded", error=errors.ProbeFailed("no", remedy="look"))
    now.change("running", "ready")
    assert told[0]["boot"] is None
    assert told[1]["boot"]["agent_ms"] >= 0
    assert told[2]["error"] == {
        "code": "probe_failed",
        "message": "no",
        "remedy": "look",
        "retriable": False,
    }
    assert told[3]["boot"]["ready_ms"] >= told[3]["boot"]["agent_ms"]
