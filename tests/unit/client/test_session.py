"""Sessions of a VM that ended after the daemon issued the ticket and before its use."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaovm import errors
from gaovm.client import session


def test_a_driver_that_just_ended_gives_a_message_for_users(tmp_path: Path) -> None:
    ticket = {"socket": str(tmp_path / "driver.sock"), "ticket": "ab" * 32}
    with pytest.raises(errors.ConnectionLost) as caught:
        session.open_stream(ticket, "exec")
    assert caught.value.message == "the VM went away just now"
    assert "show_vm" in [action.code for action in caught.value.actions]
