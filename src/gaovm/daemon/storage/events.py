"""The log of events: the database numbers them and stores them before any subscriber gets them.

Events and records are written in call order (``store``). Subscribers get an event once its commit
has returned, so a crash cannot undo an event that was reported. Numbers grow by one and are never
used twice. Old events are dropped (``retention``); events that a guest causes have their own limit
(``rates``).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gaovm.aio import pubsub
from gaovm.daemon import timestamps
from gaovm.daemon.storage import rates, retention, store
from gaovm.wire import anyjson
from gaovm.wire.control import events as wire
from gaovm.wire.control import payloads

Event = wire.Event
Feed = pubsub.Subscription[Event]

_APPEND = "INSERT INTO events (ts, type, vm, payload) VALUES (?, ?, ?, ?)"
_READ = "SELECT seq, ts, type, vm, payload FROM events WHERE seq > ? ORDER BY seq LIMIT ?"


class Events:
    """Writes events and publishes them. Ends slow subscribers and does not wait for them."""

    def __init__(self, database: store.Store) -> None:
        self._store = database
        self._topic: pubsub.Topic[Event] = pubsub.Topic()
        self._listeners: list[Callable[[list[Event]], None]] = []
        self.last = database.look(_last)
        """The number of the newest published event."""
        self._retention = retention.Retention(self.last, database.look(_oldest) or self.last + 1)
        self._rates = rates.Rates(self._tell_suppressed)
        database.upkeep.add(self._retention)
        database.listen(self._on_commit)

    @property
    def oldest(self) -> int:
        """The number of the oldest event that is kept; ``last + 1`` if none is."""
        return self._retention.oldest

    def tell(self, vm: str | None, payload: payloads.Payload) -> asyncio.Future[Event]:
        """Write this payload's event; see ``emit``."""
        return self.emit(payload.TYPE, vm, msgspec.to_builtins(payload))

    def tell_of_guest(self, vm: str, payload: payloads.Payload) -> None:
        """Like ``tell``, for events that a guest can cause at will: within the VM's rate."""
        self.emit_of_guest(payload.TYPE, vm, msgspec.to_builtins(payload))

    def emit(self, kind: str, vm: str | None, payload: anyjson.Object) -> asyncio.Future[Event]:
        """Write an event of any type; never waits. Done when it is on disk and published.

        If a record changes in the same turn of the event loop, both are on disk, or neither.
        """
        ts, text = timestamps.now(), msgspec.json.encode(payload).decode()
        kept = self._retention

        def append(connection: sqlite3.Connection) -> Event:
            seq = connection.execute(_APPEND, (ts, kind, vm, text)).lastrowid or 0
            kept.appended(seq, vm, len(text))
            return Event(seq=seq, type=kind, vm=vm, payload=payload, ts=ts)

        written = self._store.write(append)
        written.add_done_callback(self._on_written)
        return written

    def _on_written(self, written: asyncio.Future[Event]) -> None:
        if not written.cancelled() and written.exception() is not None:
            self._retention.doubt()

    def emit_of_guest(self, kind: str, vm: str, payload: anyjson.Object) -> None:
        """Like ``emit``, within the VM's rate."""
        if self._rates.admit(vm, kind):
            self.emit(kind, vm, payload)

    def _tell_suppressed(self, vm: str, types: Mapping[str, int]) -> None:
        payload = payloads.EventsSuppressed(count=sum(types.values()), types=dict(types))
        self.tell(vm, payload)

    def forget(self, vm: str) -> None:
        """Stop counting for a VM that was removed."""
        self._rates.forget(vm)

    def subscribe(self) -> Feed:
        """Subscribe, in this process, to everything published from now on."""
        return self._topic.subscribe()

    def listen(self, callback: Callable[[list[Event]], None]) -> None:
        """Give every batch of new events to ``callback``, in order, as soon as it is on disk."""
        self._listeners.append(callback)

    def read(self, after: int, limit: int) -> asyncio.Future[list[Event]]:
        """Return up to ``limit`` stored events with numbers above ``after``, oldest first."""
        return self._store.read(lambda connection: _read(connection, after, limit))

    def close(self) -> None:
        """End every subscription."""
        self._rates.close()
        self._topic.close()

    def _on_commit(self, results: list[Any]) -> None:
        new = [result for result in results if type(result) is Event]
        if not new:
            return
        self.last = new[-1].seq
        for event in new:
            self._topic.publish(event)
        for callback in self._listeners:
            callback(new)


def _read(connection: sqlite3.Connection, after: int, limit: int) -> list[Event]:
    found = connection.execute(_READ, (after, limit)).fetchall()
    return [
        Event(seq=seq, type=kind, vm=vm, payload=msgspec.json.decode(payload), ts=ts)
        for seq, ts, kind, vm, payload in found
    ]


def _last(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return row[0] if row else 0


def _oldest(connection: sqlite3.Connection) -> int | None:
    (seq,) = connection.execute("SELECT min(seq) FROM events").fetchone()
    return None if seq is None else int(seq)
