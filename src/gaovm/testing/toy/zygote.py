"""A zygote whose drivers use the toy by default: ``python -m gaovm.testing.toy.zygote``."""

from __future__ import annotations

from gaovm.builder import backends
from gaovm.driver.spawn import zygote
from gaovm.testing.toy import build

TOY = backends.Backend(
    "toy",
    "a process that plays a machine",
    present=True,
    offers=frozenset({"run", "exec", "ports", "guest-info", "pause", "heartbeat"}),
    hypervisors={"x86_64": build.PROGRAM},
    builder="gaovm.testing.toy.build",
    manager="gaovm.testing.toy.manager",
)


def register() -> None:
    """Put the toy first in this process's table of back ends."""
    backends.BACKENDS = (TOY, *backends.BACKENDS)


if __name__ == "__main__":
    register()
    zygote.entry()
