"""Progress of long image work: the reported value, and the reader of the builder's output.

Pure except for the clock, which is an argument. A report is an estimate; its share never shrinks
within one piece of work.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a build or a pull is. Unknown figures are None.

    ``percent`` is the share of the whole work, 0 to 100.
    """

    phase: str
    message: str
    done_bytes: int | None = None
    total_bytes: int | None = None
    rate_bytes_s: float | None = None
    eta_s: float | None = None
    percent: float | None = None


Report = Callable[[Progress], None]

# The percentage of a build at which each phase begins. Measured: 19 s of mmdebstrap, 7 s around it.
_STARTS = {
    "index": 1.0,
    "download": 8.0,
    "extract": 25.0,
    "install": 32.0,
    "configure": 55.0,
    "kernel": 70.0,
    "settings": 80.0,
    "cleanup": 82.0,
    "modules": 84.0,
    "pack": 87.0,
    "digest": 94.0,
    "store": 98.0,
}
_ENDS = dict(zip(_STARTS, [*list(_STARTS.values())[1:], 100.0], strict=True))
_MARKS = (
    ("I: running apt-get update", "index", "reading package lists"),
    ("I: downloading packages", "download", "downloading packages"),
    ("I: extracting archives", "extract", "unpacking the base system"),
    ("I: installing essential", "install", "installing the base system"),
    ("I: installing remaining", "configure", "installing packages"),
    ("gaovm: kernel", "kernel", "fetching the kernel"),
    ("gaovm: guest settings", "settings", "configuring the guest"),
    ("I: cleaning package lists", "cleanup", "cleaning up"),
)
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_SIZE = r"([0-9][0-9.,]*) ([kMG]?B)"
_NEED = re.compile(rf"Need to get {_SIZE}(?:/{_SIZE})? of archives")
_GET = re.compile(rf"Get:\d+ .* \[{_SIZE}\]\s*$")
_STEP = re.compile(r"(Unpacking|Setting up) (\S+)")
_STEPS_EXPECTED = 160  # packages unpacked and set up in one installing phase of the known recipes


def parse_size(number: str, unit: str) -> int:
    """Return the bytes of apt's ``29.7 MB``."""
    return int(float(number.replace(",", "")) * _UNITS[unit])


class BuildProgress:
    """Turns mmdebstrap's verbose lines into reports.

    Call ``line`` with each line, and ``phase`` for our own steps.
    """

    def __init__(
        self, report: Report, clock: Callable[[], float], expected_s: float | None = None
    ) -> None:
        self._report, self._clock = report, clock
        self._expected_s = expected_s
        self._started = self._phase_started = clock()
        self._phase, self._message = "start", "starting"
        self._percent = 0.0
        self._done = self._total = self._steps = 0

    def phase(self, phase: str, message: str) -> None:
        """Begin a phase."""
        self._phase, self._message = phase, message
        self._phase_started = self._clock()
        self._done = self._total = self._steps = 0
        self._emit(0.0)

    def line(self, line: str) -> None:
        """Read one line of the builder's output; ignore lines without information."""
        for prefix, phase, message in _MARKS:
            if line.startswith(prefix):
                self.phase(phase, message)
                return
        if match := _NEED.match(line):
            self._total += parse_size(match[1], match[2])
        elif match := _GET.match(line):
            self._done += parse_size(match[1], match[2])
            self._emit(self._done / self._total if self._total else 0.0)
        elif match := _STEP.match(line):
            self._steps += 1
            self._message = f"{match[1].lower()} {match[2].partition(':')[0]}"
            self._emit(self._steps / _STEPS_EXPECTED)

    def _emit(self, share: float) -> None:
        now = self._clock()
        start, end = _STARTS.get(self._phase, 0.0), _ENDS.get(self._phase, 100.0)
        self._percent = max(self._percent, start + (end - start) * min(share, 1.0))
        seconds = now - self._phase_started
        self._report(
            Progress(
                phase=self._phase,
                message=self._message,
                done_bytes=self._done or None,
                total_bytes=self._total or None,
                rate_bytes_s=self._done / seconds if self._done and seconds > 0 else None,
                eta_s=self._eta(now),
                percent=round(self._percent, 1),
            )
        )

    def _eta(self, now: float) -> float | None:
        """Estimate by the duration of an earlier build, else by the share that is done."""
        elapsed = now - self._started
        if self._expected_s is not None:
            return max(0.0, round(self._expected_s - elapsed, 1))
        if self._percent < 5.0:
            return None
        return round(elapsed * (100.0 - self._percent) / self._percent, 1)


class ByteProgress:
    """Reports on one counted stream of bytes, at most five times a second.

    ``before`` bytes are there already; they do not count for the rate.
    """

    def __init__(
        self,
        report: Report,
        clock: Callable[[], float],
        phase: str,
        message: str,
        total: int | None,
        before: int = 0,
    ) -> None:
        self._report, self._clock = report, clock
        self._phase, self._message, self._total = phase, message, total
        self._started, self._before = clock(), before
        self._last = -1.0
        self.done_bytes = before

    def add(self, count: int, *, final: bool = False) -> None:
        """Count more bytes; ``final`` makes a report in any case."""
        self.done_bytes += count
        now = self._clock()
        if not final and self._last >= 0 and now - self._last < 0.2:
            return
        self._last = now
        seconds = now - self._started
        rate = (self.done_bytes - self._before) / seconds if seconds > 0 else None
        total = self._total
        self._report(
            Progress(
                phase=self._phase,
                message=self._message,
                done_bytes=self.done_bytes,
                total_bytes=total,
                rate_bytes_s=rate,
                eta_s=max(0.0, (total - self.done_bytes) / rate) if total and rate else None,
                percent=min(100.0, 100.0 * self.done_bytes / total) if total else None,
            )
        )
