"""Changes of the config that a driver makes in a running VM.

Each takes the whole wanted spec, and may be repeated.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Awaitable, Callable

import msgspec

from gaovm import errors
from gaovm.daemon.storage import records
from gaovm.daemon.vms import driver_protocol, machine, ports
from gaovm.platform import timezones
from gaovm.spec.ports import PortForward
from gaovm.spec.vm import VmSpec
from gaovm.wire.driver import params, table

#: A resize writes metadata only; the guest's file system needs seconds on a slow host.
GROW_LIMIT_S = 60.0
ENVIRONMENT_LIMIT_S = 10.0

_Change = Callable[[machine.Machine, VmSpec], Awaitable[list[str]]]


async def _grow_disk(vm: machine.Machine, wanted: VmSpec) -> list[str]:
    size = params.GrowDisk(size_bytes=wanted.disk.size_bytes)
    grown = await _driver(vm).call(table.DISK_GROW, size, timeout_s=GROW_LIMIT_S)
    if grown.problem is None:
        return []
    return [f"disk: it has grown, the guest's file system grows at the next start: {grown.problem}"]


async def _set_environment(vm: machine.Machine, wanted: VmSpec) -> list[str]:
    env = params.Environment(env=wanted.guest.env)
    await _driver(vm).call(table.GUEST_ENVIRONMENT, env, timeout_s=ENVIRONMENT_LIMIT_S)
    return []


async def _set_names(vm: machine.Machine, wanted: VmSpec) -> list[str]:
    rules = await asyncio.to_thread(timezones.data, wanted.guest.timezone)
    names = params.Names(
        timezone=wanted.guest.timezone,
        rules=base64.b64encode(rules or b"").decode(),
        hosts=wanted.guest.hosts,
    )
    await _driver(vm).call(table.GUEST_NAMES, names, timeout_s=ENVIRONMENT_LIMIT_S)
    return []


async def _forward_ports(vm: machine.Machine, wanted: VmSpec) -> list[str]:
    """Change the forwards, all or none. Remove old ones first: a new one may need their port."""
    driver = _driver(vm)
    before = {ports.identity(port): port for port in vm.record.spec.network.ports}
    after = {ports.identity(port): port for port in wanted.network.ports}
    async with contextlib.AsyncExitStack() as undo:
        for key, port in before.items():
            if key not in after:
                await driver.call(table.PORTS_REMOVE, _bound(vm.record, port))
                undo.push_async_callback(driver.call, table.PORTS_ADD, ports.added(port))
        for key, port in after.items():
            if key not in before:
                bound = await driver.call(table.PORTS_ADD, ports.added(port))
                undo.push_async_callback(driver.call, table.PORTS_REMOVE, ports.removed(bound))
        undo.pop_all()
    listed = await driver.call(table.PORTS_LIST, params.NOTHING)
    vm.update(facts=msgspec.structs.replace(vm.record.facts, ports=listed.ports))
    return []


async def _set_rules(vm: machine.Machine, wanted: VmSpec) -> list[str]:
    """Let other rules decide which of the guest's servers are forwarded."""
    rules = params.PortRules(rules=wanted.network.rules)
    listed = await _driver(vm).call(table.PORTS_RULES, rules)
    vm.update(facts=msgspec.structs.replace(vm.record.facts, ports=listed.ports))
    return []


async def _set_reaction(vm: machine.Machine, wanted: VmSpec) -> list[str]:
    """Tell the driver what a kernel panic does; the daemon's own part follows from the record."""
    reaction = params.Reaction(on_hang=wanted.supervision.watchdog.on_hang)
    await _driver(vm).call(table.WATCHDOG_REACTION, reaction)
    return []


#: Every field whose time is ``diff.When.DRIVER``, by its path in the spec.
CHANGES: dict[str, _Change] = {
    "disk.size_bytes": _grow_disk,
    "guest.env": _set_environment,
    "guest.timezone": _set_names,
    "guest.hosts": _set_names,
    "network.ports": _forward_ports,
    "network.rules": _set_rules,
    "supervision.watchdog.on_hang": _set_reaction,
}


def _driver(vm: machine.Machine) -> driver_protocol.Driver:
    if vm.driver is None:
        raise errors.DriverLost(f"VM {vm.name} has no driver")
    return vm.driver


def _bound(record: records.VmRecord, port: PortForward) -> params.RemovePort:
    """Return a forward's ports as the driver has them: it chose the host port if that was 0."""
    for known, entry in ports.bound(record):
        if entry and ports.identity(known) == ports.identity(port):
            return ports.removed(entry)
    return ports.removed(port)
