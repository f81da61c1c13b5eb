"""The daemon's client for commands that must start fast: no event loop, few imports.

``connect`` starts the daemon when none listens. Two clients that connect at once start one daemon.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from gaovm import errors
from gaovm.client import paths
from gaovm.hostfacts import homes
from gaovm.ipc import blocking, hello, methods, peer
from gaovm.platform import unix_sockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any

    from gaovm.client import events

START_LIMIT_S = 30.0
# the daemon's exit status when another one has the lock (EX_TEMPFAIL)
_ALREADY_RUNNING = 75
_TAIL_BYTES = 2000


class Client:
    """A connection to the daemon; a context manager. One call at a time."""

    def __init__(self, connection: blocking.BlockingConnection) -> None:
        self._connection = connection

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._connection.close()

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[Mapping[str, Any]], None] | None = None,
        interrupts: blocking.Interrupts | None = None,
    ) -> Any:
        """Call a method of ``gaovm.control.v1``; see ``BlockingConnection.call``.

        An interrupt (Ctrl-C) withdraws the call. The client waits up to 30 s until the daemon has
        undone it, then raises the interrupt.
        """
        return self._connection.call(
            method, params or {}, timeout_s, on_progress, interrupts=interrupts
        )

    def wait_closed(self, timeout_s: float | None = None) -> None:
        """Wait until the daemon closes the connection, for example because it ends.

        Raises:
            errors.TimeLimit: the daemon did not close it within ``timeout_s``.
        """
        self._connection.wait_closed(timeout_s)

    def events(self, since: int | None = None) -> events.EventStream:
        """Subscribe to the events after number ``since``, or from now on.

        Raises:
            errors.InvalidParams: ``since`` is above the newest number, ``details['seq']``.
        """
        from gaovm.client import events  # only few commands need it

        return events.EventStream(self._connection, since)


def terms() -> peer.Terms:
    """The protocol and the methods that a client offers in hello."""
    return peer.Terms(hello.Offer(methods.CONTROL, methods.CONTROL_METHODS))


def connect(
    home: str | os.PathLike[str],
    start: bool = True,
    limit_s: float = blocking.HANDSHAKE_LIMIT_S,
) -> Client:
    """Connect to the daemon of ``home``; start it if it does not run.

    ``limit_s``: how long a daemon that runs may take to answer.

    Raises:
        errors.DaemonUnreachable: no daemon listens and ``start`` is false, or the daemon did not
            come up; the message holds the last lines of its log.
        errors.HostError: this user cannot use that home; see ``homes.check``.
        errors.ProtocolError: the process that listens is not a daemon of this version.
    """
    directory = os.fspath(home)
    path = paths.socket(directory)
    if len(os.fsencode(path)) > unix_sockets.MAX_PATH_BYTES:
        raise errors.DaemonUnreachable(
            f"socket path is longer than {unix_sockets.MAX_PATH_BYTES} bytes: {path}",
            remedy="set GAOVM_HOME to a shorter path",
        )
    homes.check(directory, write=False)
    client = _try_connect(path, limit_s)
    if client is None and not start:
        raise errors.DaemonUnreachable(
            f"no daemon listens on {path}", actions=(errors.Action("start_daemon"),)
        )
    deadline = time.monotonic() + START_LIMIT_S
    if client is None:
        homes.check(directory, write=True)
    # The loop repeats when another daemon has the lock: that one will soon listen, or end.
    # Each turn starts an interpreter, so the loop does not spin.
    taken = False
    while client is None:
        taken = _start_daemon(directory, deadline, taken=taken)
        client = _try_connect(path, limit_s)
    return client


def _try_connect(path: str, limit_s: float) -> Client | None:
    """Connect; None: nobody listens, or the daemon is just ending."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except (FileNotFoundError, ConnectionError, NotADirectoryError):
        sock.close()
        return None
    except OSError as exc:
        sock.close()
        raise errors.DaemonUnreachable(f"cannot connect to {path}: {exc.strerror}") from exc
    try:
        return Client(blocking.BlockingConnection(sock, terms(), limit_s=limit_s))
    except errors.ConnectionLost:
        return None
    except errors.TimeLimit as exc:
        raise errors.DaemonUnreachable(
            f"the process at {path} does not answer", actions=(errors.Action("show_daemon_log"),)
        ) from exc
    except errors.FrameError as exc:
        exc.message = f"the process at {path} is not a GaoVM daemon: {exc.message}"
        raise


def _start_daemon(home: str, deadline: float, *, taken: bool) -> bool:
    """Start a daemon and wait until it listens; return True when it says that another one runs.

    ``taken`` is the result of the previous call.
    """
    import subprocess

    log = _open_log(home)
    read, write = os.pipe()
    try:
        offset = os.lseek(log, 0, os.SEEK_END)
        # -P: a module in the current directory must not replace one of ours
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "gaovm.daemon", "--ready-fd", str(write)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(home),
            cwd="/",
            pass_fds=[write],
            start_new_session=True,
        )
        os.close(write)
        write = -1
        if _says_ready(read, deadline):
            child.returncode = 0  # the daemon outlives us: avoid a warning
            return False
        late = time.monotonic() >= deadline
        if late:
            child.kill()
        status = child.wait()
        if status == _ALREADY_RUNNING and not late:
            return True
        why = _reason(status, late=late, taken=taken)
        raise errors.DaemonUnreachable(
            f"the daemon did not start ({why})\n{_tail(home, offset)}".rstrip(),
            remedy=f"its log: {paths.daemon_log(home)}",
        )
    finally:
        os.close(log)
        os.close(read)
        if write >= 0:
            os.close(write)


def _environment(home: str) -> dict[str, str]:
    """Return our environment with absolute paths: the daemon has another working directory."""
    given = os.environ.get("GAOVM_CACHE")
    cache = {"GAOVM_CACHE": os.path.abspath(given)} if given else {}  # noqa: PTH100
    return {**os.environ, **cache, "GAOVM_HOME": home}


def _reason(status: int, *, late: bool, taken: bool) -> str:
    if status == _ALREADY_RUNNING or (late and taken):
        return "another daemon holds the lock but does not listen"
    if late:
        return f"not ready within {START_LIMIT_S:g} s"
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _open_log(home: str) -> int:
    try:
        for directory in (home, paths.logs(home)):
            os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103  (pathlib costs 5 ms)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(paths.daemon_log(home), flags, 0o600)
    except OSError as exc:
        raise errors.DaemonUnreachable(
            f"cannot start the daemon: {exc.strerror}: {exc.filename}",
            remedy=f"see who owns the files in {home}: ls -la {home}",
        ) from exc


def _says_ready(fd: int, deadline: float) -> bool:
    """Return whether the daemon wrote ``ready`` before the pipe ended or time ran out."""
    import select

    said = b""
    while b"\n" not in said:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            return False
        data = os.read(fd, 64)
        if not data or len(said) > 64:
            return False
        said += data
    return said.startswith(b"ready\n")


def _tail(home: str, offset: int) -> str:
    """Return the last lines for people since ``offset``; the log's records say the same."""
    try:
        with open(paths.daemon_log(home), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(offset, size), size - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if not line.startswith("{")] or lines)
