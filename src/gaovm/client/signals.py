"""Turn signals into readable bytes, for a loop that forwards them to a guest."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType, TracebackType
    from typing import Any

FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


class SignalPipe:
    """Inside the context, the wanted signals only make ``fd`` readable; ``take`` returns them.

    Signals that this process ignores since its start (nohup) stay ignored. Main thread only.
    """

    def __init__(self, wanted: Iterable[int]) -> None:
        self._wanted = tuple(wanted)
        self._before: dict[int, Any] = {}
        self._old_wakeup = -1
        self.fd = -1
        self._write = -1

    def __enter__(self) -> SignalPipe:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)
        self._old_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in self._wanted:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, _ignore)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self.fd)
        os.close(self._write)

    def take(self) -> list[int]:
        """Return the signals that arrived, in order."""
        try:
            data = os.read(self.fd, 512)
        except BlockingIOError:
            return []
        return [number for number in data if number in self._before]


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: Python writes the signal's number into the pipe."""
