"""``gaovm cp``: files and directories between the host and VMs, without SSH."""

from __future__ import annotations

import signal
import time

from gaovm import errors
from gaovm.cli import calls, options, output, progress, target
from gaovm.project import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType
    from typing import Any, NoReturn

_QUIET_S = 1.0
_EVERY_S = 0.2


class Place:
    """One side of a copy: a path, in a VM when ``vm`` is set (``""`` is this project's)."""

    def __init__(self, word: str) -> None:
        head, colon, tail = word.partition(":")
        remote = bool(colon) and "/" not in head and head != ""
        self.vm: str | None = None
        self.path = word
        if remote:
            self.vm = "" if head == "vm" else head
            self.path = tail or "."


def plan(words: Sequence[str]) -> tuple[list[Place], Place]:
    """Split the words into sources and destination.

    Raises:
        errors.UsageError: source and destination are both on the host; or a path is empty, as that
            of an unset variable is.
    """
    if "" in words:
        raise errors.UsageError("an empty path was given", remedy="the current directory is .")
    places = [Place(word) for word in words]
    sources, destination = places[:-1], places[-1]
    if destination.vm is None and any(source.vm is None for source in sources):
        raise errors.UsageError(
            "source and destination are both on the host",
            remedy="one side is vm:PATH (this project's VM) or NAME:PATH\n"
            "a host file whose name has a colon: ./NAME:REST",
        )
    return sources, destination


def run(parsed: options.Parsed) -> int:
    """Copy every source; the first failure ends it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    sources, destination = plan(parsed.words)
    if len(sources) > 1:
        destination.path = _directory(destination)
    names_of = {place: _vm(place) for place in (*sources, destination) if place.vm is not None}
    user = parsed.text("user") or ""
    show = progress.to_stderr(quiet=parsed.flag("quiet"))
    with calls.connect() as client, show:
        for source in sources:
            tickets = {
                place: calls.open_session(client, names_of[place], "copy")
                for place in (source, destination)
                if place in names_of
            }
            meter = Meter(show, source.path)
            try:
                left_out = _copy(tickets, source, destination, user, meter)
            except errors.GuestCallFailed as error:
                path = source.path if source.vm is not None else destination.path
                if path not in error.message:
                    error.message = f"{path}: {error.message}"
                raise
            except errors.GaoError as error:
                vms = {names_of[place] for place in tickets}
                if len(vms) == 1:  # of two VMs the error does not say which it is about
                    calls.name_vm(error, vms.pop())
                raise
            for line in left_out:
                show.note(output.harmless(f"left out: {line}"))
    return 0


def _vm(place: Place) -> str:
    return names.check(place.vm) if place.vm else target.project_vm()


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """End the program by an exception, so that each block removes its half-copied files."""
    raise SystemExit(128 + number)


def _copy(
    tickets: Mapping[Place, Mapping[str, Any]],
    source: Place,
    destination: Place,
    user: str,
    meter: Meter,
) -> list[str]:
    from gaovm.client import copy

    giver, taker = tickets.get(source), tickets.get(destination)
    if giver is not None and taker is not None:
        return copy.copy_between(
            giver, source.path, taker, destination.path, user=user, on_bytes=meter.add
        )
    if giver is not None:
        return copy.copy_out(giver, source.path, destination.path, user=user, on_bytes=meter.add)
    ticket = tickets[destination]
    return copy.copy_in(ticket, source.path, destination.path, user=user, on_bytes=meter.add)


def _directory(destination: Place) -> str:
    """Write the destination of several sources so that it can only be a directory."""
    from pathlib import Path

    if destination.vm is None and not Path(destination.path).is_dir():
        raise errors.UsageError(f"{destination.path} must be a directory: there are many sources")
    return destination.path.rstrip("/") + "/"


class Meter:
    """Count bytes, and show them five times a second once a copy takes longer than a second."""

    def __init__(
        self, show: progress.Progress, name: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._show = show
        self._name = name
        self._now = now
        self._began = now()
        self._next = self._began + _QUIET_S
        self._bytes = 0

    def add(self, count: int) -> None:
        """Note ``count`` more bytes."""
        self._bytes += count
        now = self._now()
        if now < self._next:
            return
        self._next = now + _EVERY_S
        rate = self._bytes / (now - self._began)
        params = {"message": self._name, "done_bytes": self._bytes, "rate_bytes_s": rate}
        self._show.update({"phase": "copy", **params})


CP = options.Command(
    "cp",
    run,
    about="Copy files or directories into, out of or between VMs. vm:PATH is this project's VM,\n"
    "NAME:PATH another; relative paths in a VM start at the user's home. If the destination\n"
    "is a directory, copies go into it. Links stay links, as with cp -a. This needs no SSH.",
    words="SRC... DST",
    count=(2, 1000),
    options=(
        options.Option("-u, --user", "act as this user of the guest", value="USER"),
        options.Option("-r, --recursive", "no effect: directories are copied whole in any case"),
        options.QUIET,
    ),
    examples=(
        "gaovm cp ./x vm:/tmp/x",
        "gaovm cp vm:/var/log ./logs",
        "gaovm cp a b web-dev:",
        "gaovm cp web-dev:/srv/data db-dev:/srv/",
    ),
)
