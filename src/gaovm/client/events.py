"""Read the daemon's events one after the other, without an event loop."""

from __future__ import annotations

from gaovm import errors
from gaovm.ipc import methods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from gaovm.ipc import blocking


class EventStream:
    """Iterate over events in the order of their numbers; wait for each next one.

    ``seq`` is the number of the newest event when the stream began, ``oldest`` the oldest that the
    daemon kept then. ``last`` is the number of the last event that the stream gave: resume there.

    Raises (from the iteration):
        errors.ConnectionLost: the daemon went away.
        errors.TooSlow: this program reads too slowly; ``details['seq']`` is where to resume.
    """

    def __init__(self, connection: blocking.BlockingConnection, since: int | None) -> None:
        self._connection = connection
        self._waiting: list[Mapping[str, Any]] = []
        self._failure: errors.GaoError | None = None
        params = {} if since is None else {"since": since}
        answer = connection.call("events.subscribe", params, None, None, self._take)
        self.seq = int(answer.get("seq", 0))
        self.oldest = int(answer.get("oldest", 1))
        self.last = self.seq if since is None else since

    def _take(self, method: str, params: Mapping[str, Any]) -> None:
        if method == methods.EVENT:
            self._waiting.append(params)
        elif method == methods.EVENT_LAGGED:
            self._failure = lagged(params)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        while True:
            for event in self._waiting:
                self.last = int(event.get("seq", self.last))
                yield event
            self._waiting = []
            if self._failure is not None:
                raise self._failure
            self._connection.wait_notification(self._take, None)


def lagged(params: Mapping[str, Any]) -> errors.GaoError:
    """Return the error in an ``event.lagged`` notification."""
    error = params.get("error")
    return errors.from_wire(error if isinstance(error, dict) else {})
