"""``gaovm events``: print what happened and follow what happens, from the daemon's event log."""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import calls, options, output
from gaovm.model import event_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gaovm.client import blocking
    from gaovm.client.events import EventStream


def run(parsed: options.Parsed) -> int:
    """Print the stored events, or follow."""
    shown = _Shown(parsed)
    with calls.connect() as client:
        stream = client.events(shown.since)
        shown.note_lost(stream)
        if not parsed.flag("follow"):
            _print_stored(stream, shown)
            return 0
        failure = _follow(client, stream, shown)
    while True:
        output.err(f"gaovm: {failure.message}; waiting for the daemon")
        client = _await_daemon(failure)
        with client:
            failure = _follow(client, _resume(client, shown), shown)


class _Shown:
    """Hold what to show, how, and the last number shown."""

    def __init__(self, parsed: options.Parsed) -> None:
        self._json = parsed.flag("json")
        self._vm = parsed.text("vm")
        self._types = parsed.many("type")
        for wanted in self._types:
            if not event_names.is_known(wanted):
                raise errors.UsageError(
                    f"--type: there are no events {output.harmless(wanted)!r}",
                    remedy=f"a type, or one of the groups {', '.join(event_names.GROUPS)}",
                )
        follow = parsed.flag("follow")
        self.since = parsed.number("since")
        if self.since is None and not follow:
            self.since = 0

    def show(self, event: Mapping[str, Any]) -> None:
        self.since = int(event["seq"])
        if self._wanted(event):
            output.out(_json_line(event) if self._json else text(event))

    def _wanted(self, event: Mapping[str, Any]) -> bool:
        if self._vm is not None and event.get("vm") != self._vm:
            return False
        kind = str(event.get("type"))
        return not self._types or any(event_names.matches(kind, each) for each in self._types)

    def note_lost(self, stream: EventStream) -> None:
        """Say which of the wanted events are gone; 0 asks for whatever is there."""
        if self.since is None:
            self.since = stream.seq
        elif 0 < self.since < stream.oldest - 1:
            output.err(f"gaovm: events {self.since + 1} to {stream.oldest - 1} are not kept")


def _print_stored(stream: EventStream, shown: _Shown) -> None:
    if stream.oldest > stream.seq or stream.last >= stream.seq:
        return
    for event in stream:
        shown.show(event)
        if stream.last >= stream.seq:
            return


def _follow(client: blocking.Client, stream: EventStream, shown: _Shown) -> errors.GaoError:
    """Show events until the daemon goes away; return why it went."""
    while True:
        try:
            for event in stream:
                shown.show(event)
                sys.stdout.flush()
        except errors.ConnectionLost as exc:
            return exc
        except errors.TooSlow:
            # the reader of our output is slow; the event log has the rest
            stream = _resume(client, shown)


def _resume(client: blocking.Client, shown: _Shown) -> EventStream:
    try:
        stream = client.events(shown.since)
    except errors.InvalidParams as exc:
        # the daemon began a new log: show all of it
        output.err(f"gaovm: {exc.message}")
        shown.since = 0
        stream = client.events(0)
    shown.note_lost(stream)
    return stream


def _await_daemon(failure: errors.GaoError) -> blocking.Client:
    """Connect as soon as a daemon listens again; its new socket file wakes us."""
    from gaovm.platform import notices

    told = notices.contents([calls.home()])
    try:
        while True:
            try:
                return calls.connect(start=False)
            except (errors.DaemonUnreachable, errors.ConnectionLost):
                if not notices.wait(told):
                    raise failure from None
    finally:
        told.close()


def text(event: Mapping[str, Any]) -> str:
    """Write one event for people: time, number, VM, type, and what it carries."""
    payload = event.get("payload")
    facts = payload.items() if isinstance(payload, dict) else ()
    words = [f"{key}={_value(value)}" for key, value in facts if value is not None]
    head = f"{event.get('ts')}  {event.get('seq'):>6}  {event.get('vm') or '-':16}"
    return output.one_line(f"{head}  {event.get('type'):24}  {' '.join(words)}".rstrip())


def _value(value: object) -> str:
    if isinstance(value, str) and value.isprintable() and " " not in value and value:
        return value
    return output.json_text(value)


def _json_line(event: Mapping[str, Any]) -> str:
    return output.json_text(event)


EVENTS = options.Command(
    "events",
    run,
    about="Show what happened: the stored events, oldest first, each with its number.\n"
    "With -f, show what happens from now on; if the daemon restarts, wait for it, and lose\n"
    "or repeat nothing.",
    options=(
        options.Option("-f, --follow", "wait for more; Ctrl-C ends"),
        options.Option("--since", "only events after number N (0: all)", value="N", kind="number"),
        options.Option("--vm", "only events of one VM", value="NAME"),
        options.Option(
            "--type",
            "only this type or group (driver); repeatable",
            value="TYPE",
            many=True,
        ),
        options.Option("--json", "one JSON object a line"),
    ),
    examples=(
        "gaovm events",
        "gaovm events -f --vm web-dev",
        "gaovm events -f --json --since 1042",
        "gaovm events --type driver --type vm.state",
    ),
)
