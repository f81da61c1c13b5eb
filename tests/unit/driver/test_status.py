"""What the driver reports about its state."""

from __future__ import annotations

from gaovm import errors
from gaovm.driver import status
from gaovm.wire.driver import notifications


def test_the_status_has_boot_times_and_errors() -> None:
    told: list[notifications.State] = []

    def note(each: notifications.Notification) -> None:
        assert isinstance(each, notifications.State)
        told.append(each)

    now = status.Status(note)
    now.begin()
    now.change("running", "booting")
    assert now.boot() is None
    now.change("running", "agent")
    now.change("running", "degraded", error=errors.ProbeFailed("no", remedy="look"))
    now.change("running", "ready")
    boots = [each.boot for each in told]
    assert boots[0] is None
    assert boots[1] is not None
    assert boots[1].agent_ms is not None
    assert boots[1].agent_ms >= 0
    assert told[2].error == {
        "code": "probe_failed",
        "message": "no",
        "remedy": "look",
        "retriable": False,
    }
    assert boots[3] is not None
    assert boots[3].ready_ms is not None
    assert boots[3].ready_ms >= boots[1].agent_ms
