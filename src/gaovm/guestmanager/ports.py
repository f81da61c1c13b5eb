"""A connection to a port or a socket inside the guest. Each of its directions ends on its own."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from gaovm import errors
from gaovm.guestmanager import calls
from gaovm.guestmanager.transport.connection import Connection
from gaovm.guestmanager.transport.stream import Stream
from gaovm.wire import streams
from gaovm.wire.agent import table
from gaovm.wire.agent import tunnel as wire
from gaovm.wire.agent.calls import Problem

CONNECT_LIMIT_S = 30.0


def open_tunnel(connection: Connection) -> Stream:
    """Open the raw stream of a tunnel: frames both ways, which the caller relays."""
    return connection.open("POST", table.TUNNEL.path)


class Tunnel:
    """One connection; ``connect`` makes it. Leaving ``async with`` resets it if it is not over."""

    def __init__(self, stream: Stream, *, whole: bool = False) -> None:
        self._stream = stream
        self._decoder = streams.Decoder(whole=whole)
        self._ready: deque[streams.Frame] = deque()

    @classmethod
    async def connect(
        cls, connection: Connection, address: str, network: wire.Network = "tcp"
    ) -> Tunnel:
        """Connect to ``address`` inside the guest: ``127.0.0.1:80``, or a path for ``unix``.

        With ``udp`` each ``write`` and each ``read`` is one datagram.

        Raises:
            errors.GuestCallFailed: nobody listens there (agent code ``unreachable``).
            errors.GuestUnavailable: the agent is gone, or did not answer within 30 s.
        """
        tunnel = cls(open_tunnel(connection), whole=network == "udp")
        body = msgspec.json.encode(wire.Tunnel(address=address, network=network))
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await tunnel._stream.write(streams.encode(streams.START, body))
                first = await tunnel._next()
            if first is None or first[0] != streams.STARTED:
                raise errors.GuestProtocolError("the agent did not answer a tunnel's start")
        except TimeoutError as exc:
            tunnel.reset()
            raise errors.GuestUnavailable(f"no answer for a tunnel to {address}") from exc
        except BaseException:
            tunnel.reset()
            raise
        return tunnel

    async def __aenter__(self) -> Tunnel:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.reset()

    async def read(self) -> bytes:
        """Return the next bytes from the guest, ``b""`` at the end of its direction.

        Raises:
            errors.GuestCallFailed: the connection inside the guest broke.
            errors.GuestUnavailable: the agent is gone.
        """
        while (frame := await self._next()) is not None:
            kind, payload = frame
            if kind == streams.OUTPUT:
                return payload
            if kind == streams.OUTPUT_EOF:
                break
        return b""

    async def read_datagram(self) -> bytes | None:
        """Return the next datagram, which may be empty; None at the end. Raises as ``read``."""
        while (frame := await self._next()) is not None:
            kind, payload = frame
            if kind == streams.OUTPUT:
                return payload
            if kind == streams.OUTPUT_EOF:
                break
        return None

    async def write(self, data: bytes) -> bool:
        """Send bytes (at most 1 MiB); return False when the guest takes no more."""
        return await self._stream.write(streams.encode(streams.DATA, data))

    async def end(self) -> None:
        """End our direction; the guest's goes on."""
        await self._stream.write(streams.encode(streams.EOF), end=True)

    async def ended(self) -> None:
        """Return when the guest has taken all that was written, after both directions have ended.

        A tunnel that is left before that breaks, and the guest's program may lose the last bytes.
        Raises as ``read``.
        """
        while await self._next() is not None:
            pass

    def reset(self) -> None:
        """Break the connection. Idempotent."""
        self._stream.reset()

    async def _next(self) -> streams.Frame | None:
        while not self._ready:
            chunk = await self._stream.read()
            if not chunk:
                return None
            self._ready.extend(self._decoder.feed(chunk))
        frame = self._ready.popleft()
        if frame[0] == streams.ERROR:
            try:
                problem = msgspec.json.decode(frame[1], type=Problem)
            except msgspec.DecodeError as exc:
                raise errors.GuestProtocolError(f"the agent sent a bad frame: {exc}") from exc
            raise calls.failure(problem.code, problem.message)
        return frame
