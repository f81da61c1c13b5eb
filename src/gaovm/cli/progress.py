"""Show progress on standard error: an updating line per phase on a terminal, else plain lines.

The daemon names the phases (``image``, ``boot``, ``provision``). When the next one begins, the line
of the old one stays with the time it took. On a terminal a timer redraws the line once a
second, so the elapsed time runs while nothing arrives.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from gaovm.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType, TracebackType
    from typing import Any

PLAIN_EVERY_S = 5.0
"""In plain output one phase speaks at most this often: the log of a slow build stays readable."""
_TICK_S = 1.0
_LABEL = 10


class Progress:
    """Show ``progress`` notifications; a context manager. This base shows nothing (``-q``)."""

    def update(self, params: Mapping[str, Any]) -> None:
        """Show one notification: ``phase``, ``message`` and optional figures."""

    def note(self, text: str) -> None:
        """Print one line that stays."""

    def rest(self) -> None:
        """Leave the terminal to a question, until the next notification."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(failed=kind is not None)

    def close(self, *, failed: bool) -> None:
        """End the current line."""


class Plain(Progress):
    """Print plain lines for logs and pipes: every new phase, then at most one line in 5 s."""

    def __init__(
        self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._now = now
        self._phase = ""
        self._next = 0.0
        self._last = ""

    def update(self, params: Mapping[str, Any]) -> None:
        phase, text = str(params.get("phase", "")), describe(params)
        now = self._now()
        if text == self._last or (phase == self._phase and now < self._next):
            return
        self._phase, self._last, self._next = phase, text, now + PLAIN_EVERY_S
        self._write(f"{text}\n")

    def note(self, text: str) -> None:
        self._write(f"{text}\n")


class Terminal(Progress):
    """Redraw one line per phase in place."""

    def __init__(
        self,
        write: Callable[[str], None],
        columns: Callable[[], int],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._columns = columns
        self._now = now
        self._phase = ""
        self._text = ""
        self._began = 0.0

    def update(self, params: Mapping[str, Any]) -> None:
        phase = str(params.get("phase", ""))
        if phase != self._phase:
            self._finish("done")
            self._phase, self._began = phase, self._now()
        self._text = describe(params)
        self.redraw()

    def redraw(self) -> None:
        """Draw the current line again with the time that has passed."""
        if self._phase:
            elapsed = f"  {output.duration(self._now() - self._began)}"
            room = max(self._columns() - len(elapsed) - 1, 10)
            self._write(f"\r\x1b[K{self._text[:room]}{elapsed}")

    def note(self, text: str) -> None:
        self._write(f"\r\x1b[K{text}\n")
        self.redraw()

    def rest(self) -> None:
        self._write("\r\x1b[K")
        self._phase = ""

    def close(self, *, failed: bool) -> None:
        self._finish("failed" if failed else "done")

    def _finish(self, word: str) -> None:
        if self._phase:
            spent = output.duration(self._now() - self._began)
            self._write(f"\r\x1b[K{_label(self._phase)} {word} in {spent}\n")
        self._phase = ""


class _Ticking(Terminal):
    """Redraw a ``Terminal`` at a timer signal; the system restarts interrupted reads."""

    def __enter__(self) -> Progress:
        self._before = signal.signal(signal.SIGALRM, self._tick)
        signal.setitimer(signal.ITIMER_REAL, _TICK_S, _TICK_S)
        return self

    def _tick(self, number: int, frame: FrameType | None) -> None:
        self.redraw()

    def close(self, *, failed: bool) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)
        super().close(failed=failed)


def to_stderr(*, quiet: bool) -> Progress:
    """Return the progress display that fits standard error."""
    if quiet:
        return Progress()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return _Ticking(_write_fd, _stderr_columns)
    return Plain(_write_fd)


def describe(params: Mapping[str, Any]) -> str:
    """Write one notification as one line: phase, message, share, amount, rate, time left."""
    message = str(params.get("message") or "").strip()
    last = output.harmless(message.splitlines()[-1]) if message else ""
    parts = [f"{_label(str(params.get('phase', '')))} {last}".rstrip()]
    done, total = _figure(params, "done_bytes"), _figure(params, "total_bytes")
    percent = _figure(params, "percent")
    if percent is None and done is not None and total:
        percent = min(100 * done / total, 100.0)
    if percent is not None:
        parts.append(f"{percent:.0f}%")
    if done is not None:
        parts.append(f"{output.size(done)} of {output.size(total)}" if total else output.size(done))
    rate, eta = _figure(params, "rate_bytes_s"), _figure(params, "eta_s")
    if rate is not None:
        parts.append(f"{output.size(rate)}/s")
    if eta is not None:
        parts.append(f"{output.duration(eta)} left")
    return "  ".join(parts)


def _label(phase: str) -> str:
    return output.harmless(phase)[:24].ljust(_LABEL)


def _figure(params: Mapping[str, Any], key: str) -> float | None:
    value = params.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _write_fd(text: str) -> None:
    # unbuffered: the timer's handler may run in the middle of a buffered write
    os.write(2, text.encode(errors="replace"))


def _stderr_columns() -> int:
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80
