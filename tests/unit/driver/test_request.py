"""Parameters of the daemon's calls, and what is told of the state."""

from __future__ import annotations

from typing import Any

import pytest

from gaovm import errors
from gaovm.driver import request, status


@pytest.mark.parametrize(
    ("params", "into", "path"),
    [
        ({"guest_port": 0}, request.AddPort, r"\$\.guest_port"),
        ({"guest_port": 80, "host_port": 70000}, request.AddPort, r"\$\.host_port"),
        ({"grace_s": -1}, request.Stop, r"\$\.grace_s"),
        ({"ttl_s": 1e9}, request.OpenSession, r"\$\.ttl_s"),
    ],
)
def test_bad_parameters_are_named(params: Any, into: type[Any], path: str) -> None:
    with pytest.raises(errors.InvalidParams, match=path):
        request.decode(params, into)


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
