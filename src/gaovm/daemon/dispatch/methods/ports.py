"""``vm.ports.*``: forwards added by hand, kept with the VM and applied live."""

from __future__ import annotations

import ipaddress

import msgspec

from gaovm import errors
from gaovm.daemon.dispatch import context
from gaovm.daemon.vms import driver_protocol, machine, ports, reports, status
from gaovm.model import states
from gaovm.spec.ports import PortForward
from gaovm.wire.control import ports as wire
from gaovm.wire.control import target
from gaovm.wire.driver import params, table

#: A VM with more forwards than this is a mistake; the config has the same bound.
MAX_ADDED = 256
#: How long a guest may take to say what listens in it; a list is not worth a longer wait.
LISTENERS_S = 1.0


async def list_all(ctx: context.Daemon, call: context.Call, args: target.Named) -> wire.PortList:
    """List the forwards of a VM, and whether the guest serves them."""
    vm = ctx.find(args.name)
    listeners = await _listeners(vm)
    found = list(_statuses(vm))
    if listeners is not None:
        for index, (port, bound) in enumerate(ports.bound(vm.record)):
            if bound is not None:
                state = "listening" if ports.served(port, listeners) else "no_listener"
                found[index] = msgspec.structs.replace(found[index], state=state)
    problem = vm.record.facts.ports_problem if _live(vm) is not None else None
    return wire.PortList(ports=tuple(found), problem=problem)


async def _listeners(vm: machine.Machine) -> set[tuple[str, str, int]] | None:
    """Ask what listens in the guest; None: no need to ask, or no answer in time."""
    driver, record = _live(vm), vm.record
    wanted = record.spec.network.ports or record.added_ports
    if driver is None or not wanted or vm.paused:
        return None
    if vm.state.readiness in (None, states.Readiness.BOOTING):
        return None
    try:
        about = await driver.call(table.GUEST_INFO, params.NOTHING, timeout_s=LISTENERS_S)
    except errors.GaoError:
        return None
    return ports.listening(about)


async def add(ctx: context.Daemon, call: context.Call, args: wire.Add) -> wire.PortStatus:
    """Forward a port from now on, also after restarts.

    Raises:
        errors.PortTaken: somebody else has the host port, or this VM forwards it already.
        errors.NotFound: another call removed the forward before this one returned.
    """
    vm = ctx.find(args.name)
    port = PortForward(
        guest_port=args.guest_port,
        host_port=args.host_port or 0,
        guest_ip=_address("guest_ip", args.guest_ip),
        host_ip=_address("host_ip", args.host_ip),
        proto=args.proto,
    )
    _check_new(vm, port)
    if (driver := _live(vm)) is not None:
        await driver.call(table.PORTS_ADD, ports.added(port))
    record = vm.record
    await vm.update(added_ports=(*record.added_ports, port))
    await reports.refresh(vm)
    record = vm.record
    if port not in record.added_ports:
        raise errors.NotFound("another call has removed the new forward already")
    return _statuses(vm)[len(record.spec.network.ports) + record.added_ports.index(port)]


async def remove(ctx: context.Daemon, call: context.Call, args: wire.Remove) -> wire.Removed:
    """Remove added forwards by host port, guest port or both."""
    if args.host_port is None and args.guest_port is None:
        raise errors.InvalidParams("vm.ports.remove: host_port or guest_port is needed")
    vm = ctx.find(args.name)
    fixed = len(vm.record.spec.network.ports)
    statuses = _statuses(vm)
    hits = [index for index, entry in enumerate(statuses) if _matches(entry, args)]
    always = fixed + len(vm.record.added_ports)
    if not hits:
        wanted = args.host_port or args.guest_port
        raise errors.NotFound(
            f"VM {vm.name} has no forward of port {wanted}",
            actions=(errors.Action("list_ports", name=vm.name),),
        )
    if not any(fixed <= index < always for index in hits):
        raise errors.StateConflict(
            "the forward comes from the config file",
            remedy="remove it there; the next up takes it away at once",
            actions=(errors.Action("start_vm", name=vm.name),),
        )
    chosen = [index for index in hits if fixed <= index < always]
    for index in chosen:
        # the driver has not bound a forward that came between its configuration and its start
        bound = statuses[index].state == "forwarded"
        if bound and (driver := _live(vm)) is not None:
            await driver.call(table.PORTS_REMOVE, _removed(statuses[index]))
    kept = tuple(
        port for index, port in enumerate(vm.record.added_ports, fixed) if index not in chosen
    )
    await vm.update(added_ports=kept)
    await reports.refresh(vm)
    removed = (msgspec.structs.replace(statuses[index], state="stopped") for index in chosen)
    return wire.Removed(removed=tuple(removed))


def _removed(port: wire.PortStatus) -> params.RemovePort:
    """Return the parameters of the driver's ``ports.remove`` for exactly this forward."""
    return params.RemovePort(
        host_ip=port.host_ip,
        host_port=port.host_port,
        guest_port=port.guest_port,
        proto=port.proto,
    )


def _statuses(vm: machine.Machine) -> tuple[wire.PortStatus, ...]:
    running = vm.state.observed is states.Observed.RUNNING
    return status.port_statuses(vm.record, running=running)


def _check_new(vm: machine.Machine, port: PortForward) -> None:
    if len(vm.record.added_ports) >= MAX_ADDED:
        raise errors.StateConflict(f"VM {vm.name} has {MAX_ADDED} added ports already")
    for entry in _statuses(vm):
        if entry.follows or entry.guest_socket or entry.reverse:
            continue  # the driver refuses a host port that is open now
        there = PortForward(
            guest_port=entry.guest_port,
            host_port=entry.host_port,
            host_ip=entry.host_ip,
            proto=entry.proto,
        )
        if port.clashes(there):
            raise errors.PortTaken(
                f"VM {vm.name} forwards {there.host_ip}:{port.host_port} already, "
                f"to port {entry.guest_port} of the guest",
                remedy="give another host port, or none",
                actions=(errors.Action("list_ports", name=vm.name),),
            )


def _matches(port: wire.PortStatus, args: wire.Remove) -> bool:
    same_host_port = args.host_port in (None, port.host_port)
    return same_host_port and args.guest_port in (None, port.guest_port)


def _live(vm: machine.Machine) -> driver_protocol.Driver | None:
    running = vm.state.observed is states.Observed.RUNNING
    return vm.driver if running else None


def _address(field: str, text: str | None) -> str:
    if text is None:
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as exc:
        raise errors.InvalidParams(f"vm.ports.add: {field}: {exc}", field=field) from exc
