"""Unix sockets: bound before anybody dials them, and descriptors sent over them."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from gaovm import errors
from gaovm.aio import files

if TYPE_CHECKING:
    from collections.abc import Sequence

# sun_path has 108 bytes, the last of them zero
MAX_PATH_BYTES = 107
BACKLOG = 128
_FD_BYTES = array.array("i").itemsize


def bind_unix(path: str | Path, mode: int = 0o600) -> socket.socket:
    """A listening stream socket at ``path``; a stale file there is replaced in one step.

    The file has ``mode`` before anybody can connect. Whoever calls this holds the lock that makes
    it the only server of ``path``. The socket is non-blocking and not inherited.

    Raises:
        errors.HostError: the path is too long or cannot be bound.
    """
    target = Path(path)
    # never longer than the target: the limit must not depend on the temporary name
    temporary = target.with_name(os.urandom(4).hex()[: max(1, len(target.name))])
    if len(os.fsencode(target)) > MAX_PATH_BYTES:
        raise errors.HostError(
            f"socket path is longer than {MAX_PATH_BYTES} bytes: {target}",
            remedy="set GAOVM_HOME to a shorter path",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(temporary))
        temporary.chmod(mode)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        temporary.replace(target)
    except OSError as exc:
        listener.close()
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise files.errors_of(exc, f"cannot listen on {target}") from exc
    return listener


def send_with_fds(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    """Send ``data`` and descriptors as one message.

    For blocking sockets; on a non-blocking one ``BlockingIOError`` means that nothing was sent.

    Raises:
        errors.ConnectionLost: the other side is gone.
    """
    try:
        sent = socket.send_fds(sock, [data], list(fds))
        if sent < len(data):  # a stream socket; the descriptors went with the first byte
            sock.sendall(data[sent:])
    except BlockingIOError:
        raise
    except OSError as exc:
        raise errors.ConnectionLost(f"cannot send descriptors: {exc.strerror}") from exc


def recv_with_fds(sock: socket.socket, size: int, max_fds: int) -> tuple[bytes, list[int]]:
    """One message of at most ``size`` bytes and its descriptors, which are not inherited.

    ``b""`` and no descriptors: end of stream. The caller owns the descriptors.

    Raises:
        errors.ProtocolError: more than ``max_fds`` descriptors came; all were closed.
        errors.ConnectionLost: the other side is gone.
    """
    try:
        # not socket.recv_fds: Python 3.11 drops its flags, and the descriptors leak into children
        room = socket.CMSG_SPACE(max_fds * _FD_BYTES)
        data, messages, flags, _ = sock.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError:
        raise
    except OSError as exc:
        raise errors.ConnectionLost(f"cannot receive descriptors: {exc.strerror}") from exc
    fds = array.array("i")
    for level, kind, body in messages:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(body[: len(body) - len(body) % _FD_BYTES])
    # the kernel rounds the room up, so one too many may arrive untruncated
    if flags & socket.MSG_CTRUNC or len(fds) > max_fds:
        for fd in fds:
            os.close(fd)
        raise errors.ProtocolError(f"more than {max_fds} descriptors in one message")
    return data, list(fds)


async def readable(fd: int) -> None:
    """Return when ``fd`` can be read or is at its end."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
