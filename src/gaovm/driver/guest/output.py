"""The output of a script in the guest: all of it is logged, some reported, its end kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gaovm.aio import clock
from gaovm.driver.logs import StampedLog

TAIL_LINES = 20
MAX_LINE = 1000
REPORT_EVERY_S = 0.1
#: Takes a phase and a message.
Report = Callable[[str, str], None]


class Output:
    """The lines of one script: logs all, keeps the last ones, reports some."""

    def __init__(self, log: StampedLog, phase: str, name: str, report: Report) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._log, self._phase, self._name, self._report = log, phase, name, report
        self._partial = b""
        self._reported = 0.0

    def take(self, kind: int, data: bytes) -> None:
        """Take bytes of stdout or stderr (``kind``: the frame's)."""
        self._log.write(data)
        *lines, rest = (self._partial + data).replace(b"\r", b"\n").split(b"\n")
        self._partial = rest[-MAX_LINE:]
        for line in lines:
            self._line(line)

    def finish(self) -> list[str]:
        """Return the last lines."""
        self._line(self._partial)
        self._partial = b""
        return list(self.tail)

    def _line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()[:MAX_LINE]
        if not text:
            return
        self.tail.append(text)
        if clock.monotonic() - self._reported >= REPORT_EVERY_S:
            self._reported = clock.monotonic()
            self._report(self._phase, f"{self._name}: {text}")
