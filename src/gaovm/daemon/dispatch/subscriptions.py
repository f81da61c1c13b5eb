"""Send the log of events to the connections that subscribed in one protocol.

Each event is encoded once for all subscribers. In each turn of the event loop, a connection gets
all new events in one piece. A subscriber is a cursor: the number of the last event that
was handed to its connection. A subscriber that asks for the past reads the database until it has
caught up, and then goes on in memory, without a gap or a repeat. If it then falls behind what
memory holds, its subscription ends with ``TooSlow``; it may subscribe again from its cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gaovm import errors
from gaovm.daemon.storage import events
from gaovm.ipc import connection, methods, transport
from gaovm.wire import anyjson

#: How far a subscriber may fall behind: seconds of the busiest machine, a megabyte or two.
KEPT_EVENTS = 4096
KEPT_BYTES = 8 << 20
#: How many bytes a connection gets at once.
PIECE_BYTES = 256 << 10
#: Most subscribers are at the same place, so these pieces are made once for all of them.
KEPT_PIECES = 16
#: Events read from the database at once.
PAGE = 500

Translate = Callable[[events.Event], anyjson.Object | None]
CutOff = Callable[[connection.Connection, errors.TooSlow], None]


class _Tail:
    """The newest events as frames; ``dropped`` is the newest number that memory no longer has."""

    def __init__(self, last: int) -> None:
        self.last = self.dropped = last
        self._frames: list[bytes] = []
        self._bytes = 0
        self._pieces: dict[int, tuple[bytes, int]] = {}

    def add(self, frames: list[bytes]) -> None:
        self._pieces.clear()
        self._frames += frames
        self._bytes += sum(map(len, frames))
        self.last += len(frames)
        # half at a time: taking from the front of a list costs its length
        if len(self._frames) > 2 * KEPT_EVENTS or self._bytes > 2 * KEPT_BYTES:
            self._trim()

    def _trim(self) -> None:
        size = kept = 0
        for frame in reversed(self._frames):
            size += len(frame)
            if kept == KEPT_EVENTS or (kept and size > KEPT_BYTES):
                break
            kept += 1
        del self._frames[:-kept]
        self._bytes = sum(map(len, self._frames))
        self.dropped = self.last - kept

    def after(self, cursor: int) -> tuple[bytes, int]:
        """Return the frames of events above ``cursor``, and the number of the last of them."""
        piece = self._pieces.get(cursor)
        if piece is None:
            begin = end = cursor - self.dropped
            size = 0
            while end < len(self._frames) and size < PIECE_BYTES:
                size += len(self._frames[end])
                end += 1
            piece = b"".join(self._frames[begin:end]), self.dropped + end
            if len(self._pieces) >= KEPT_PIECES:
                self._pieces.clear()
            self._pieces[cursor] = piece
        return piece


class _Follower:
    """One subscriber. ``live``: it caught up once, so if it falls behind, it reads too slowly."""

    __slots__ = ("cursor", "live", "reading")

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.live = False
        self.reading = False


class Subscriptions:
    """All subscribers of one protocol.

    ``translate`` gives an event's parameters, or None where the protocol has no such event;
    ``cut_off`` tells a subscriber that it was too slow.
    """

    def __init__(self, log: events.Events, translate: Translate, cut_off: CutOff) -> None:
        self._log = log
        self._translate = translate
        self._cut_off = cut_off
        self._tail = _Tail(log.last)
        self._followers: dict[connection.Connection, _Follower] = {}
        self._known: set[connection.Connection] = set()
        self._scheduled = False
        log.listen(self._on_events)

    def subscribe(self, client: connection.Connection, since: int | None = None) -> None:
        """Send the events after ``since``, or from now on; a second call moves the cursor.

        Raises:
            errors.InvalidParams: ``since`` is above the newest number.
        """
        last, oldest = self._log.last, self._log.oldest
        if since is not None and since > last:
            raise errors.InvalidParams(
                f"the log of events ends at {last}, {since} has not happened",
                field="since",
                remedy="subscribe without since, or from 0",
                details={"seq": last, "oldest": oldest},
            )
        if since is None and client in self._followers:
            return
        # events that are not kept any more are skipped; the answer says so
        self._followers[client] = _Follower(last if since is None else max(since, oldest - 1))
        if client not in self._known:
            self._known.add(client)
            client.on_close(lambda: self._forget(client))
            client.on_drain(lambda: self._pump_one(client))
        self._schedule()

    def cursors(self) -> dict[connection.Connection, int]:
        """Return the cursor of each connection, from where a subscription can go on."""
        return {client: follower.cursor for client, follower in self._followers.items()}

    def _forget(self, client: connection.Connection) -> None:
        self._followers.pop(client, None)
        self._known.discard(client)

    def _on_events(self, new: list[events.Event]) -> None:
        self._tail.add([self._encode(event) for event in new])
        self._schedule()

    def _encode(self, event: events.Event) -> bytes:
        params = self._translate(event)
        return b"" if params is None else transport.encode(methods.EVENT, params)

    def _schedule(self) -> None:
        # in the next turn, so that the events of several commits go out together
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._pump_all)

    def _pump_all(self) -> None:
        self._scheduled = False
        for client, follower in list(self._followers.items()):
            self._pump(client, follower)

    def _pump_one(self, client: connection.Connection) -> None:
        follower = self._followers.get(client)
        if follower is not None:
            self._pump(client, follower)

    def _pump(self, client: connection.Connection, follower: _Follower) -> None:
        tail = self._tail
        while not follower.reading:
            if follower.cursor >= tail.last:
                follower.live = True
                return
            if follower.cursor < tail.dropped and follower.live:
                self._end(client, follower)
                return
            if client.congested:
                return
            if follower.cursor < tail.dropped:
                follower.reading = True
                client.start(self._read_page(client, follower), name="events of the past")
                return
            data, follower.cursor = tail.after(follower.cursor)
            if data:
                client.send_encoded(data)

    async def _read_page(self, client: connection.Connection, follower: _Follower) -> None:
        try:
            page = await self._log.read(follower.cursor, PAGE)
        except errors.GaoError as exc:
            client.close(exc)
            return
        if self._followers.get(client) is not follower:
            return  # the client has subscribed again
        if self._log.oldest > follower.cursor + 1:
            self._end(client, follower)  # the events it needs were dropped while it read
            return
        # Numbers are missing when a VM had more to tell than its share. If the page is empty, all
        # of them are, and the next event is in memory.
        client.send_encoded(b"".join(map(self._encode, page)))
        follower.cursor = page[-1].seq if page else self._tail.dropped
        follower.reading = False
        self._pump(client, follower)

    def _end(self, client: connection.Connection, follower: _Follower) -> None:
        del self._followers[client]
        self._cut_off(
            client,
            errors.TooSlow(
                f"the subscriber fell behind: event {follower.cursor + 1} cannot be sent any more",
                remedy=f"subscribe again with since {follower.cursor}",
                details={"seq": follower.cursor},
            ),
        )
