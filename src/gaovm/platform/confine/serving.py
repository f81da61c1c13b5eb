"""What confines a program that serves one directory over a stream: Landlock, a user, a filter.

Unlike a cage this needs no namespace, so a keeper can apply it after its maker has dropped its
rights. Paths outside of the lists do not open, wherever a symbolic link leads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from gaovm.platform.confine import calls, landlock
from gaovm.platform.linux import seccomp


class Confined(NamedTuple):
    """Limits of one program, as data: they travel to the keeper.

    ``programs``: what it may read and execute; ``reads``, ``writes``: what else it may open, with
    all that is below. ``user``: uid and gid to become; None: it stays who starts it. ``rules``: of
    the filter of system calls.
    """

    programs: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    user: tuple[int, int] | None
    rules: tuple[seccomp.Rule, ...]


def before_exec(limits: Confined) -> Callable[[], None]:
    """Return the function that applies the limits in a child, for good.

    It raises ``OSError`` when the kernel does not accept a part.

    Raises:
        errors.HostError: we do not know this machine's system call numbers.
    """
    install = seccomp.installer(limits.rules)
    paths = [(path, landlock.EXECUTE) for path in limits.programs if os.path.exists(path)]
    paths += [(path, landlock.READ) for path in limits.reads if os.path.exists(path)]
    paths += [(path, landlock.WRITE) for path in limits.writes]
    rules = landlock.Rules(tuple(paths))

    def enter() -> None:
        calls.no_new_privileges()
        landlock.restrict(rules)
        if limits.user is not None:
            uid, gid = limits.user
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        if os.geteuid() == 0:
            calls.bound_capabilities(frozenset())
            calls.set_capabilities(frozenset(), passed_on=False)
        install()

    return enter
