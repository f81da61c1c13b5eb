"""Child processes, each with an owner that ends and reaps it. Only this module starts any.

A descriptor reports that a process has ended (``platform.exits``): no signal handler is needed.
Call from the event loop's thread: the parent-death signal is tied to the thread that forks.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
from typing import IO, TYPE_CHECKING, Any, TypedDict, Unpack

from gaovm import errors
from gaovm.aio import clock, descriptors, sockets, tasks
from gaovm.platform import exits, parent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL

_BLOCK = 64 << 10
_NO_DESCRIPTOR_S = 1.0


class Child:
    """A running program; ``spawn`` makes it.

    ``stdin``, ``stdout``, ``stderr`` are set if ``PIPE`` was asked for.
    """

    def __init__(self, popen: subprocess.Popen[bytes] | _Inherited, group: bool) -> None:
        self._popen = popen
        self._group = group
        self.pid = popen.pid
        self.returncode: int | None = None
        #: The time at which the exit was seen, on the monotonic clock.
        self.ended_at: float | None = None
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._transports: list[asyncio.BaseTransport] = []
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._watched = exits.watch(popen.pid)
        self._loop.add_reader(self._watched.fileno(), self._on_exit)

    def _on_exit(self) -> None:
        self.ended_at = clock.monotonic()
        self._loop.remove_reader(self._watched.fileno())
        self._watched.close()
        if self._group:  # before the leader is reaped: until then nobody else gets the number
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.returncode = self._popen.wait()
        if not self._exited.done():
            self._exited.set_result(self.returncode)

    async def connect_pipes(self) -> None:
        """Connect the pipes; ``spawn`` calls this."""
        popen = self._popen
        if popen.stdin is not None:
            self.stdin = await self._writer(popen.stdin)
        if popen.stdout is not None:
            self.stdout = await self._reader(popen.stdout)
        if popen.stderr is not None:
            self.stderr = await self._reader(popen.stderr)

    async def _reader(self, pipe: IO[bytes]) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(limit=_BLOCK)
        transport, _ = await self._loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        self._transports.append(transport)
        return reader

    async def _writer(self, pipe: IO[bytes]) -> asyncio.StreamWriter:
        transport, protocol = await self._loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), pipe
        )
        self._transports.append(transport)
        return asyncio.StreamWriter(transport, protocol, None, self._loop)

    async def wait(self) -> int:
        """Return the exit code (negative: the signal). Several may wait, and may be cancelled."""
        return await asyncio.shield(self._exited)

    def send_signal(self, number: int) -> None:
        """Signal the process, or its group if it has its own session. No-op once it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if self._group else os.kill)(self.pid, number)

    async def end(self, grace_s: float) -> None:
        """Send TERM, wait up to ``grace_s`` seconds, send KILL, reap. Idempotent."""
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None and not self._transports:
                pipe.close()  # cancelled before the pipes were connected
        if self.returncode is None:
            self.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(grace_s):
                    await self.wait()
            except TimeoutError:
                self.send_signal(signal.SIGKILL)
                await self.wait()
        for transport in self._transports:
            transport.close()


class Options(TypedDict, total=False):
    """How to start a program; ``stdin`` is ``DEVNULL`` unless given.

    With ``new_session`` its whole process group ends with it. When this process dies, the program
    gets the signal ``pdeathsig`` (default SIGKILL; None: no signal), if the system can do that.
    ``before_exec`` runs last in the child; if it raises, the start has failed.
    """

    env: Mapping[str, str] | None
    cwd: str | os.PathLike[str] | None
    stdin: int | IO[Any] | None
    stdout: int | IO[Any] | None
    stderr: int | IO[Any] | None
    pass_fds: Iterable[int]
    new_session: bool
    pdeathsig: int | None
    before_exec: Callable[[], None] | None


