"""Bind Unix sockets before anybody connects to them, and wait for descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from gaovm import errors
from gaovm.aio import files
from gaovm.platform.unix_sockets import MAX_PATH_BYTES

BACKLOG = 128


def bind_unix(path: str | Path, mode: int = 0o600) -> socket.socket:
    """Return a listening stream socket at ``path``; replace a stale file there in one step.

    The file has ``mode`` before anybody can connect. The caller must hold the lock that makes it
    the only server of ``path``. The socket is non-blocking, and children do not inherit it.

    Raises:
        errors.HostError: the path is too long or cannot be bound.
    """
    target = Path(path)
    # not longer than the target: the limit must not depend on the temporary name
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
