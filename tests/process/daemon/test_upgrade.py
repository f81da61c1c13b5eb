"""``daemon.upgrade``: new code in the same process, and nobody but the daemon notices."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.process.daemon.conftest import Client, alive, until
from tests.process.daemon.world import World
from tests.process.driver import harness

from gaovm.ipc import methods
from gaovm.version import VERSION


def upgrade(client: Client, **params: Any) -> Any:
    return client.call("daemon.upgrade", params)


class Subscriber:
    """Everything that one connection receives, in order."""

    def __init__(self, client: Client, method: str = "events.subscribe") -> None:
        self.client = client
        self.seen: list[dict[str, Any]] = []
        client.call(method)

    def until(self, kind: str, vm: str | None = None) -> dict[str, Any]:
        """Return the next event of that type."""
        while True:
            message = self.client.receive()
            if message.get("method") == "event":
                event: dict[str, Any] = message["params"]
                self.seen.append(event)
                if event["type"] == kind and event.get("vm") == vm:
                    return event

    def check(self) -> None:
        """Check that every number came, and came once."""
        numbers = [event["seq"] for event in self.seen]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_vms_connections_and_subscriptions_survive(world: World) -> None:
    daemon = world.daemons.start()
    client, idle = world.daemons.client(), world.daemons.client()
    subscriber = Subscriber(world.daemons.client())
    old = Subscriber(world.daemons.client(methods.LEGACY), "subscribe_events")
    world.up(client, "a", "b", "default")
    before = client.call("vm.list")["vms"]
    zygote = client.call("daemon.status")["zygote_pid"]
    world.code.install_version("9.9.9")
    result = upgrade(client)
    assert result == {
        "old_version": VERSION,
        "new_version": "9.9.9",
        "pid": daemon.pid,
        "python": sys.executable,
        "vms": 3,
        "clients": 4,
    }
    assert client.call("vm.list")["vms"] == before
    assert idle.call("daemon.status")["version"] == "9.9.9"
    assert subscriber.until("daemon.upgraded")["payload"] == result
    until(lambda: idle.call("daemon.status")["zygote_pid"] not in (None, zygote))
    assert alive(zygote)  # it reports how its drivers end

    idle.call("vm.stop", {"name": "a"})
    ended = subscriber.until("driver.exited", "a")["payload"]
    assert (ended["exit_code"], ended["expected"]) == (0, True)
    idle.call("vm.stop", {"name": "default"})
    old.until("driver.stopped")
    world.up(client, "c")
    assert world.drivers(client)["c"] in harness.descendants(
        client.call("daemon.status")["zygote_pid"]
    )
    idle.call("vm.stop", {"name": "b"})
    until(lambda: not alive(zygote))
    subscriber.until("driver.exited", "b")
    subscriber.check()
    assert client.call("daemon.status")["drift_mended"] == 0


def test_a_driver_that_is_killed_after_it_is_seen_with_its_status(world: World) -> None:
    world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    subscriber = Subscriber(world.daemons.client())
    upgrade(client)
    os.kill(world.drivers(client)["a"], signal.SIGKILL)
    assert subscriber.until("driver.exited", "a")["payload"]["exit_code"] == -signal.SIGKILL
    subscriber.until("driver.started", "a")
    subscriber.check()


def test_twice(world: World) -> None:
    daemon = world.daemons.start()
    client = world.daemons.client()
    subscriber = Subscriber(world.daemons.client())
    world.up(client, "a")
    oldest = client.call("daemon.status")["zygote_pid"]
    assert upgrade(client)["pid"] == daemon.pid
    world.up(client, "b")
    drivers = world.drivers(client)
    assert upgrade(client)["vms"] == 2
    assert world.drivers(client) == drivers
    assert alive(oldest)
    for name in ("a", "b"):
        client.call("vm.stop", {"name": name})
        assert subscriber.until("driver.exited", name)["payload"]["exit_code"] == 0
    until(lambda: not alive(oldest))
    subscriber.check()


async def test_a_session_that_is_open_goes_on(world: World) -> None:
    world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    opened = client.call("vm.session", {"name": "a", "kind": "exec"})
    session = await harness.Session.present(opened["socket"], opened["ticket"], "exec")
    await session.send(1, b'{"argv":["cat"]}')
    await asyncio.to_thread(upgrade, client)
    await session.send(2, b"across")
    await session.send(3)
    kind, output = 0, b""
    while kind != 0x14:
        kind, payload = await session.frame()
        output += payload if kind == 0x12 else b""
    assert output == b"across"
    session.close()


def test_what_an_old_driver_cannot_do_is_refused_by_name(world: World) -> None:
    without = '("hello", *(name for name in METHODS if name != "ports.add"))'
    world.code.install(wire__driver__table=('("hello", *METHODS)', without))
    world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    world.code.install()
    assert upgrade(client)["vms"] == 1
    port = {"name": "a", "guest_port": 80, "host_port": 0}
    refused = client.call("vm.ports.add", port)
    assert refused["data"]["code"] == "capability_missing"
    assert "does not serve ports.add" in refused["message"]
    assert client.call("vm.ports.list", {"name": "a"})["ports"] == []
    client.call("vm.stop", {"name": "a"})
    client.call("vm.start", {"name": "a"})
    assert client.call("vm.ports.add", port)["guest_port"] == 80


def test_kill_9_of_an_upgraded_daemon_leaves_nothing(world: World) -> None:
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    upgrade(client)
    until(lambda: client.call("daemon.status")["zygote_pid"])
    left = harness.descendants(daemon.pid)
    assert len(left) >= 4  # both zygotes, the driver, its hypervisor
    daemon.kill()
    daemon.wait(20)
    until(lambda: not any(map(alive, left)), 20)


#: How the new code does not fit, and what the error says.
UNFIT = {
    "a driver lacks what it needs": (
        {"wire__driver__table": ('] = ("hello", *(', '] = ("hello", "vm.fly", *(')},
        "the driver of VM a does not serve vm.fly",
    ),
    "another protocol of drivers": (
        {"ipc__methods": ('"gaovm.driver.v1"', '"gaovm.driver.v2"')},
        "the driver of VM a speaks gaovm.driver.v1",
    ),
    "a client's protocol is gone": (
        {"ipc__methods": ('"gaovm.control.v1"', '"gaovm.control.v2"')},
        "a client speaks gaovm.control.v1",
    ),
    "another format": ({"daemon__handover": ("FORMAT = 1", "FORMAT = 7")}, "in format 1, not 7"),
    "it cannot be imported": (
        {"daemon__upgrading__takeover": ("import asyncio", "import nothing_of_that_name")},
        "nothing_of_that_name",
    ),
    "it hangs up": (
        {"daemon__upgrading__preflight": ("def run() -> int:", "def run() -> int:\n    1 / 0")},
        "ZeroDivisionError",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_code_that_does_not_fit_is_refused_and_nothing_changes(world: World, name: str) -> None:
    edits, message = UNFIT[name]
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    before = client.call("vm.list"), client.call("daemon.status")["zygote_pid"]
    subscriber = Subscriber(world.daemons.client())
    world.code.install(**edits)
    refused = upgrade(client)
    assert message in refused["message"], refused
    assert (client.call("vm.list"), client.call("daemon.status")["zygote_pid"]) == before
    assert daemon.poll() is None
    client.call("vm.stop", {"name": "a"})
    subscriber.until("driver.exited", "a")
    subscriber.check()
    assert "daemon.upgraded" not in {event["type"] for event in subscriber.seen}


def test_a_database_that_is_too_new_for_the_code_is_refused(world: World) -> None:
    world.daemons.start()
    client = world.daemons.client()
    with sqlite3.connect(world.daemons.home / "state.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "has revision 99" in upgrade(client)["message"]
    assert client.call("ping")["ok"] is True


def test_what_is_under_way_is_named_when_it_takes_too_long(world: World) -> None:
    world.behave(agent="silent")
    daemon = world.daemons.start()
    client, other = world.daemons.client(), world.daemons.client()
    booting = client.request("vm.up", world.up_params("a"))
    until(lambda: other.call("vm.list")["vms"] and other.call("vm.list")["vms"][0]["driver_pid"])
    refused = upgrade(other, timeout_s=0.2)
    assert "up of VM a" in refused["message"]
    assert refused["data"]["retriable"] is True
    assert daemon.poll() is None
    assert other.call("image.prune")["removed"] == []  # the daemon holds no call any more
    client.send({"jsonrpc": "2.0", "id": 99, "method": "call.cancel", "params": {"id": booting}})
    assert client.reply(booting)["error"]["data"]["code"] == "cancelled"


def test_a_call_that_was_held_begins_in_the_new_code(world: World) -> None:
    world.behave(agent="silent")
    world.daemons.start()
    client, asking, held = (world.daemons.client() for _ in range(3))
    booting = client.request("vm.up", world.up_params("a"))
    until(lambda: held.call("vm.list")["vms"] and held.call("vm.list")["vms"][0]["driver_pid"])
    world.code.install(
        daemon__dispatch__methods__images=(
            "return await ctx.images.prune",
            'return {"new": True}\n    ctx',
        )
    )
    upgrading = asking.request("daemon.upgrade")
    while asking.receive()["params"].get("phase") != "wait":
        pass
    pruning = held.request("image.prune")
    assert held.call("ping")["ok"] is True  # the daemon answers calls that only read
    client.send({"jsonrpc": "2.0", "id": 99, "method": "call.cancel", "params": {"id": booting}})
    assert asking.reply(upgrading)["result"]["vms"] == 0
    assert held.reply(pruning)["result"] == {"new": True}


def test_a_caller_that_withdraws_leaves_everything_as_it_was(world: World) -> None:
    world.behave(agent="silent")
    world.daemons.start()
    client, asking = world.daemons.client(), world.daemons.client()
    client.request("vm.up", world.up_params("a"))
    until(lambda: asking.call("vm.list")["vms"])
    upgrading = asking.request("daemon.upgrade")
    while asking.receive()["params"].get("phase") != "wait":
        pass
    assert asking.call("call.cancel", {"id": upgrading}) == {"cancelled": True}
    assert asking.reply(upgrading)["error"]["data"]["code"] == "cancelled"
    assert asking.call("image.prune")["removed"] == []


def test_new_code_that_fails_after_all_ends_and_the_next_daemon_starts_the_vms(
    world: World,
) -> None:
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    driver = world.drivers(client)["a"]
    world.code.install(daemon__upgrading__takeover=("        self.machines()\n", "        1 / 0\n"))
    client.request("daemon.upgrade")
    with pytest.raises((EOFError, ConnectionResetError)):
        client.reply(-1)
    assert daemon.wait(20) == 1
    assert b"ZeroDivisionError" in (world.daemons.home / "logs" / "gaovmd.log").read_bytes()
    until(lambda: not alive(driver), 15)
    world.code.install()
    world.daemons.start()
    after = world.daemons.client()
    until(lambda: after.call("vm.list")["vms"][0]["state"] == "running", 20)


def test_sigterm_right_after_it_is_obeyed(world: World) -> None:
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    driver = world.drivers(client)["a"]
    client.request("daemon.upgrade")
    while (client.receive().get("params") or {}).get("phase") != "hand over":
        pass
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(30) == 0
    assert not alive(driver)


def test_an_exec_that_fails_leaves_a_daemon_that_goes_on(world: World) -> None:
    python = world.base / "python"
    python.symlink_to(Path(os.readlink("/proc/self/exe")))
    packages = Path(pytest.__file__).parents[1]
    world.daemons.env["PYTHONPATH"] = f"{world.code.path}:{packages}"
    daemon = world.daemons.start(str(python))
    client = world.daemons.client()
    world.up(client, "a")
    subscriber = Subscriber(world.daemons.client())
    # the new code can be asked, and then it is gone
    world.code.install(
        daemon__upgrading__preflight=(
            "def run() -> int:",
            f"def run() -> int:\n    Path('{python}').unlink()",
        )
    )
    refused = upgrade(client)
    assert f"{python} cannot be executed" in refused["message"], refused
    assert daemon.poll() is None
    assert world.daemons.client().call("ping")["ok"] is True
    client.call("vm.stop", {"name": "a"})
    assert subscriber.until("driver.exited", "a")["payload"]["exit_code"] == 0
    subscriber.check()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(20) == 0


def test_clients_that_connect_meanwhile_are_served(world: World) -> None:
    world.daemons.start()
    client = world.daemons.client()
    answered = False
    upgrading = client.request("daemon.upgrade")
    while not answered:
        other = world.daemons.client()
        assert other.call("ping")["ok"] is True
        other.close()
        answered = b"new_version" in client.peek()
    assert client.reply(upgrading)["result"]["clients"] >= 1
