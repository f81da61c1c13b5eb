"""Keep a process that serves shares to a guest from making dangerous files, whatever its user.

A file with a set-id bit or a file capability gives its owner's power to all who execute it; a
device node gives the device's power. So these calls fail in virtiofsd and, for 9p, in QEMU. The
guest gets EPERM.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable

from gaovm.builder import notices
from gaovm.platform.confine import calls
from gaovm.platform.linux import seccomp

_SET_ID = 0o6000  # S_ISUID and S_ISGID
_CREATING = os.O_CREAT | (getattr(os, "O_TMPFILE", 0) & ~os.O_DIRECTORY)
# The other calls that take a mode, by the mode's position.
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
# Arguments of these calls are in memory, where no filter looks; an older call replaces each.
_UNSEEN = ("openat2", "io_uring_setup")

# Requests that ask for nothing and succeed: the guest's kernel then tells its watchers, and the
# host's file stays as it is (``builder.notices``). The first rule that fits counts.
_NOTICES = (
    *(
        seccomp.Rule(call, (seccomp.Check(place, 0o7777, notices.MODE),), 0)
        for call, place in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2))
    ),
    seccomp.Rule(
        "ftruncate",
        (
            seccomp.Check(1, 0xFFFFFFFF, notices.SIZE & 0xFFFFFFFF),
            seccomp.Check(1, 0xFFFFFFFF, notices.SIZE >> 32, upper=True),
        ),
        0,
    ),
    seccomp.Rule("lsetxattr", (seccomp.Check(4, 0xFFFFFFFF, notices.XATTR_FLAGS),), 0),
)

RULES: tuple[seccomp.Rule, ...] = (
    *_NOTICES,
    *(seccomp.Rule(call, (seccomp.Check(place, _SET_ID),)) for call, place in _MODE_AT.items()),
    # a call that makes no file ignores its mode
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

# include/uapi/linux/capability.h. With CAP_FSETID a write would keep a file's set-id bits.
_CAP_FSETID, _CAP_MKNOD, _CAP_SETFCAP = 4, 27, 31
CAPABILITIES = (_CAP_FSETID, _CAP_MKNOD, _CAP_SETFCAP)


def inside_a_cage() -> Callable[[], None]:
    """Like ``before_exec``, for a QEMU in a cage, which no longer has those capabilities.

    QEMU cannot make Unix sockets either. With one it could connect to its user's sockets where no
    namespace hides them. It does not need to make any: we hand in all that it uses.

    Raises:
        errors.HostError: we do not know this machine's system call numbers.
    """
    unix = seccomp.Check(0, 0xFFFFFFFF, socket.AF_UNIX)
    return seccomp.installer((*RULES, seccomp.Rule("socket", (unix,), errno.EACCES)))


def before_exec() -> Callable[[], None] | None:
    """Return the hook that applies the rules to a child before exec (see ``process.spawn``).

    The hook also removes capabilities from the child's bounding set, against actions that no
    system-call filter sees. It raises ``OSError`` if a rule fails: the child does not start.
    None: this is not Linux, and only Linux has such a filter.

    Raises:
        errors.HostError: we do not know this machine's system call numbers.
    """
    if not sys.platform.startswith("linux"):
        return None
    install = seccomp.installer(RULES)
    # a process that is not root has nothing to drop
    dropped = CAPABILITIES if os.geteuid() == 0 else ()
    kept = frozenset(range(64)) - frozenset(dropped)

    def guard() -> None:
        calls.bound_capabilities(kept)
        install()

    return guard
