"""How far the guest is, as the daemon is told, and how its set-up ended."""

from __future__ import annotations

from gaovm import errors
from gaovm.aio import steps
from gaovm.driver.status import Status


class Readiness:
    """The readiness of one guest, over all connections of its agent."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._settled: tuple[str, errors.GaoError | None] | None = None

    @property
    def settled(self) -> bool:
        """Whether the set-up of this boot has ended, well or not."""
        return self._settled is not None

    def tell(
        self, readiness: str, error: errors.GaoError | None = None, reason: str | None = None
    ) -> None:
        """Tell the daemon, if the VM runs."""
        if self._status.observed == "running":
            self._status.change("running", readiness, reason=reason, error=error)

    @steps.step
    def settle(self, readiness: str, error: errors.GaoError | None = None) -> None:
        """The set-up has ended: tell it, and remember it."""
        self._settled = (readiness, error)
        self.tell(readiness, error)

    def tell_again(self) -> None:
        """Tell once more how the set-up ended, if it has."""
        if self._settled is not None:
            self.tell(*self._settled)

    def unsettle(self) -> None:
        """The guest is set up once more."""
        self._settled = None