async def launch(argv: Sequence[str | os.PathLike[str]], **options: Unpack[Options]) -> Child:
    """Start a program that may outlive this process; reap it when it ends.

    A cancelled call ends the program.

    Raises:
        errors.ProgramMissing, errors.PermissionMissing, errors.HostError: it cannot be started.
    """
    new_session = options.get("new_session", False)
    popen = _popen(
        argv,
        env=options.get("env"),
        cwd=options.get("cwd"),
        stdin=options.get("stdin", DEVNULL),
        stdout=options.get("stdout"),
        stderr=options.get("stderr"),
        pass_fds=tuple(options.get("pass_fds", ())),
        start_new_session=new_session,
        preexec_fn=_in_child(options.get("pdeathsig", signal.SIGKILL), options.get("before_exec")),
    )
    try:
        child = Child(popen, new_session)
    except OSError as exc:  # without this descriptor nobody would see the program's end
        popen.kill()
        popen.wait()
        raise errors.HostError(f"cannot watch {os.fspath(argv[0])}: {exc.strerror}") from exc
    try:
        await child.connect_pipes()
    except BaseException:
        await tasks.finish(child.end(0))
        raise
    return child


@contextlib.asynccontextmanager
async def spawn(
    argv: Sequence[str | os.PathLike[str]], *, grace_s: float = 5.0, **options: Unpack[Options]
) -> AsyncIterator[Child]:
    """Start a program as ``launch`` does, and own it for the length of the block.

    Leaving the block ends the program (TERM, ``grace_s`` seconds, KILL) and reaps it, also when the
    caller is cancelled twice.

    Raises:
        errors.ProgramMissing, errors.PermissionMissing, errors.HostError: it cannot be started.
    """
    child = await launch(argv, **options)
    try:
        yield child
    finally:
        await tasks.finish(child.end(grace_s))


class _Inherited:
    """A child of this process that ``spawn`` did not start."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def wait(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def own(pid: int, *, group: bool = False) -> Child:
    """Watch and reap a child that ``launch`` did not start.

    This process started it before it executed a new program, or into a cage (``confine``).
    ``group``: the child leads a process group, which ends with it.

    Raises:
        errors.NotFound: this process has no such child.
    """
    if not exits.is_child(pid):
        raise errors.NotFound(f"process {pid} is no child of this one")
    return Child(_Inherited(pid), group)


@contextlib.asynccontextmanager
async def adopt(pid: int, *, grace_s: float = 5.0) -> AsyncIterator[Child]:
    """Own a child as ``own`` does, for the length of a block, which ends it as ``spawn`` does.

    Raises:
        errors.NotFound: this process has no such child.
    """
    child = own(pid)
    try:
        yield child
    finally:
        await tasks.finish(child.end(grace_s))


def _popen(argv: Sequence[str | os.PathLike[str]], **options: Any) -> subprocess.Popen[bytes]:
    words = [os.fspath(word) for word in argv]
    try:
        return subprocess.Popen(words, **options)
    except FileNotFoundError as exc:
        if options["cwd"] is not None and exc.filename == os.fspath(options["cwd"]):
            raise errors.HostError(f"directory {options['cwd']} does not exist") from exc
        raise errors.ProgramMissing(f"{words[0]} is not installed") from exc
    except PermissionError as exc:
        raise errors.PermissionMissing(f"cannot execute {words[0]}: {exc.strerror}") from exc
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        raise errors.HostError(f"cannot start {words[0]}: {exc}") from exc


def _in_child(
    death: int | None, before_exec: Callable[[], None] | None
) -> Callable[[], None] | None:
    raised = None if descriptors.inherited() is None else descriptors.restore
    dying = None if death is None else parent.death_signal(death)
    steps = [step for step in (dying, raised, before_exec) if step is not None]
    if len(steps) < 2:
        return steps[0] if steps else None

    def in_child() -> None:
        for step in steps:
            step()

    return in_child


async def wait_pid(pid: int) -> None:
    """Return when a process, of whatever parent, has ended; at once if there is none.

    Without a descriptor to watch the process by, look again every second.
    """
    while True:
        try:
            watched = exits.watch(pid)
            break
        except ProcessLookupError:
            return
        except OSError as exc:
            if exc.errno not in (errno.EMFILE, errno.ENFILE):
                raise errors.HostError(f"cannot watch process {pid}: {exc.strerror}") from exc
        await asyncio.sleep(_NO_DESCRIPTOR_S)
    try:
        await sockets.readable(watched.fileno())
    finally:
        watched.close()


def ended(status: int) -> str:
    """Say how a process ended, as part of a sentence; a negative ``status`` is minus the signal."""
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
