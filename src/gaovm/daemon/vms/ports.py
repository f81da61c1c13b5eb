"""A record's ports: in the driver's form, and matched with those that the driver has."""

from __future__ import annotations

import msgspec

from gaovm.daemon.storage import records
from gaovm.spec import vm
from gaovm.spec.ports import PortForward, Proto, SocketForward
from gaovm.wire.agent import info
from gaovm.wire.control.ports import PortStatus
from gaovm.wire.driver import launch, params, results


def bound(record: records.VmRecord) -> list[tuple[PortForward, results.Port | None]]:
    """Return every port that is always open, the config's first, with the driver's entry or None.

    Each entry is used once. A forward that takes any host port comes after those that name theirs.
    """
    wanted = (*record.spec.network.ports, *record.added_ports)
    live = [port for port in record.facts.ports if not _other(port)]
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


def followed(record: records.VmRecord) -> tuple[launch.FollowedPort, ...]:
    """Return the host ports to try first for forwards that follow the guest's servers."""
    return tuple(
        launch.FollowedPort(
            proto="udp" if port.proto == "udp" else "tcp",
            guest_port=port.guest_port,
            host_port=port.host_port,
        )
        for port in record.facts.ports
        if port.follows and port.host_port and port.guest_port
    )


def following(record: records.VmRecord, *, running: bool) -> list[PortStatus]:
    """Return what is no port that is always open: what follows servers, sockets, the host's."""
    if running:
        return [_status(port) for port in record.facts.ports if _other(port)]
    known = {(port.proto, port.guest_port): port.host_port for port in followed(record)}
    found = []
    for rule in record.spec.network.rules:
        if rule.one_port:
            target = rule.target(rule.first)
            proto: Proto = "udp" if rule.proto == "udp" else "tcp"
            port = PortStatus(
                guest_ip=rule.guest_ip,
                guest_port=rule.first,
                host_ip=target.ip,
                host_port=target.port or known.get((proto, rule.first), 0),
                host_socket=target.socket,
                proto=proto,
                source="config",
                state="stopped",
                follows=True,
            )
            found.append(port)
    found += [_stopped(each) for each in record.spec.network.sockets]
    return found


def _other(port: results.Port) -> bool:
    return port.follows or port.reverse or bool(port.guest_socket)


def _status(port: results.Port) -> PortStatus:
    """What a driver says of a forward, in the clients' form; a newer one may have other words."""
    known = ("listening", "no_listener", "forwarded", "taken", "refused")
    told = msgspec.structs.asdict(port)
    del told["lost_host_port"]
    if port.state not in known:
        told["state"] = "forwarded"
    return msgspec.convert(told, PortStatus)


def _stopped(socket: SocketForward) -> PortStatus:
    return PortStatus(
        guest_ip="",
        guest_port=0,
        guest_socket=socket.guest_socket,
        reverse=socket.reverse,
        host_ip="" if socket.host_socket else socket.host_ip,
        host_port=socket.host_port,
        host_socket=socket.host_socket,
        source="config",
        state="stopped",
    )


def listening(about: info.Info) -> set[tuple[str, str, int]]:
    """Protocols, addresses and ports on which a guest listens."""
    return {(each.proto, each.address, each.port) for each in about.listeners}


def served(port: PortForward, listeners: set[tuple[str, str, int]]) -> bool:
    """Whether one of them serves the forward."""
    addresses = (port.guest_ip, *_every_address(port.guest_ip))
    return any((port.proto, address, port.guest_port) in listeners for address in addresses)


def _every_address(address: str) -> tuple[str, ...]:
    # as a rule a socket on :: takes IPv4 too; the table does not say when one does not
    return ("::",) if ":" in address else ("0.0.0.0", "::")


def identity(port: PortForward) -> tuple[str, str, int, str, int]:
    """What makes two forwards the same, wherever they come from."""
    return port.proto, port.guest_ip, port.guest_port, port.host_ip, port.host_port


def added(port: PortForward) -> params.AddPort:
    """The parameters of ``ports.add`` for a forward."""
    return params.AddPort(
        guest_port=port.guest_port,
        host_port=port.host_port,
        guest_ip=port.guest_ip,
        host_ip=port.host_ip,
        proto=port.proto,
    )


def removed(port: results.Port | PortForward) -> params.RemovePort:
    """The parameters of ``ports.remove`` for exactly this forward."""
    return params.RemovePort(
        host_ip=port.host_ip,
        host_port=port.host_port or None,
        guest_port=port.guest_port,
        proto="udp" if port.proto == "udp" else "tcp",
    )


def _take(live: list[results.Port], port: PortForward) -> results.Port | None:
    for entry in live:
        same = (
            entry.guest_port == port.guest_port
            and entry.guest_ip == port.guest_ip
            and entry.host_ip == port.host_ip
            and entry.proto == port.proto
            and port.host_port in (0, entry.host_port)
        )
        if same:
            live.remove(entry)
            return entry
    return None
