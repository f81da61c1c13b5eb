"""Drops, for good, what a running process does not need any more."""

from __future__ import annotations

from gaovm.aio.confine import calls, landlock

#: include/uapi/linux/capability.h: to end processes of other ids, and to listen below port 1024.
CAP_KILL, CAP_NET_BIND_SERVICE = 5, 10


def shed(rules: landlock.Rules | None, kept: frozenset[int]) -> None:
    """Keep these capabilities, and the files of these rules; of one with a single thread.

    Raises:
        OSError: the kernel does not take a part; what was dropped before stays dropped.
    """
    calls.no_new_privileges()
    if rules is not None:
        landlock.restrict(rules)
    calls.bound_capabilities(kept)
    calls.set_capabilities(kept, passed_on=False)
