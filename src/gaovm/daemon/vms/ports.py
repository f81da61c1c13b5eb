"""A record's ports: in the driver's form, and matched with those that the driver has bound."""

from __future__ import annotations

import msgspec

from gaovm.daemon.storage import records
from gaovm.spec import vm
from gaovm.spec.ports import PortForward
from gaovm.wire.agent import info
from gaovm.wire.driver import params, results


def bound(record: records.VmRecord) -> list[tuple[PortForward, results.Port | None]]:
    """Return every forwarded port, the config's first, with the driver's entry or None.

    Each entry is used once. A forward that takes any host port comes after those that name theirs.
    """
    wanted = (*record.spec.network.ports, *record.added_ports)
    live = list(record.facts.ports)
    found: dict[int, results.Port | None] = {}
    for index in sorted(range(len(wanted)), key=lambda index: wanted[index].host_port == 0):
        found[index] = _take(live, wanted[index])
    return [(port, found[index]) for index, port in enumerate(wanted)]


def with_added(record: records.VmRecord) -> vm.VmSpec:
    """Return the spec with the ports that were added by hand."""
    wanted = (*record.spec.network.ports, *record.added_ports)
    return msgspec.structs.replace(
        record.spec, network=msgspec.structs.replace(record.spec.network, ports=wanted)
    )


def earlier(record: records.VmRecord) -> tuple[int, ...]:
    """Return, for each of ``bound``, the host port to try first; 0: no preference."""
    return tuple(
        0 if port.host_port or entry is None else entry.host_port for port, entry in bound(record)
    )


def listening(about: info.Info) -> set[tuple[str, int]]:
    """Addresses and TCP ports on which a guest listens."""
    return {(each.address, each.port) for each in about.listeners if each.proto == "tcp"}


def served(port: PortForward, listeners: set[tuple[str, int]]) -> bool:
    """Whether one of them serves the forward."""
    addresses = (port.guest_ip, *_every_address(port.guest_ip))
    return any((address, port.guest_port) in listeners for address in addresses)


def _every_address(address: str) -> tuple[str, ...]:
    # as a rule a socket on :: takes IPv4 too; the table does not say when one does not
    return ("::",) if ":" in address else ("0.0.0.0", "::")


def identity(port: PortForward) -> tuple[str, int, str, int]:
    """What makes two forwards the same, wherever they come from."""
    return port.guest_ip, port.guest_port, port.host_ip, port.host_port


def added(port: PortForward) -> params.AddPort:
    """The parameters of ``ports.add`` for a forward."""
    return params.AddPort(
        guest_port=port.guest_port,
        host_port=port.host_port,
        guest_ip=port.guest_ip,
        host_ip=port.host_ip,
    )


def removed(port: results.Port | PortForward) -> params.RemovePort:
    """The parameters of ``ports.remove`` for exactly this forward."""
    return params.RemovePort(
        host_ip=port.host_ip, host_port=port.host_port or None, guest_port=port.guest_port
    )


def _take(live: list[results.Port], port: PortForward) -> results.Port | None:
    for entry in live:
        same = (
            entry.guest_port == port.guest_port
            and entry.guest_ip == port.guest_ip
            and entry.host_ip == port.host_ip
            and port.host_port in (0, entry.host_port)
        )
        if same:
            live.remove(entry)
            return entry
    return None
