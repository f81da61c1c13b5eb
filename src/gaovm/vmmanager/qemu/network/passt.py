"""passt, which carries the guest's network outside QEMU, behind our filter.

QEMU listens on a Unix socket; each run of passt is one connection to it. passt enters its own
namespaces and drops every right. If root starts it, it becomes the user it is told, else nobody.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys

from gaovm.aio import process
from gaovm.builder import network
from gaovm.vmmanager.qemu.network import netfilter

GRACE_S = 0.5


def arguments(program: str, *, host_access: bool, user: int = netfilter.NOBODY) -> list[str]:
    """Return passt's command line without the number of its socket, which comes last.

    ``host_access``: the gateway's address leads to the host's loopback. ``user``: the user and
    group that passt becomes if root starts it.
    """
    words = [program, "-f", "-q", "-4"]  # IPv4 only, as the guest has no other address
    if os.geteuid() == 0:
        words += ["--runas", f"{user}:{user}"]
    words += ["-a", network.GUEST, "-n", "24", "-g", network.GATEWAY]
    words += ["--dns-forward", network.DNS, "-m", str(network.MTU)]
    if not host_access:
        words.append("--no-map-gw")
    return [*words, "-F"]


def command(
    program: str, connection: str, *, host_access: bool, user: int = netfilter.NOBODY
) -> list[str]:
    """Return the whole command line, the filter's first.

    ``connection`` is a descriptor's number, or what stands for it.
    """
    own = [sys.executable, "-I", "-S", netfilter.__file__, f"{connection},{user}"]
    return [*own, *arguments(program, host_access=host_access, user=user)]


def run(
    program: str, connection: socket.socket, *, host_access: bool, output: int
) -> contextlib.AbstractAsyncContextManager[process.Child]:
    """Run passt for the length of a block; it ends when QEMU or this process ends.

    The caller closes ``connection``, which leads to QEMU. ``output`` gets what passt writes.

    Raises:
        errors.ProgramMissing: this Python can no longer be executed.
    """
    return process.spawn(
        command(program, str(connection.fileno()), host_access=host_access),
        env={},
        stdout=output,
        stderr=output,
        pass_fds=(connection.fileno(),),
        new_session=True,  # passt is the filter's child: both end together
        grace_s=GRACE_S,
    )
