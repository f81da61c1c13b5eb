"""Ports of a record: as the driver takes them, and which is which of those it has bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gaovm.daemon.storage import records
from gaovm.spec import vm
from gaovm.spec.ports import PortForward


def bound(record: records.VmRecord) -> list[tuple[PortForward, dict[str, Any]]]:
    """Every forwarded port, those of the config first, with the driver's entry, empty if none.

    Each entry is used once. A forward that takes any host port comes after those that name theirs.
    """
    wanted = (*record.spec.network.ports, *record.added_ports)
    live = list(record.facts.ports)
    found: dict[int, dict[str, Any]] = {}
    for index in sorted(range(len(wanted)), key=lambda index: wanted[index].host_port == 0):
        found[index] = _take(live, wanted[index])
    return [(port, found[index]) for index, port in enumerate(wanted)]


def with_added(record: records.VmRecord) -> vm.VmSpec:
    """The spec with the ports that were added by hand."""
    wanted = (*record.spec.network.ports, *record.added_ports)
    return msgspec.structs.replace(
        record.spec, network=msgspec.structs.replace(record.spec.network, ports=wanted)
    )


def earlier(record: records.VmRecord) -> list[int]:
    """For each of ``bound`` the host port to try first: its last one, if it takes any; else 0."""
    return [
        0 if port.host_port else int(entry.get("host_port") or 0) for port, entry in bound(record)
    ]


def listening(info: Mapping[str, Any]) -> set[tuple[object, object]]:
    """Addresses and TCP ports on which a guest listens, of an answer to ``guest.info``."""
    return {
        (entry.get("address"), entry.get("port"))
        for entry in info.get("listeners", ())
        if entry.get("proto") == "tcp"
    }


def served(port: PortForward, listeners: set[tuple[object, object]]) -> bool:
    """Whether one of them takes what the forward brings."""
    addresses = (port.guest_ip, *_every_address(port.guest_ip))
    return any((address, port.guest_port) in listeners for address in addresses)


def _every_address(address: str) -> tuple[str, ...]:
    # as a rule a socket on :: takes IPv4 too; the table does not say when one does not
    return ("::",) if ":" in address else ("0.0.0.0", "::")


def identity(port: PortForward) -> tuple[str, int, str, int]:
    """What makes two forwards the same, wherever they come from."""
    return port.guest_ip, port.guest_port, port.host_ip, port.host_port


def wire(port: PortForward) -> dict[str, Any]:
    """A forward as parameters of ``ports.add``."""
    return {
        "guest_port": port.guest_port,
        "host_port": port.host_port,
        "guest_ip": port.guest_ip,
        "host_ip": port.host_ip,
    }


def key(entry: dict[str, Any]) -> dict[str, Any]:
    """What names exactly this entry in a call of ``ports.remove``."""
    return {name: entry[name] for name in ("host_ip", "host_port", "guest_port")}


def _take(live: list[dict[str, Any]], port: PortForward) -> dict[str, Any]:
    for entry in live:
        same = (
            entry.get("guest_port") == port.guest_port
            and entry.get("guest_ip", port.guest_ip) == port.guest_ip
            and entry.get("host_ip", port.host_ip) == port.host_ip
            and port.host_port in (0, entry.get("host_port"))
        )
        if same:
            live.remove(entry)
            return entry
    return {}
