"""The events of this daemon's life: numbered, in memory, handed to whoever subscribed."""

from __future__ import annotations

from typing import Any

import msgspec

from gaovm.aio import pubsub
from gaovm.daemon import stamps


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event as clients see it. ``seq`` grows by one, from 1 at the daemon's start."""

    seq: int
    type: str
    vm: str | None
    payload: dict[str, Any]
    ts: str


Feed = pubsub.Subscription[Event]


class Events:
    """Numbers events and publishes them. Slow subscribers are ended, not waited for."""

    def __init__(self) -> None:
        self._seq = 0
        self._topic: pubsub.Topic[Event] = pubsub.Topic()

    def emit(self, kind: str, vm: str | None, payload: dict[str, Any]) -> None:
        """Publish an event; never waits."""
        self._seq += 1
        event = Event(seq=self._seq, type=kind, vm=vm, payload=payload, ts=stamps.now())
        self._topic.publish(event)

    def subscribe(self) -> Feed:
        """Everything that is published from now on."""
        return self._topic.subscribe()

    def close(self) -> None:
        """End every subscription."""
        self._topic.close()
