"""``vm.session``: a socket and a ticket for bulk bytes, which do not pass through here."""

from __future__ import annotations

from typing import Any

from gaovm import errors
from gaovm.daemon import context, machine, params
from gaovm.model import states

#: A ticket not used for this long is worthless.
TICKET_S = 30.0


async def open_session(ctx: context.Context, call: context.Call, args: params.Session) -> Any:
    """A one-time ticket for the driver's socket.

    Raises:
        errors.StateConflict: the VM does not run.
        errors.GuestUnavailable: its agent does not answer yet.
    """
    subject = ctx.find(args.name)
    driver = driver_with_agent(subject)
    opened = await driver.call("session.open", {"ttl_s": TICKET_S, "kind": args.kind})
    spec = subject.record.spec
    mounts = subject.record.facts.mounts
    return {
        "socket": opened.get("socket"),
        "ticket": opened.get("ticket"),
        "user": spec.guest.user.name,
        "home": spec.guest.user.home,
        "mounts": [
            {"location": mount.get("location"), "mount_point": mount.get("mount_point")}
            for mount in mounts
        ],
    }


def driver_with_agent(subject: machine.Machine) -> machine.Driver:
    """The driver of a VM whose agent has answered."""
    state = subject.state
    if subject.driver is None or state.observed is not states.Observed.RUNNING:
        word, detail = subject.describe()
        raise errors.StateConflict(
            f"VM {subject.name} is not running ({word}{': ' if detail else ''}{detail})",
            remedy="`gaovm up` starts it",
        )
    if subject.paused:
        raise errors.StateConflict(
            f"VM {subject.name} is paused", remedy="`gaovm resume` lets it go on"
        )
    if state.readiness is states.Readiness.BOOTING:
        raise errors.GuestUnavailable(
            f"VM {subject.name} is still booting", remedy="wait for `gaovm up` to return"
        )
    return subject.driver
