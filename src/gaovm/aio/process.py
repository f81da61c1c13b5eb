"""Child processes have an owner that ends and reaps them. The only place that starts any.

Exits are seen through pidfds: no signal handler, no thread. Call from the event loop's thread: the
parent-death signal is tied to the thread that forks.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from gaovm import errors
from gaovm.aio import clock, descriptors, sockets, tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL

_PR_SET_PDEATHSIG = 1
_LINE_LIMIT = 8192  # longer lines are handed on in pieces
_BLOCK = 64 << 10
# a grandchild that keeps the pipe open must not hold the result up
_DRAIN_S = 1.0
_NO_DESCRIPTOR_S = 1.0


class Completed:
    """How a program ended: ``returncode`` as in ``subprocess``, and the ends of its output."""

    def __init__(self, returncode: int, stdout: bytes, stderr: bytes, *, truncated: bool) -> None:
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        self.truncated = truncated

    @property
    def stderr_tail(self) -> str:
        """The last 2,000 bytes of standard error as text, for messages."""
        return self.stderr[-2000:].decode("utf-8", "replace")


class Child:
    """A running program; made by ``spawn``.

    ``stdin``, ``stdout``, ``stderr`` are set where ``PIPE`` was asked for.
    """

    def __init__(self, popen: subprocess.Popen[bytes] | _Inherited, group: bool) -> None:
        self._popen = popen
        self._group = group
        self.pid = popen.pid
        self.returncode: int | None = None
        #: When the exit was seen, on the monotonic clock.
        self.ended_at: float | None = None
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._transports: list[asyncio.BaseTransport] = []
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(popen.pid)
        self._loop.add_reader(self._pidfd, self._on_exit)

    def _on_exit(self) -> None:
        self.ended_at = clock.monotonic()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        if self._group:  # before the leader is reaped: until then the number is ours
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.returncode = self._popen.wait()
        if not self._exited.done():
            self._exited.set_result(self.returncode)

    async def connect_pipes(self) -> None:
        """Called by ``spawn``."""
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
        """The return code (negative: the signal); may be called by several and cancelled safely."""
        return await asyncio.shield(self._exited)

    def send_signal(self, number: int) -> None:
        """Signal the process, or its group when it has its own session. No-op once it ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if self._group else os.kill)(self.pid, number)

    async def end(self, grace_s: float) -> None:
        """TERM, up to ``grace_s`` seconds, KILL, reap. Idempotent."""
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


@contextlib.asynccontextmanager
async def spawn(  # noqa: PLR0913  (each names one property of a process)
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdin: int | IO[Any] | None = DEVNULL,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    pass_fds: Iterable[int] = (),
    new_session: bool = False,
    pdeathsig: int | None = signal.SIGKILL,
    before_exec: Callable[[], None] | None = None,
    grace_s: float = 5.0,
) -> AsyncIterator[Child]:
    """Start a program and own it for the length of the block.

    Leaving the block ends the program (TERM, ``grace_s`` seconds, KILL) and reaps it, also when the
    caller is cancelled twice. With ``new_session`` all of its process group ends with it. It dies
    with this process (``pdeathsig``; Linux). ``before_exec`` runs in the child last of all; what it
    raises is a start that failed.

    Raises:
        errors.ProgramMissing, errors.PermissionMissing, errors.HostError: it cannot be started.
    """
    popen = _popen(
        argv,
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=tuple(pass_fds),
        start_new_session=new_session,
        preexec_fn=_in_child(pdeathsig, before_exec),
    )
    try:
        child = Child(popen, new_session)
    except OSError as exc:  # nobody would see its end
        popen.kill()
        popen.wait()
        raise errors.HostError(f"cannot watch {os.fspath(argv[0])}: {exc.strerror}") from exc
    try:
        await child.connect_pipes()
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


@contextlib.asynccontextmanager
async def adopt(pid: int, *, grace_s: float = 5.0) -> AsyncIterator[Child]:
    """Own a child that this process started otherwise, as ``spawn`` owns: before it executed a new
    program, or into a cage (``confine``).

    Raises:
        errors.NotFound: this process has no such child.
    """
    if not _is_child(pid):
        raise errors.NotFound(f"process {pid} is no child of this one")
    child = Child(_Inherited(pid), group=False)
    try:
        yield child
    finally:
        await tasks.finish(child.end(grace_s))


