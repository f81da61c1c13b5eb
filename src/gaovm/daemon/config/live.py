"""Changes of the config that a driver brings into a VM that runs.

Each takes the whole spec that is wanted, and may be repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon.storage import records
from gaovm.daemon.vms import driver_protocol, machine, ports
from gaovm.spec.ports import PortForward
from gaovm.spec.vm import VmSpec

#: A resize writes metadata only; the guest's file system takes seconds on a slow host.
GROW_LIMIT_S = 60.0
ENVIRONMENT_LIMIT_S = 10.0

_Change = Callable[[machine.Machine, VmSpec], Awaitable[list[str]]]


async def _grow_disk(vm: machine.Machine, wanted: VmSpec) -> list[str]:
    size = {"size_bytes": wanted.disk.size_bytes}
    answer = await _driver(vm).call("disk.grow", size, timeout_s=GROW_LIMIT_S)
    problem = answer.get("problem")
    if problem is None:
        return []
    return [f"disk: it has grown, the guest's file system grows at the next start: {problem}"]


async def _set_environment(vm: machine.Machine, wanted: VmSpec) -> list[str]:
    env = {"env": wanted.guest.env}
    await _driver(vm).call("guest.environment", env, timeout_s=ENVIRONMENT_LIMIT_S)
    return []


async def _forward_ports(vm: machine.Machine, wanted: VmSpec) -> list[str]:
    """Old forwards go first, for a new one may have their host port. All of it, or none."""
    driver = _driver(vm)
    before = {ports.identity(port): port for port in vm.record.spec.network.ports}
    after = {ports.identity(port): port for port in wanted.network.ports}
    undo: list[tuple[str, dict[str, Any]]] = []
    try:
        for key, port in before.items():
            if key not in after:
                await driver.call("ports.remove", _bound(vm.record, port))
                undo.append(("ports.add", ports.wire(port)))
        for key, port in after.items():
            if key not in before:
                bound = await driver.call("ports.add", ports.wire(port))
                undo.append(("ports.remove", ports.key(bound)))
    except errors.GaoError:
        for method, arguments in reversed(undo):
            await driver.call(method, arguments)
        raise
    listed = (await driver.call("ports.list")).get("ports", [])
    vm.update(facts=msgspec.structs.replace(vm.record.facts, ports=tuple(listed)))
    return []


async def _set_reaction(vm: machine.Machine, wanted: VmSpec) -> list[str]:
    """The daemon's own part follows from the record; QEMU's is what a kernel panic does."""
    reaction = {"on_hang": wanted.supervision.watchdog.on_hang}
    await _driver(vm).call("watchdog.reaction", reaction)
    return []


#: By path of the spec: every field whose time is ``diff.When.DRIVER``.
CHANGES: dict[str, _Change] = {
    "disk.size_bytes": _grow_disk,
    "guest.env": _set_environment,
    "network.ports": _forward_ports,
    "supervision.watchdog.on_hang": _set_reaction,
}


def _driver(vm: machine.Machine) -> driver_protocol.Driver:
    if vm.driver is None:
        raise errors.DriverLost(f"VM {vm.name} has no driver")
    return vm.driver


def _bound(record: records.VmRecord, port: PortForward) -> dict[str, Any]:
    """The ports of a forward as the driver has them: a host port of 0 was chosen by it."""
    for known, entry in ports.bound(record):
        if entry and ports.identity(known) == ports.identity(port):
            return ports.key(entry)
    return ports.key(ports.wire(port))
