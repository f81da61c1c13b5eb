"""Changes of the config that a driver brings into a VM that runs.

Each takes the whole spec that is wanted, and may be repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon import forwards, machine
from gaovm.daemon.storage import records
from gaovm.spec import network, vm

#: A resize writes metadata only; the guest's file system takes seconds on a slow host.
GROW_LIMIT_S = 60.0
ENVIRONMENT_LIMIT_S = 10.0

_Change = Callable[[machine.Machine, vm.VmSpec], Awaitable[list[str]]]


async def _grow_disk(subject: machine.Machine, wanted: vm.VmSpec) -> list[str]:
    size = {"size_bytes": wanted.disk.size_bytes}
    answer = await _driver(subject).call("disk.grow", size, timeout_s=GROW_LIMIT_S)
    problem = answer.get("problem")
    if problem is None:
        return []
    return [f"disk: it has grown, the guest's file system grows at the next start: {problem}"]


async def _set_environment(subject: machine.Machine, wanted: vm.VmSpec) -> list[str]:
    env = {"env": wanted.guest.env}
    await _driver(subject).call("guest.environment", env, timeout_s=ENVIRONMENT_LIMIT_S)
    return []


async def _forward_ports(subject: machine.Machine, wanted: vm.VmSpec) -> list[str]:
    """Old forwards go first, for a new one may have their host port. All of it, or none."""
    driver = _driver(subject)
    before = {forwards.identity(port): port for port in subject.record.spec.network.forwards}
    after = {forwards.identity(port): port for port in wanted.network.forwards}
    undo: list[tuple[str, dict[str, Any]]] = []
    try:
        for key, port in before.items():
            if key not in after:
                await driver.call("ports.remove", _bound(subject.record, port))
                undo.append(("ports.add", forwards.wire(port)))
        for key, port in after.items():
            if key not in before:
                bound = await driver.call("ports.add", forwards.wire(port))
                undo.append(("ports.remove", forwards.key(bound)))
    except errors.GaoError:
        for method, arguments in reversed(undo):
            await driver.call(method, arguments)
        raise
    ports = (await driver.call("ports.list")).get("ports", [])
    subject.update(facts=msgspec.structs.replace(subject.record.facts, ports=tuple(ports)))
    return []


async def _set_reaction(subject: machine.Machine, wanted: vm.VmSpec) -> list[str]:
    """The daemon's own part follows from the record; QEMU's is what a kernel panic does."""
    reaction = {"on_hang": wanted.supervision.watchdog.on_hang}
    await _driver(subject).call("watchdog.reaction", reaction)
    return []


#: By path of the spec: every field whose time is ``diff.When.DRIVER``.
CHANGES: dict[str, _Change] = {
    "disk.size_bytes": _grow_disk,
    "guest.env": _set_environment,
    "network.forwards": _forward_ports,
    "supervision.watchdog.on_hang": _set_reaction,
}


def _driver(subject: machine.Machine) -> machine.Driver:
    if subject.driver is None:
        raise errors.DriverLost(f"VM {subject.name} has no driver")
    return subject.driver


def _bound(record: records.VmRecord, port: network.PortForward) -> dict[str, Any]:
    """The ports of a forward as the driver has them: a host port of 0 was chosen by it."""
    for known, entry in forwards.bound(record):
        if entry and forwards.identity(known) == forwards.identity(port):
            return forwards.key(entry)
    return forwards.key(forwards.wire(port))
