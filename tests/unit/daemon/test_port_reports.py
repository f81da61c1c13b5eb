"""Reports of a driver about ports that follow the guest: status, events, and one notice."""

from __future__ import annotations

from typing import Any

from tests.unit.daemon.conftest import Daemon

from gaovm.daemon.vms import port_reports
from gaovm.wire.driver.results import Port


def port(state: str = "listening", **more: Any) -> dict[str, Any]:
    found = {"guest_port": 3000, "host_port": 3000, "state": state, "follows": True, **more}
    if state == "taken":
        found["problem"] = "host port 127.0.0.1:3000 is taken by nginx (pid 7)"
    return found


async def shown(daemon: Daemon) -> list[tuple[int, str]]:
    status = await daemon.status()
    return [(each["guest_port"], each["state"]) for each in status["ports"] if each["follows"]]


async def test_status_shows_what_the_driver_reports(daemon: Daemon) -> None:
    await daemon.up()
    daemon.driver._tell("ports", {"ports": [port()], "problem": "too many"})
    assert (3000, "listening") in await shown(daemon)
    assert (await daemon.status())["ports_problem"] == "too many"
    daemon.driver._tell("ports", {"ports": []})
    assert await shown(daemon) == []
    assert (await daemon.status())["ports_problem"] is None


async def test_a_taken_port_is_told_once_to_the_next_command(daemon: Daemon) -> None:
    await daemon.up()
    for _ in range(2):
        daemon.driver._tell("ports", {"ports": [port("taken")]})
    told = await daemon.call("vm.session", name="web-dev", kind="exec")
    assert [line for line in told["notices"] if "taken by nginx" in line] == told["notices"]
    assert len(told["notices"]) == 1
    assert "notices" not in await daemon.call("vm.session", name="web-dev", kind="exec")


async def test_a_word_of_a_newer_driver_is_no_harm(daemon: Daemon) -> None:
    await daemon.up()
    daemon.driver._tell("ports", {"ports": [port("resting")]})
    assert await shown(daemon) == [(3000, "forwarded")]


def test_events_say_what_changed() -> None:
    first, other = Port(**port()), Port(**port(guest_port=4000, host_port=4000))
    taken, waits = Port(**port("taken")), Port(**port("no_listener"))

    def told(before: list[Port], now: list[Port]) -> list[tuple[str, int]]:
        found = port_reports.changes(tuple(before), tuple(now))
        return [(each.TYPE, getattr(each, "guest_port")) for each in found]  # noqa: B009

    assert told([], [first]) == [("port.opened", 3000)]
    assert told([first], [first, other]) == [("port.opened", 4000)]
    assert told([first, other], [waits]) == [("port.closed", 3000), ("port.closed", 4000)]
    assert told([waits], [taken]) == [("port.failed", 3000)]
    assert told([taken], [taken]) == []
    assert told([taken], [first]) == [("port.opened", 3000)]
