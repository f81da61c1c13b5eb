"""Notifications from drivers that started before an upgrade."""

from __future__ import annotations

from typing import Any

import pytest

from gaovm.daemon.drivers import old_drivers


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ({"kind": "network-lost", "detail": "x"}, {"kind": "network_lost", "detail": "x"}),
        ({"kind": "network-back"}, {"kind": "network_back"}),
        ({"kind": "paused", "detail": "io-error"}, {"kind": "paused", "detail": "io_error"}),
        (
            {"observed": "running", "reason": "agent-lost"},
            {"observed": "running", "reason": "agent_lost"},
        ),
        ({"kind": "network_lost"}, {"kind": "network_lost"}),
        ({"kind": ["network-lost"], "detail": None}, {"kind": ["network-lost"], "detail": None}),
        ({"phase": "network-lost"}, {"phase": "network-lost"}),
    ],
)
def test_old_notifications_are_understood(said: dict[str, Any], understood: dict[str, Any]) -> None:
    assert old_drivers.translate(said) == understood
