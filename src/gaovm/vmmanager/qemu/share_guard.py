"""What a process that writes to shares for a guest may never make there, whoever it runs as.

A file with a set-id bit or a file capability gives who executes it the power of its owner, and a
device node that of the device. So these calls fail in virtiofsd and, for 9p, in QEMU. What is
refused is told to the guest as EPERM.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable

from gaovm.platform.confine import calls
from gaovm.platform.linux import seccomp

_SET_ID = 0o6000  # S_ISUID and S_ISGID
_CREATING = os.O_CREAT | (getattr(os, "O_TMPFILE", 0) & ~os.O_DIRECTORY)
# The other calls that take a mode: by the place of it.
_MODE_AT = {
    "creat": 1,
    "chmod": 1,
    "fchmod": 1,
    "fchmodat": 2,
    "fchmodat2": 2,
    "mkdir": 1,
    "mkdirat": 2,
    "mknod": 1,
    "mknodat": 2,
}
_FORMAT = 0o170000  # S_IFMT
_DEVICES = (0o020000, 0o060000)  # S_IFCHR and S_IFBLK
# The arguments of these are in memory, where no filter looks; both have an older way beside them.
_UNSEEN = ("openat2", "io_uring_setup")

RULES: tuple[seccomp.Rule, ...] = (
    *(seccomp.Rule(call, (seccomp.Check(place, _SET_ID),)) for call, place in _MODE_AT.items()),
    # without a file to make, what stands in the mode's place means nothing
    *(
        seccomp.Rule(call, (seccomp.Check(flags, _CREATING), seccomp.Check(flags + 1, _SET_ID)))
        for call, flags in (("open", 1), ("openat", 2))
    ),
    *(
        seccomp.Rule(call, (seccomp.Check(_MODE_AT[call], _FORMAT, kind),))
        for call in ("mknod", "mknodat")
        for kind in _DEVICES
    ),
    *(seccomp.Rule(call, error=errno.ENOSYS) for call in _UNSEEN),
)

# include/uapi/linux/capability.h. CAP_FSETID: a write would leave the set-id bits of a file.
_CAP_FSETID, _CAP_MKNOD, _CAP_SETFCAP = 4, 27, 31
CAPABILITIES = (_CAP_FSETID, _CAP_MKNOD, _CAP_SETFCAP)


def inside_a_cage() -> Callable[[], None]:
    """As ``before_exec``, for a QEMU in a cage: it has those capabilities no more.

    It makes no Unix sockets either, with which it could knock at those of its user where there is
    no namespace to hide them: all it uses are handed in.

    Raises:
        errors.HostError: the numbers of this machine's system calls are not known.
    """
    unix = seccomp.Check(0, 0xFFFFFFFF, socket.AF_UNIX)
    return seccomp.installer((*RULES, seccomp.Rule("socket", (unix,), errno.EACCES)))


def before_exec() -> Callable[[], None] | None:
    """A function that puts a child under the rules between fork and exec (``process.spawn``).

    It also takes the capabilities for what no system-call filter sees out of what the child can
    ever have. It raises ``OSError`` when a rule cannot be put in force: the child does not start.
    None: this is no Linux, which has the only such filter.

    Raises:
        errors.HostError: the numbers of this machine's system calls are not known.
    """
    if not sys.platform.startswith("linux"):
        return None
    install = seccomp.installer(RULES)
    # of a process that is not root there is nothing to take
    dropped = CAPABILITIES if os.geteuid() == 0 else ()
    kept = frozenset(range(64)) - frozenset(dropped)

    def guard() -> None:
        calls.bound_capabilities(kept)
        install()

    return guard
