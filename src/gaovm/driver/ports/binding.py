"""Bind host ports, and say who has a port that is taken."""

from __future__ import annotations

import errno
import ipaddress
import socket

from gaovm import errors
from gaovm.hostfacts import listeners
from gaovm.spec.ports import Proto

BACKLOG = 128


def bind(proto: Proto, host_ip: str, port: int, field: str | None) -> socket.socket:
    """Return a non-blocking socket on a host port; 0: any free one. TCP listens.

    Raises:
        errors.PortTaken: the port is in use; the message names the owner.
        errors.PermissionMissing: the port needs a right that this user lacks.
        errors.InvalidParams: this host does not have the address.
    """
    try:
        version = ipaddress.ip_address(host_ip).version
    except ValueError as exc:
        raise errors.InvalidParams(f"{host_ip} is no IP address") from exc
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(family, kind)
    try:
        if proto == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host_ip, port))
        if proto == "tcp":
            sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise _failure(exc, proto, host_ip, port, field) from exc
    return sock


def _failure(
    exc: OSError, proto: Proto, host_ip: str, port: int, field: str | None
) -> errors.GaoError:
    where = f"{host_ip}:{port}" + ("/udp" if proto == "udp" else "")
    if exc.errno == errno.EADDRINUSE:
        owner = (listeners.owner(port) if proto == "tcp" else None) or "another process"
        return errors.PortTaken(
            f"host port {where} is taken by {owner}",
            field=field,
            remedy="free it, choose another hostPort, or use hostPort: 0 for any free one",
            details={"host_port": port, "owner": owner},
        )
    if exc.errno in (errno.EACCES, errno.EPERM):
        return errors.PermissionMissing(
            f"no right to listen on {where}", field=field, remedy="use a port above 1023"
        )
    return errors.InvalidParams(f"cannot listen on {where}: {exc.strerror}", field=field)
