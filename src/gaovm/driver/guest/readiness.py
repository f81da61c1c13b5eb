"""How far the guest's set-up is, as the daemon hears it, and how it ended."""

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
        """Whether the set-up of this boot has ended, successfully or not."""
        return self._settled is not None

    def tell(
        self, readiness: str, error: errors.GaoError | None = None, reason: str | None = None
    ) -> None:
        """Tell the daemon, if the VM runs."""
        if self._status.observed == "running":
            self._status.change("running", readiness, reason=reason, error=error)

    @steps.step
    def settle(self, readiness: str, error: errors.GaoError | None = None) -> None:
        """End the set-up: tell the daemon, and remember the result."""
        self._settled = (readiness, error)
        self.tell(readiness, error)

    def tell_again(self) -> None:
        """Tell the daemon again how the set-up ended, if it has."""
        if self._settled is not None:
            self.tell(*self._settled)

    def unsettle(self) -> None:
        """Note that the guest is set up again."""
        self._settled = None
