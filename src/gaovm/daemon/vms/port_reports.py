"""Take in which host ports a driver opened and closed as its guest's servers came and went.

The guest decides how often that happens: events are within the VM's rate, and the driver sends at
most two reports a second.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from gaovm.daemon.vms import machine
from gaovm.model import states
from gaovm.wire.control import payloads
from gaovm.wire.driver import notifications, results

#: No driver has more; it is trusted no further than its guest.
MAX_PORTS = 1200
_Key = tuple[str, int, str, str]
P = TypeVar("P", payloads.PortOpened, payloads.PortClosed, payloads.PortFailed)


def on_report(vm: machine.Machine, told: notifications.Ports) -> None:
    """Keep the ports as they are now, and tell what has changed."""
    if vm.closing or vm.state.observed is not states.Observed.RUNNING:
        return
    before, facts = vm.record.facts.ports, vm.record.facts
    now = told.ports[:MAX_PORTS]
    problem = None if told.problem is None else told.problem[:1000]
    vm.update(facts=msgspec.structs.replace(facts, ports=now, ports_problem=problem))
    for payload in changes(before, now):
        vm.fleet.events.tell_of_guest(vm.name, payload)
        if isinstance(payload, payloads.PortFailed):
            place = f"port {payload.guest_port}" if payload.guest_port else "a socket"
            vm.notice(f"{place} of the VM is not forwarded: {payload.detail}")
    if problem is not None and problem != facts.ports_problem:
        vm.fleet.events.tell_of_guest(vm.name, payloads.PortFailed(detail=problem))


def changes(
    before: tuple[results.Port, ...], now: tuple[results.Port, ...]
) -> list[payloads.Payload]:
    """Return the events that lead from one list of ports to the next."""
    old, new = _open(before), _open(now)
    found: list[payloads.Payload] = []
    found += [_event(payloads.PortClosed, port) for key, port in old.items() if key not in new]
    found += [_event(payloads.PortOpened, port) for key, port in new.items() if key not in old]
    failed = {_key(port) for port in before if port.problem}
    found += [
        msgspec.structs.replace(_event(payloads.PortFailed, port), detail=port.problem)
        for port in now
        if port.problem and _key(port) not in failed
    ]
    return found


def _open(ports: tuple[results.Port, ...]) -> dict[_Key, results.Port]:
    return {_key(port): port for port in ports if port.follows and port.state == "listening"}


def _key(port: results.Port) -> _Key:
    host = port.host_socket or f"{port.host_ip}:{port.host_port}"
    return port.proto, port.guest_port, port.guest_socket, host


def _event(kind: type[P], port: results.Port) -> P:
    return kind(
        proto=port.proto,
        guest_port=port.guest_port,
        host_ip=port.host_ip,
        host_port=port.host_port,
        host_socket=port.host_socket,
    )
