"""A process that keeps the right to connect, which its maker drops. It connects to nothing else.

A fork fixes the targets: single ports of this machine's loopback, and Unix sockets. Later the
maker sends only a target's number, and gets a connected socket. An attacker who takes over the
maker reaches what the VM's config has opened to the guest, and nothing more.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from gaovm import errors
from gaovm.platform import unix_sockets
from gaovm.platform.confine import calls, launch, shed
from gaovm.platform.linux import proc

#: Its name in a list of processes.
NAME = "gaovm-connector"
_MAX_MESSAGE, _TEXT = 512, 400
#: A server on this machine accepts at once, unless its queue is full.
CONNECT_S = 2.0


class Target(NamedTuple):
    """A Unix socket, or with an empty ``path`` a TCP port of 127.0.0.1."""

    path: str = ""
    port: int = 0


def fork(targets: Sequence[Target]) -> tuple[int, socket.socket]:
    """Fork the process; return its pid, for the caller to reap, and a non-blocking socket.

    It ends with this process, and when the socket is closed. Send ``question``, and ``receive`` the
    answer.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _serve(theirs, parent, tuple(targets))
    theirs.close()
    return pid, ours


def question(asked: int, target: int) -> bytes:
    """Ask for a target's connection, by its place in the list; ``asked`` counts the questions."""
    return f"{asked} {target}".encode()


def receive(sock: socket.socket, asked: int) -> socket.socket | None:
    """Return the connection that an answer carries; None: it answers an earlier question.

    Raises:
        BlockingIOError: no answer is there yet.
        errors.HostError: it could not connect, or the process has ended.
    """
    data, fds = unix_sockets.receive(sock, _MAX_MESSAGE, 1)
    number, _, said = data.decode(errors="replace").partition(" ")
    made = socket.socket(fileno=fds[0]) if fds else None
    if data and number != str(asked):
        if made is not None:
            made.close()
        return None
    if made is None:
        raise errors.HostError(said or "the connector of the VM has ended")
    return made


def _serve(sock: socket.socket, parent: int, targets: tuple[Target, ...]) -> NoReturn:
    try:
        calls.die_with_parent(signal.SIGKILL)
        proc.name_self(NAME)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        launch.close_all_but({0, 1, 2, sock.fileno()})
        with contextlib.suppress(OSError):
            shed.shed(None, frozenset())
        sock.setblocking(True)
        while os.getppid() == parent and (data := sock.recv(_MAX_MESSAGE)):
            asked, _, number = data.partition(b" ")
            try:
                with _connected(targets[int(number)]) as made:
                    unix_sockets.send(sock, asked + b" ok", [made.fileno()])
            except (OSError, ValueError, IndexError) as exc:
                sock.send(b"%s %s" % (asked, str(exc).encode()[:_TEXT] or b"failed"))
    finally:
        os._exit(0)


def _connected(target: Target) -> socket.socket:
    if not target.path:
        return socket.create_connection(("127.0.0.1", target.port), timeout=CONNECT_S)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(CONNECT_S)
        sock.connect(target.path)
    except BaseException:
        sock.close()
        raise
    return sock