def _is_child(pid: int) -> bool:
    """Whether it is a child of this process that has not been reaped."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


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
    steps = [step for step in (_death_signal(death), raised, before_exec) if step is not None]
    if len(steps) < 2:
        return steps[0] if steps else None

    def in_child() -> None:
        for step in steps:
            step()

    return in_child


def _death_signal(number: int | None) -> Callable[[], None] | None:
    if number is None or not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork
    parent, death = os.getpid(), int(number)

    def set_it() -> None:
        prctl(_PR_SET_PDEATHSIG, death, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)

    return set_it


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
    """Run a program to its end, in a process group of its own that ends with it.

    ``on_line`` gets every line of both outputs as it comes, without its end. At most the last
    ``max_output`` bytes of each output are kept.

    Raises:
        errors.TimeLimit: it ran longer than ``timeout_s``; it was ended. ``details``: the tails.
        errors.ProgramMissing, errors.PermissionMissing, errors.HostError: it cannot be started.
    """
    out, err = _Output(max_output, on_line), _Output(max_output, on_line)
    async with spawn(
        argv, env=env, cwd=cwd, stdin=PIPE, stdout=PIPE, stderr=PIPE, new_session=True
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


async def _communicate(child: Child, stdin: bytes, out: _Output, err: _Output) -> int:
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
    with contextlib.suppress(ConnectionError):  # it does not want it
        pipe.write(data)
        await pipe.drain()
    pipe.close()


class _Output:
    """The end of one output, and its lines."""

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
        """Hand on a last line that has no end."""
        if self._line and self._on_line is not None:
            self._on_line(self._line.rstrip(b"\r").decode("utf-8", "replace"))
        self._line = b""


def identity(pid: int) -> tuple[int, int]:
    """``(pid, start time)``: names a process for good, as pids are used again.

    Raises:
        errors.NotFound: there is no such process.
        errors.HostError: nobody can tell, for want of a descriptor say.
    """
    return pid, _stat(pid).start_time


def alive(pid: int, start_time: int) -> bool:
    """Whether exactly that process still runs; a zombie does not. What cannot be told is alive."""
    try:
        found = _stat(pid)
    except errors.NotFound:
        return False
    except errors.HostError:
        return True
    return found.start_time == start_time and found.state not in "ZX"


def exit_status(pid: int, start_time: int) -> int | None:
    """How a process of this user ended, minus the signal, while its parent has not asked yet.

    None: it runs, or nobody but its parent can tell any more.
    """
    try:
        found = _stat(pid)
    except (errors.NotFound, errors.HostError):
        return None
    if found.start_time != start_time or found.state != "Z":
        return None
    return os.waitstatus_to_exitcode(found.wait_status)


class _Stat(NamedTuple):
    """Some of ``/proc/PID/stat``: fields 3, 22 (ticks since boot) and 52 of proc(5)."""

    state: str
    start_time: int
    wait_status: int


def _stat(pid: int) -> _Stat:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
        # the name may hold anything, so count from its closing bracket: state is field 3
        fields = text[text.rindex(b")") + 2 :].split()
        return _Stat(fields[0].decode(), int(fields[19]), int(fields[49]))
    except (FileNotFoundError, ProcessLookupError, ValueError, IndexError) as exc:
        raise errors.NotFound(f"no process has the pid {pid}") from exc
    except OSError as exc:  # as with no descriptor left: that says nothing of the process
        raise errors.HostError(f"process {pid} cannot be looked at: {exc.strerror}") from exc


async def wait_pid(pid: int) -> None:
    """Return when a process, of whatever parent, has ended; at once when there is none.

    Without a descriptor to watch it by it looks again every second.
    """
    while True:
        try:
            pidfd = os.pidfd_open(pid)
            break
        except ProcessLookupError:
            return
        except OSError as exc:
            if exc.errno not in (errno.EMFILE, errno.ENFILE):
                raise errors.HostError(f"cannot watch process {pid}: {exc.strerror}") from exc
        await asyncio.sleep(_NO_DESCRIPTOR_S)
    try:
        await sockets.readable(pidfd)
    finally:
        os.close(pidfd)


def ended(status: int) -> str:
    """How a process ended, as a part of a sentence; ``status`` is minus the signal that did it."""
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
