"""The last wish for a VM holds, whichever process dies or stops meanwhile."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import Any

import pytest
from tests.process.daemon.conftest import Client, alive, until
from tests.process.daemon.world import World
from tests.process.driver import harness


def vm(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.call("vm.status", {"name": "a"})
    return found


def running(client: Client) -> bool:
    return bool(vm(client)["readiness"] == "ready")


def order(world: World, hypervisor: int, **what: Any) -> None:
    """Tell a fake hypervisor what happens to it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(json.dumps(what).encode(), str(world.base / str(hypervisor)))


@pytest.mark.parametrize("method", ["vm.stop", "vm.destroy"])
def test_a_stop_that_comes_while_an_old_driver_leaves(world: World, method: str) -> None:
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    driver = world.drivers(client)["a"]
    os.kill(driver, signal.SIGSTOP)  # so that the stop comes before the driver has left
    daemon.kill()
    daemon.wait(20)
    second = world.daemons.start()
    client, other = world.daemons.client(), world.daemons.client()
    # afterwards its zygote has come to the end of its warm-up, which has processes of its own
    world.up(other, "b")
    other.call("vm.destroy", {"name": "b"})
    until(lambda: vm(other)["observed"] == "stopping")
    asked = client.request(method, {"name": "a"})
    other.call("ping")  # the daemon has received the stop
    os.kill(driver, signal.SIGCONT)
    assert "result" in client.reply(asked)
    other.call("events.subscribe")
    until(lambda: not alive(driver))
    # if a recovery had begun, there would be a driver by now
    zygote = other.call("daemon.status")["zygote_pid"]
    assert set(filter(alive, harness.descendants(second.pid))) == {zygote}
    left = other.call("vm.list")["vms"]
    assert [each["desired"] for each in left] == (["stopped"] if method == "vm.stop" else [])


def test_a_driver_that_left_while_the_daemon_stood_still_is_no_power_off(world: World) -> None:
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    driver = world.drivers(client)["a"]
    daemon.send_signal(signal.SIGSTOP)
    os.kill(driver, signal.SIGTERM)  # it leaves for its own reason, as after 15 s of silence
    until(lambda: not alive(driver))
    daemon.send_signal(signal.SIGCONT)
    until(lambda: running(client) and world.drivers(client).get("a") not in (None, driver))
    assert vm(client)["desired"] == "running"


def test_a_power_off_while_the_daemon_stood_still_is_one(world: World) -> None:
    world.behave(control=str(world.base))
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    before = vm(client)
    daemon.send_signal(signal.SIGSTOP)
    guest = {"guest": True, "reason": "guest-shutdown"}
    order(world, before["hypervisor_pid"], event="SHUTDOWN", data=guest, exit=0)
    until(lambda: not alive(before["driver_pid"]))
    daemon.send_signal(signal.SIGCONT)
    # the daemon may hear this client before it hears how the driver ended
    until(lambda: vm(client)["state"] == "stopped")
    assert vm(client)["desired"] == "stopped"


def test_a_hypervisor_that_the_host_ends_is_no_power_off(world: World) -> None:
    world.behave(control=str(world.base))
    world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    first = vm(client)["hypervisor_pid"]
    # what QEMU reports and does when it gets SIGTERM
    host = {"guest": False, "reason": "host-signal"}
    order(world, first, event="SHUTDOWN", data=host, exit=0)
    until(lambda: running(client) and vm(client)["hypervisor_pid"] != first)


def test_a_driver_that_does_not_leave_is_told_and_ended_by_force(world: World) -> None:
    world.code.install(daemon__drivers__occupancy=("OLD_DRIVER_S = 20.0", "OLD_DRIVER_S = 0.5"))
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    driver = world.drivers(client)["a"]
    os.kill(driver, signal.SIGSTOP)
    try:
        daemon.kill()
        daemon.wait(20)
        world.daemons.start()
        client = world.daemons.client()
        refused = client.call("vm.stop", {"name": "a"})
        assert refused["data"]["code"] == "lock_held", refused
        assert str(driver) in refused["message"]
        assert vm(client)["desired"] == "stopped"
        forced = client.call("vm.stop", {"name": "a", "force": True})
        assert forced["state"] == "stopped", forced
        until(lambda: not alive(driver))
    finally:
        if alive(driver):
            os.kill(driver, signal.SIGKILL)
    world.up(client, "a")


def test_no_socket_of_a_stopped_vm_stays(world: World) -> None:
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    running_ones = {path.name for path in world.sockets()}
    assert "driver.sock" in running_ones
    killed = vm(client)
    daemon.kill()
    os.kill(killed["driver_pid"], signal.SIGKILL)
    daemon.wait(20)
    assert "driver.sock" in {path.name for path in world.sockets()}
    with socket.socket(socket.AF_UNIX) as foreign:
        left = world.sockets()[0].with_name("of a helper.sock")
        foreign.bind(str(left))
    world.daemons.start()
    client = world.daemons.client()
    until(lambda: running(client))
    assert {path.name for path in world.sockets()} == running_ones
    client.call("vm.stop", {"name": "a"})
    assert world.sockets() == []
    world.up(client, "a")
    killed = vm(client)
    client.call("vm.config.set", {"name": "a", "changes": {"restart.policy": "never"}})
    os.kill(killed["driver_pid"], signal.SIGKILL)
    until(lambda: vm(client)["state"] == "failed")
    assert world.sockets() == []
