"""The parts of a start in which one way differs from another.

``start.Starter`` owns what every start has in common: the VM's turn, the intent in the database,
the driver's process, events, marks for callers, and what follows a failure. It calls a strategy in
the order of the methods below; one strategy serves one start, and may keep what it made.
"""

from __future__ import annotations

from typing import Protocol

from gaovm.daemon.vms import driver_protocol


class Strategy(Protocol):
    """One start of one VM.

    Each method may be cancelled, and may raise any ``errors.GaoError``: the start has failed then,
    and the driver is taken down. A crash may follow each of them, so what a method leaves on disk
    must suit the next start, or be recorded in the database before it is made.
    """

    @property
    def phases(self) -> tuple[str, ...]:
        """The names of this start's phases in the progress, in order, up to the agent's answer.

        They are among ``model.phases.BEFORE_AGENT``: if the caller leaves, the start is undone.
        """
        ...

    async def take_config(self) -> None:
        """Decide which config this start runs; called before the intent is written."""
        ...

    async def prepare(self) -> None:
        """Make ready on disk what the driver works with; the driver is launched meanwhile."""
        ...

    async def configure(self, driver: driver_protocol.Driver) -> None:
        """Give the driver its VM, and record what it chose. No hypervisor runs yet."""
        ...

    async def begin(self, driver: driver_protocol.Driver) -> None:
        """Let the hypervisor run; returns as soon as it does."""
        ...

    async def until_answered(self) -> None:
        """Return when the guest's agent answers.

        Raises:
            errors.BootFailed: it does not answer within this strategy's time limit.
        """
        ...

    async def undo(self, *, created: bool) -> None:
        """Bring the VM back to what it was before a start that nobody wants any more.

        ``created``: the start made the VM, so there was none. Called with the VM's turn held, at
        whatever point the start is, also before its first method.
        """
        ...
