"""Programs in the guest: run one to its end, or open the raw stream of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec

from gaovm import errors
from gaovm.aio import tasks
from gaovm.guestmanager import calls, frames
from gaovm.guestmanager.connection import Connection
from gaovm.guestmanager.stream import Stream

PATH = "/v1/exec"
BENCH_PATH = "/v1/bench/spawn"
T = TypeVar("T")
OnOutput = Callable[[int, bytes], None]
SMALL_INPUT = 256 << 10


class Command(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The START frame of an exec."""

    argv: list[str]
    env: dict[str, str] = {}
    cwd: str = ""
    cwd_home_ok: bool = False
    user: str = ""
    login: bool = False


class Exit(msgspec.Struct):
    """How a program ended: a status, or the signal that killed it."""

    status: int | None = None
    signal: int | None = None

    @property
    def code(self) -> int:
        """The status as a shell shows it."""
        return 128 + self.signal if self.signal else (self.status or 0)


class _Error(msgspec.Struct):
    code: str = "internal"
    message: str = ""


def open_exec(connection: Connection) -> Stream:
    """The raw stream of an exec: frames both ways, for a caller that relays them."""
    return connection.open("POST", PATH)


def open_spawn_bench(connection: Connection) -> Stream:
    """The raw call that measures the agent's own fork, exec and wait; JSON both ways."""
    return connection.open("POST", BENCH_PATH)


async def run(
    connection: Connection,
    command: Command,
    *,
    stdin: bytes = b"",
    on_output: OnOutput | None = None,
    limit_s: float | None = None,
) -> Exit:
    """Run a program to its end; ``on_output`` gets the frame type (OUTPUT, STDERR) and bytes.

    A caller that is cancelled, or the time limit, ends the program in the guest.

    Raises:
        errors.GuestCallFailed: the agent could not start it.
        errors.GuestUnavailable, errors.GuestProtocolError: the agent is gone or broke the protocol.
        TimeoutError: ``limit_s`` passed.
    """
    start = frames.encode(frames.START, msgspec.json.encode(command))
    async with asyncio.timeout(limit_s), open_exec(connection) as stream:
        await stream.write(start)
        if len(stdin) <= SMALL_INPUT:
            await _feed(stream, stdin)
            return await _read(stream, on_output)
        # A program that writes while it reads would else fill every buffer in between.
        feeder = tasks.spawn(_feed(stream, stdin), name="stdin")
        try:
            return await _read(stream, on_output)
        finally:
            await tasks.cancel_and_wait(feeder)


async def _feed(stream: Stream, stdin: bytes) -> None:
    for at in range(0, len(stdin), frames.MAX_PAYLOAD):
        await stream.write(frames.encode(frames.DATA, stdin[at : at + frames.MAX_PAYLOAD]))
    await stream.write(frames.encode(frames.EOF), end=True)


async def _read(stream: Stream, on_output: OnOutput | None) -> Exit:
    decoder = frames.Decoder()
    while chunk := await stream.read():
        for frame in decoder.feed(chunk):
            if frame.kind in (frames.OUTPUT, frames.STDERR):
                if on_output is not None:
                    on_output(frame.kind, frame.payload)
            elif frame.kind == frames.EXIT:
                return _decode(frame.payload, Exit)
            elif frame.kind == frames.ERROR:
                problem = _decode(frame.payload, _Error)
                raise calls.failure(problem.code, problem.message)
    raise errors.GuestUnavailable("the program's stream ended without an exit status")


def _decode(payload: bytes, into: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=into)
    except msgspec.DecodeError as exc:
        raise errors.GuestProtocolError(f"the agent sent a bad frame: {exc}") from exc
