"""Make a cage for a hypervisor, to find out which parts of it this host allows."""

from __future__ import annotations

from typing import NamedTuple

from gaovm.platform.confine import abilities, groups, identities
from gaovm.platform.confine.cage import Limits


def absence() -> str:
    """Say why hypervisors run without a cage on this host; empty if they run in one."""
    return abilities.absence()


class Found(NamedTuple):
    """``held`` in words; ``missing``: what is not there, and why; ``absent``: see ``absence``."""

    held: tuple[str, ...]
    missing: dict[str, str]
    absent: str


def find() -> Found:
    """Try to make a cage. Takes some 10 ms and leaves nothing behind.

    Raises:
        errors.HostError: ``GAOVM_UID_RANGE`` is not a range.
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
            held.append(f"a separate user id (from {first}, {blocks} blocks)")
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
