"""Drops, for good, what a running process does not need any more."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from gaovm.platform.confine import calls, landlock
from gaovm.platform.linux import seccomp

#: include/uapi/linux/capability.h: to end processes of other ids, and to listen below port 1024.
CAP_KILL, CAP_NET_BIND_SERVICE = 5, 10


#: Landlock does not look at who connects to a Unix socket, so its user's would all be open: the
#: daemon's, other VMs', the desktop's. io_uring makes sockets past any filter.
_NO_UNIX_SOCKETS = (
    seccomp.Rule("socket", (seccomp.Check(0, 0xFFFFFFFF, socket.AF_UNIX),), errno.EACCES),
    seccomp.Rule("io_uring_setup", error=errno.ENOSYS),
)


def no_unix_sockets() -> Callable[[], None]:
    """A function that lets this process make no Unix socket any more, but for pairs.

    Raises:
        errors.HostError: the numbers of this machine's system calls are not known.
    """
    return seccomp.installer(_NO_UNIX_SOCKETS)


def shed(rules: landlock.Rules | None, kept: frozenset[int]) -> None:
    """Keep these capabilities, and the files of these rules; of one with a single thread.

    With rules it makes no Unix sockets any more either.

    Raises:
        OSError: the kernel does not take a part; what was dropped before stays dropped.
        errors.HostError: the numbers of this machine's system calls are not known.
    """
    calls.no_new_privileges()
    if rules is not None:
        landlock.restrict(rules)
        no_unix_sockets()()
    calls.bound_capabilities(kept)
    calls.set_capabilities(kept, passed_on=False)
