"""Send descriptors over Unix sockets; and how long a socket's path may be.

Every command uses this module: it loads neither asyncio nor typing.
"""

from __future__ import annotations

import array
import os
import socket
import sys

from gaovm import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: sun_path has 108 bytes on Linux and 104 on BSD and macOS, the last of them zero.
MAX_PATH_BYTES = 107 if sys.platform == "linux" else 103
_FD_BYTES = array.array("i").itemsize
#: On a system that cannot receive descriptors close-on-exec, ``receive`` sets that right after.
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def send(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
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


def receive(sock: socket.socket, size: int, max_fds: int) -> tuple[bytes, list[int]]:
    """Receive one message of at most ``size`` bytes and its descriptors; no child inherits them.

    ``b""`` and no descriptors: end of stream. The caller owns the descriptors.

    Raises:
        errors.ProtocolError: more than ``max_fds`` descriptors came; all were closed.
        errors.ConnectionLost: the other side is gone.
    """
    try:
        # not socket.recv_fds: Python 3.11 drops its flags, and children inherit the descriptors
        room = socket.CMSG_SPACE(max_fds * _FD_BYTES)
        data, messages, flags, _ = sock.recvmsg(size, room, _CLOEXEC)
    except BlockingIOError:
        raise
    except OSError as exc:
        raise errors.ConnectionLost(f"cannot receive descriptors: {exc.strerror}") from exc
    fds = array.array("i")
    for level, kind, body in messages:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(body[: len(body) - len(body) % _FD_BYTES])
    # the kernel rounds the space up, so one descriptor too many may arrive untruncated
    if flags & socket.MSG_CTRUNC or len(fds) > max_fds:
        for fd in fds:
            os.close(fd)
        raise errors.ProtocolError(f"more than {max_fds} descriptors in one message")
    for fd in () if _CLOEXEC else fds:
        os.set_inheritable(fd, False)
    return data, list(fds)
