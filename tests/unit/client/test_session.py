"""Sessions of a VM that ended between the daemon's ticket and its use."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaovm import errors
from gaovm.client import session


def test_a_driver_that_has_just_left_is_told_in_words_of_a_user(tmp_path: Path) -> None:
    ticket = {"socket": str(tmp_path / "driver.sock"), "ticket": "ab" * 32}
    with pytest.raises(errors.ConnectionLost) as caught:
        session.open_stream(ticket, "exec")
    assert caught.value.message == "the VM went away just now"
    assert "show_vm" in [action.code for action in caught.value.actions]
