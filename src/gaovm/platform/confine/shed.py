"""Drop, for good, what a running process does not need any more."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from gaovm.platform.confine import calls, landlock
from gaovm.platform.linux import seccomp

#: include/uapi/linux/capability.h: end processes of other ids, listen below port 1024, and read
#: directories of other users.
CAP_KILL, CAP_NET_BIND_SERVICE, CAP_DAC_READ_SEARCH = 5, 10, 2


#: Landlock does not check who connects to a Unix socket, so all sockets of the user would be open:
#: the daemon's, other VMs', the desktop's. io_uring makes sockets past any filter.
_NO_UNIX_SOCKETS = (
    seccomp.Rule("socket", (seccomp.Check(0, 0xFFFFFFFF, socket.AF_UNIX),), errno.EACCES),
    seccomp.Rule("io_uring_setup", error=errno.ENOSYS),
)


def no_unix_sockets() -> Callable[[], None]:
    """Return a function that forbids this process new Unix sockets, except pairs.

    Raises:
        errors.HostError: we do not know this machine's system call numbers.
    """
    return seccomp.installer(_NO_UNIX_SOCKETS)


def shed(rules: landlock.Rules | None, kept: frozenset[int]) -> None:
    """Keep only these capabilities, and these rules' files; call this with a single thread.

    With rules the process can make no Unix sockets any more either.

    Raises:
        OSError: the kernel does not accept a part; what was dropped before stays dropped.
        errors.HostError: we do not know this machine's system call numbers.
    """
    calls.no_new_privileges()
    if rules is not None:
        landlock.restrict(rules)
        no_unix_sockets()()
    calls.bound_capabilities(kept)
    calls.set_capabilities(kept, passed_on=False)
