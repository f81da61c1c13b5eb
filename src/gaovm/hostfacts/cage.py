"""What this host allows of the cage that a VM's hypervisor runs in, found by making one."""

from __future__ import annotations

from typing import NamedTuple

from gaovm.platform.confine import abilities, groups, identities
from gaovm.platform.confine.cage import Limits


def absence() -> str:
    """Why hypervisors run in no cage on this host; empty: they run in one."""
    return abilities.absence()


class Found(NamedTuple):
    """``held`` in words; ``missing``: what is not there, and why; ``absent``: as ``absence``."""

    held: tuple[str, ...]
    missing: dict[str, str]
    absent: str


def find() -> Found:
    """Try it: some 10 ms. Leaves nothing behind.

    Raises:
        errors.HostError: ``GAOVM_UID_RANGE`` is no range.
    """
    absent = abilities.absence()
    if absent and not abilities.switched_off():
        return Found((), {}, absent)
    can = abilities.find()
    held, missing = [], {}
    if can.root:
        first, blocks = identities.span()
        if why := identities.obstacle():
            missing["user ids"] = why
        else:
            held.append(f"a user id of its own (from {first}, {blocks} blocks)")
    if can.namespaces:
        missing["namespaces"] = can.namespaces
    else:
        held.append("namespaces and an empty root")
    if can.landlock:
        held.append(f"Landlock {can.landlock}")
    else:
        missing["Landlock"] = "this kernel has none"
    group = groups.make("doctor", Limits(1 << 30, 1 << 40, 1.0, 100, 100))
    group.close()
    if group.limited:
        held.append(f"cgroup limits of {', '.join(group.limited)}")
    if "memory" not in group.limited:
        missing["cgroup memory"] = group.missing["memory"]
    return Found(tuple(held), missing, absent)
