"""Port forwards that share a port number stay distinct."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.daemon.conftest import Daemon

from gaovm import errors
from gaovm.daemon.vms import ports, status
from gaovm.spec.ports import PortForward
from gaovm.wire.driver import results


def entry(host_port: int, host_ip: str = "127.0.0.1") -> results.Port:
    return results.Port(guest_port=80, host_ip=host_ip, host_port=host_port, state="listening")


async def test_forwards_without_a_host_port_come_after_fixed_ones(daemon: Daemon) -> None:
    await daemon.up()
    record = daemon.fleet.machines["web-dev"].record
    free, named = PortForward(guest_port=80, host_port=0), PortForward(guest_port=80, host_port=81)
    network = msgspec.structs.replace(record.spec.network, ports=(free, named))
    facts = msgspec.structs.replace(record.facts, ports=(entry(81), entry(4000)))
    spec = msgspec.structs.replace(record.spec, network=network)
    record = msgspec.structs.replace(record, spec=spec, facts=facts, added_ports=(free,))
    found = ports.bound(record)
    assert [known and known.host_port for _, known in found] == [4000, 81, None]
    assert [port for port, _ in found] == [free, named, free]
    shown = status.port_statuses(record, running=True)
    assert [port.source for port in shown] == ["config", "config", "added"]
    stopped = status.port_statuses(record, running=False)
    assert [port.host_port for port in stopped] == [4000, 81, 0], "the forward keeps its host port"
    assert {port.state for port in stopped} == {"stopped"}


async def test_remove_finds_the_forward_with_the_given_address(daemon: Daemon) -> None:
    await daemon.up()
    for address in ("127.0.0.1", "127.0.0.5"):
        await daemon.call(
            "vm.ports.add", name="web-dev", guest_port=80, host_port=8080, host_ip=address
        )
    with pytest.raises(errors.PortTaken) as taken:
        await daemon.call("vm.ports.add", name="web-dev", guest_port=90, host_port=8080)
    with pytest.raises(errors.NotFound) as missing:
        await daemon.call("vm.ports.remove", name="web-dev", host_port=1)
    for error in (taken.value, missing.value):
        assert [action.code for action in error.actions] == ["list_ports"]
    await daemon.call("vm.ports.remove", name="web-dev", host_port=8080)
    told = [params for method, params in daemon.driver.calls if method == "ports.remove"]
    assert [params["host_ip"] for params in told] == ["127.0.0.1", "127.0.0.5"]
    assert {"host_ip", "host_port", "guest_port", "proto"} == set(told[0])


async def test_a_forward_that_no_driver_has_bound_is_removed(daemon: Daemon) -> None:
    """A forward that was added between the driver's configuration and the VM's start."""
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    await vm.update(added_ports=(PortForward(guest_port=80), PortForward(guest_port=81)))
    await daemon.call("vm.ports.add", name="web-dev", guest_port=90, host_port=9090)
    gone = await daemon.call("vm.ports.remove", name="web-dev", guest_port=80)
    assert [port["guest_port"] for port in gone["removed"]] == [80]
    assert [port.guest_port for port in vm.record.added_ports] == [81, 90]
    assert "ports.remove" not in [method for method, _ in daemon.driver.calls]
    await daemon.call("vm.ports.remove", name="web-dev", guest_port=90)
    assert "ports.remove" in [method for method, _ in daemon.driver.calls]
