"""Run programs to their end and collect their output."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from gaovm import errors
from gaovm.aio import process, tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LINE_LIMIT = 8192  # a longer line is passed on in pieces
_BLOCK = 64 << 10
# a grandchild that keeps the pipe open must not delay the result
_DRAIN_S = 1.0


class Completed:
    """How a program ended: ``returncode`` as in ``subprocess``, and the end of each output."""

    def __init__(self, returncode: int, stdout: bytes, stderr: bytes, *, truncated: bool) -> None:
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        self.truncated = truncated

    @property
    def stderr_tail(self) -> str:
        """The last 2,000 bytes of standard error as text, for messages."""
        return self.stderr[-2000:].decode("utf-8", "replace")


async def run(  # noqa: PLR0913  (each names one property of a process)
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdin: bytes = b"",
    timeout_s: float | None = None,
    on_line: Callable[[str], None] | None = None,
    max_output: int = 1 << 20,
) -> Completed:
    """Run a program to its end, in its own process group, which ends with the program.

    ``on_line`` gets every line of both outputs as it comes, without its line feed. The result keeps
    at most the last ``max_output`` bytes of each output.

    Raises:
        errors.TimeLimit: it ran longer than ``timeout_s``, so it was ended. ``details``: the tails.
        errors.ProgramMissing, errors.PermissionMissing, errors.HostError: it cannot be started.
    """
    out, err = _Output(max_output, on_line), _Output(max_output, on_line)
    async with process.spawn(
        argv,
        env=env,
        cwd=cwd,
        stdin=process.PIPE,
        stdout=process.PIPE,
        stderr=process.PIPE,
        new_session=True,
    ) as child:
        try:
            async with asyncio.timeout(timeout_s):
                code = await _communicate(child, stdin, out, err)
        except TimeoutError as exc:
            raise errors.TimeLimit(
                f"{os.fspath(argv[0])} took longer than {timeout_s:g} s",
                details={"stderr_tail": bytes(err.data[-2000:]).decode("utf-8", "replace")},
            ) from exc
    return Completed(
        code, bytes(out.data), bytes(err.data), truncated=out.truncated or err.truncated
    )


async def _communicate(child: process.Child, stdin: bytes, out: _Output, err: _Output) -> int:
    async with tasks.TaskOwner("process") as owner:
        if child.stdin is not None:
            owner.start(_feed(child.stdin, stdin), name="stdin", finishable=True)
        readers = [
            owner.start(output.read(pipe), name="output", finishable=True)
            for output, pipe in ((out, child.stdout), (err, child.stderr))
            if pipe is not None
        ]
        code = await child.wait()
        await asyncio.wait(readers, timeout=_DRAIN_S)
        out.flush()
        err.flush()
        for reader in readers:
            if reader.done():
                reader.result()
    return code


async def _feed(pipe: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # the program does not read its input
        pipe.write(data)
        await pipe.drain()
    pipe.close()


class _Output:
    """The last part of one output, and its lines."""

    def __init__(self, limit: int, on_line: Callable[[str], None] | None) -> None:
        self.data = bytearray()
        self.truncated = False
        self._limit = limit
        self._on_line = on_line
        self._line = b""

    async def read(self, pipe: asyncio.StreamReader) -> None:
        while block := await pipe.read(_BLOCK):
            self.data += block
            if len(self.data) > self._limit:
                del self.data[: len(self.data) - self._limit]
                self.truncated = True
            if self._on_line is not None:
                self._split(block, self._on_line)

    def _split(self, block: bytes, on_line: Callable[[str], None]) -> None:
        *lines, self._line = (self._line + block).split(b"\n")
        for line in lines:
            on_line(line.rstrip(b"\r").decode("utf-8", "replace"))
        while len(self._line) > _LINE_LIMIT:
            on_line(self._line[:_LINE_LIMIT].decode("utf-8", "replace"))
            self._line = self._line[_LINE_LIMIT:]

    def flush(self) -> None:
        """Pass on a last line that has no line feed."""
        if self._line and self._on_line is not None:
            self._on_line(self._line.rstrip(b"\r").decode("utf-8", "replace"))
        self._line = b""
