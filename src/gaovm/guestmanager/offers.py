"""Ends of the host's in the guest: the guest's programs connect, and the host takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from gaovm import errors
from gaovm.guestmanager import calls
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire import streams
from gaovm.wire.agent import table
from gaovm.wire.agent.calls import Problem
from gaovm.wire.agent.offer import Accepted, Offer

START_LIMIT_S = 30.0
_MAX_ID = 32


async def accept(connection: Connection, wanted: Offer) -> AsyncGenerator[str, None]:
    """Let the agent listen; yield "" when it does, then the id of each connection to it.

    The agent listens until the iterator is closed or the connection ends.

    Raises:
        errors.GuestCallFailed: the agent cannot listen there.
        errors.GuestUnavailable: the connection ended.
        errors.GuestProtocolError: the agent sent something else.
    """
    decoder = streams.Decoder(whole=True)
    async with connection.open("POST", table.OFFER.path) as stream:
        start = streams.encode(streams.START, msgspec.json.encode(wanted))
        await stream.write(start)
        limit: float | None = START_LIMIT_S
        while True:
            try:
                async with asyncio.timeout(limit):
                    chunk = await stream.read()
            except TimeoutError as exc:
                raise errors.GuestUnavailable("no answer for an offer") from exc
            if not chunk:
                raise errors.GuestUnavailable("the agent ended an offer")
            for frame in decoder.feed(chunk):
                limit = None
                yield _event(frame)


def _event(frame: streams.Frame) -> str:
    kind, payload = frame
    try:
        if kind == streams.ERROR:
            problem = msgspec.json.decode(payload, type=Problem)
            raise calls.failure(problem.code, problem.message)
        if kind == streams.STARTED:
            return ""
        if kind == streams.OUTPUT and len(payload) < 4096:
            found = msgspec.json.decode(payload, type=Accepted).id
            if 0 < len(found) <= _MAX_ID:
                return found
    except (msgspec.DecodeError, RecursionError) as exc:
        raise errors.GuestProtocolError(f"the agent sent a bad frame: {exc}") from exc
    raise errors.GuestProtocolError("the agent sent a frame that is no offer's")
