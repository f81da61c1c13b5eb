"""Mounting additional disks: what the agent is asked, and what a user hears of a failure."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from gaovm import errors
from gaovm.guestmanager import disks
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent.disks import Disk

DATA = Disk(serial="gaovm-1", path="/mnt/lima-data", fs_type="xfs", format=True)
OTHER = Disk(serial="gaovm-2", path="/mnt/lima-other", fs_type="ext4")


class Agent:
    """Answers the one call, and keeps its body."""

    def __init__(self, *results: dict[str, Any]) -> None:
        self._results = results
        self.asked: Any = None

    async def call(self, verb: str, path: str, body: bytes, *, limit_s: float) -> tuple[int, bytes]:
        assert (verb, path) == ("POST", "/v1/disks/mount")
        self.asked = msgspec.json.decode(body)
        return 200, msgspec.json.encode({"disks": self._results})

    def connection(self) -> Connection:
        return cast("Connection", self)


async def test_every_disk_is_asked_for() -> None:
    agent = Agent(
        {"path": DATA.path, "ok": True, "fs_type": "xfs", "formatted": True, "total_bytes": 5},
        {"path": OTHER.path, "ok": True},
    )
    first, second = await disks.mount(agent.connection(), (DATA, OTHER))
    assert (first.fs_type, first.formatted, second.fs_type) == ("xfs", True, "")
    assert agent.asked["disks"][0] == {
        "serial": "gaovm-1",
        "path": "/mnt/lima-data",
        "fs_type": "xfs",
        "format": True,
    }


@pytest.mark.parametrize(
    ("result", "message", "remedy"),
    [
        (
            {"ok": False, "code": "unsupported", "error": "the guest has no mkfs.xfs"},
            "cannot mount the disk at /mnt/lima-data: the guest has no mkfs.xfs",
            "install what xfs needs in the guest",
        ),
        (
            {"ok": False, "code": "conflict", "error": "the disk is not empty"},
            "the disk is not empty",
            "set the fsType that is on it",
        ),
        ({"ok": False, "error": "x" * 9000}, "x" * 500, "see the agent's log"),
        ({"path": "/elsewhere", "ok": True}, "no result from the agent", "see the agent's log"),
    ],
)
async def test_a_failure_says_what_to_do(result: dict[str, Any], message: str, remedy: str) -> None:
    agent = Agent({"path": DATA.path, **result})
    with pytest.raises(errors.GuestCallFailed, match=message) as failed:
        await disks.mount(agent.connection(), (DATA,))
    assert remedy in (failed.value.remedy or "")
    assert failed.value.field == "additionalDisks"
    assert len(failed.value.message) < 600
