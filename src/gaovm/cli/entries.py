"""Read, choose, merge and print lines of logs with their time, level and source."""

from __future__ import annotations

import datetime
import heapq
import json

from gaovm.cli import logfiles, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

LEVELS = ("error", "warn", "info", "debug")
_LAST_S = 253402300799  # the end of the year 9999
_PREFIXES = ("gaovm.driver.", "gaovm.daemon.", "gaovm.")


class Entry:
    """Hold one line. ``when``: seconds since 1970, None when the line does not say."""

    __slots__ = ("data", "level", "message", "source", "vm", "when")

    def __init__(
        self, source: str, when: float | None, level: str, message: str, data: dict[str, Any]
    ) -> None:
        self.source, self.when, self.level, self.message = source, when, level, message
        self.data = data
        self.vm = data.get("vm")

    def text(self, *, with_source: bool) -> str:
        """Write the line for people."""
        parts = [stamp(self.when or 0)]
        if with_source:
            parts.append(f"{self.source:9}")
        parts.append(f"{self.level:5}")
        logger = self.data.get("logger")
        if isinstance(logger, str):
            for prefix in _PREFIXES:
                logger = logger.removeprefix(prefix)
            parts.append(f"{logger}:")
        first, *more = self.message.split("\n")
        parts.append(first)
        # indented, so that no line of a message looks like an entry
        lines = [" ".join(parts).rstrip(), *(f"    {line}" for line in more)]
        error = self.data.get("error")
        if isinstance(error, str):
            lines += [f"    {line}" for line in error.splitlines()]
        return output.harmless("\n".join(lines)) + "\n"

    def json(self) -> str:
        """Write the line as a JSON object: its own fields, and ``source``."""
        line = {"ts": stamp(self.when or 0), "source": self.source, "level": self.level or None}
        line.update({key: value for key, value in self.data.items() if key not in line})
        line["message"] = self.message
        kept = {key: value for key, value in line.items() if value is not None}
        return output.json_text(kept) + "\n"


class Source:
    """Describe one log: a name, its file, and whether it holds JSON lines or bytes with an index.

    ``vm``: the one VM that it is about, None for the daemon's log.
    """

    def __init__(self, name: str, path: Path, *, plain: bool, vm: str | None = None) -> None:
        self.name, self.path, self.plain, self.vm = name, path, plain, vm
        self._times = logfiles.Times(path) if plain else None

    def entry(self, line: logfiles.Line) -> Entry:
        """Make an entry of a line of the file."""
        data, inode, offset = line
        if self._times is not None:
            message = data.decode("utf-8", "replace").rstrip("\r\n")
            return Entry(self.name, self._times.find(inode, offset), "", message, {"vm": self.vm})
        entry = _structured(self.name, data)
        if self.vm is not None:
            entry.vm = entry.data["vm"] = self.vm
        return entry


class Choice:
    """Say which entries the user wants. ``vm``: only entries about this VM."""

    def __init__(
        self, level: str | None = None, since: float | None = None, vm: str | None = None
    ) -> None:
        self.levels = LEVELS if level is None else LEVELS[: LEVELS.index(level) + 1]
        self.since = since
        self.vm = vm

    def takes(self, entry: Entry) -> bool:
        """Tell whether the user wants an entry; plain output of the guest counts as info."""
        return (
            bool(entry.level or entry.message)
            and (entry.level or "info") in self.levels
            and (self.since is None or (entry.when or 0) >= self.since)
            and (self.vm is None or entry.vm == self.vm)
        )


def forwards(source: Source, file: logfiles.LogFile) -> Iterator[Entry]:
    """Yield every entry, oldest first; one without a time gets the time of the one before it."""
    when = 0.0
    for line in file.lines():
        entry = source.entry(line)
        when = entry.when = when if entry.when is None else entry.when
        yield entry


def backwards(source: Source, file: logfiles.LogFile) -> Iterator[Entry]:
    """Yield every entry as ``forwards`` does, but newest first."""
    waiting: list[Entry] = []
    for line in file.lines_back():
        entry = source.entry(line)
        waiting.append(entry)
        if entry.when is None and len(waiting) < 1000:
            continue
        for each in waiting:
            each.when = entry.when or 0
            yield each
        waiting = []
    for each in waiting:
        each.when = 0
        yield each


def last(source: Source, file: logfiles.LogFile, choice: Choice, count: int) -> list[Entry]:
    """Return the last ``count`` wanted entries, oldest first."""
    found: list[Entry] = []
    if count > 0:
        for entry in backwards(source, file):
            if choice.since is not None and entry.when and entry.when < choice.since:
                break
            if choice.takes(entry):
                found.append(entry)
                if len(found) == count:
                    break
    found.reverse()
    return found


def last_of_all(
    sources: Sequence[Source], files: Sequence[logfiles.LogFile], choice: Choice, count: int
) -> list[Entry]:
    """Return the last ``count`` wanted entries of all sources together."""
    pairs = zip(sources, files, strict=True)
    lists = [last(source, file, choice, count) for source, file in pairs]
    return list(merged(lists))[-count:] if count else []


def merged(sources: Iterable[Iterable[Entry]]) -> Iterator[Entry]:
    """Merge several sources by time; entries of one time stay in the order given."""
    return heapq.merge(*sources, key=lambda entry: entry.when or 0)


def stamp(seconds: float) -> str:
    """Write a time as logs do: UTC, with milliseconds."""
    moment = datetime.datetime.fromtimestamp(min(max(seconds, 0), _LAST_S), datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def parse_time(text: str) -> float | None:
    """Return seconds since 1970 of an ISO 8601 time, local without a zone; None if it is none."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _structured(source: str, line: bytes) -> Entry:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or not isinstance(data.get("message"), str):
        # output past the logger: the traceback of a crash, a library's complaint
        return Entry(source, None, "error", line.decode("utf-8", "replace").rstrip("\r\n"), {})
    stamped, level = data.get("ts"), data.get("level")
    when = parse_time(stamped) if isinstance(stamped, str) else None
    return Entry(source, when, level if level in LEVELS else "info", data["message"], data)
