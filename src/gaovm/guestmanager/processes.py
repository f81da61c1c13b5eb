"""Programs in the guest: run one to its end, or open its raw stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec

from gaovm import errors
from gaovm.aio import tasks
from gaovm.guestmanager import calls
from gaovm.guestmanager.transport.connection import Connection
from gaovm.guestmanager.transport.stream import Stream
from gaovm.wire import streams
from gaovm.wire.agent import table
from gaovm.wire.agent.calls import Problem
from gaovm.wire.agent.processes import Command, Exit

T = TypeVar("T")
OnOutput = Callable[[int, bytes], None]
SMALL_INPUT = 256 << 10


def open_exec(connection: Connection) -> Stream:
    """Open the raw stream of an exec: frames both ways, which the caller relays."""
    return connection.open("POST", table.EXEC.path)


def open_ssh(connection: Connection) -> Stream:
    """Open the raw stream of an SSH connection, which the caller relays."""
    return connection.open("POST", table.SSH.path)


async def run(
    connection: Connection,
    command: Command,
    *,
    stdin: bytes = b"",
    on_output: OnOutput | None = None,
    limit_s: float | None = None,
) -> Exit:
    """Run a program to its end; call ``on_output`` with the frame type (OUTPUT, STDERR) and bytes.

    When the caller is cancelled or ``limit_s`` seconds pass, the program in the guest ends too.

    Raises:
        errors.GuestCallFailed: the agent could not start it.
        errors.GuestUnavailable, errors.GuestProtocolError: the agent is gone or broke the protocol.
        TimeoutError: ``limit_s`` passed.
    """
    start = streams.encode(streams.START, msgspec.json.encode(command))
    async with asyncio.timeout(limit_s), open_exec(connection) as stream:
        await stream.write(start)
        if len(stdin) <= SMALL_INPUT:
            await _feed(stream, stdin)
            return await _read(stream, on_output)
        # A program that writes while it reads fills every buffer unless somebody reads meanwhile.
        feeder = tasks.spawn(_feed(stream, stdin), name="stdin")
        try:
            return await _read(stream, on_output)
        finally:
            await tasks.cancel_and_wait(feeder)


async def _feed(stream: Stream, stdin: bytes) -> None:
    for at in range(0, len(stdin), streams.MAX_PAYLOAD):
        await stream.write(streams.encode(streams.DATA, stdin[at : at + streams.MAX_PAYLOAD]))
    await stream.write(streams.encode(streams.EOF), end=True)


async def _read(stream: Stream, on_output: OnOutput | None) -> Exit:
    decoder = streams.Decoder()
    while chunk := await stream.read():
        for kind, payload in decoder.feed(chunk):
            if kind in (streams.OUTPUT, streams.STDERR):
                if on_output is not None:
                    on_output(kind, payload)
            elif kind == streams.EXIT:
                return _decode(payload, Exit)
            elif kind == streams.ERROR:
                problem = _decode(payload, Problem)
                raise calls.failure(problem.code, problem.message)
    raise errors.GuestUnavailable("the program's stream ended without an exit status")


def _decode(payload: bytes, into: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=into)
    except msgspec.DecodeError as exc:
        raise errors.GuestProtocolError(f"the agent sent a bad frame: {exc}") from exc
