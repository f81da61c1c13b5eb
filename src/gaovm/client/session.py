"""Sessions: bulk bytes between this process and a guest, past the daemon.

The daemon gives a one-time ticket and the driver's socket; here the ticket becomes a stream.
No event loop; few imports.
"""

from __future__ import annotations

import json
import os
import socket

from gaovm import errors
from gaovm.wire import sessions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from gaovm.client import blocking, inquiry, silence
    from gaovm.wire import anyjson

TICKET_LIMIT_S = 10.0


def ask(
    client: blocking.Client,
    vm: Mapping[str, Any],
    kind: str,
    on_progress: Callable[[Mapping[str, Any]], None] | None = None,
) -> anyjson.Object:
    """Ask the daemon for a session: ``socket``, ``ticket``, ``user``, ``home``, ``mounts``.

    ``vm``: the parameters that say of which VM. ``on_progress`` hears why it takes long.

    Raises:
        errors.VmNotFound, errors.StateConflict, errors.GuestUnavailable: and whatever it answers.
        errors.InvalidReply: an answer without socket or ticket.
    """
    reply = client.call("vm.session", {**vm, "kind": kind}, on_progress=on_progress)
    if not isinstance(reply, dict) or not all(
        isinstance(reply.get(key), str) for key in ("socket", "ticket")
    ):
        raise errors.InvalidReply("vm.session: the answer has no socket and ticket")
    return reply


def open_stream(ticket: Mapping[str, Any], stream: str) -> socket.socket:
    """Turn the daemon's answer into a connected socket that speaks raw stream frames.

    ``stream``: ``exec``, ``tunnel``, ``copy-in`` or ``copy-out``.

    Raises:
        errors.ConnectionLost: the VM went away.
        errors.GuestUnavailable: its driver does not answer.
        errors.AuthError: the ticket was used or is too old. Other refusals likewise.
        errors.InvalidReply: the driver answered something else.
    """
    sock = _present(ticket, stream)
    _accepted(sock)
    return sock


def _present(ticket: Mapping[str, Any], stream: str) -> socket.socket:
    """A socket over which the driver has got the ticket; ``_accepted`` has its answer."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(str(ticket["socket"]))
        sock.settimeout(TICKET_LIMIT_S)
        sock.sendall(sessions.opening(ticket["ticket"], stream))
    except OSError as exc:
        sock.close()
        raise errors.ConnectionLost(
            "the VM went away just now", actions=(errors.Action("show_vm"),)
        ) from exc
    return sock


def _accepted(sock: socket.socket) -> None:
    """Wait for the driver's answer; the socket is closed unless it is a good one."""
    try:
        (length,) = sessions.LENGTH.unpack(_read(sock, sessions.LENGTH.size))
        if not 0 < length <= sessions.MAX_ANSWER_BYTES:
            raise errors.InvalidReply(f"the driver answered {length} bytes to a ticket")
        _check(_read(sock, length))
        sock.settimeout(None)
    except TimeoutError as exc:
        sock.close()
        raise errors.GuestUnavailable(
            f"the driver of the VM did not answer within {TICKET_LIMIT_S:g} s",
            actions=(errors.Action("show_vm"), errors.Action("force_stop_vm")),
        ) from exc
    except OSError as exc:
        sock.close()
        raise errors.ConnectionLost(f"the VM went away: {exc.strerror or exc}") from exc
    except BaseException:
        sock.close()
        raise


def _await_answer(sock: socket.socket, watch: silence.Watch, stderr: int) -> None:
    """Wait until the driver's answer can be read; when that takes long, say why once."""
    import select

    watch.sent()
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while watch.due_ms() is not None and not poll.poll(watch.due_ms()):
        verdict = watch.look()
        if verdict.text:
            line = f"gaovm: {verdict.text} (Ctrl-C leaves)\n"
            os.write(stderr, line.encode("utf-8", "replace"))
    watch.heard()


def _read(sock: socket.socket, count: int) -> bytes:
    """Exactly ``count`` bytes: what follows belongs to the stream."""
    data = b""
    while len(data) < count:
        block = sock.recv(count - len(data))
        if not block:
            raise errors.ConnectionLost("the VM went away")
        data += block
    return data


def _check(body: bytes) -> None:
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise errors.InvalidReply("the driver's answer to a ticket is not JSON") from exc
    if not isinstance(reply, dict):
        raise errors.InvalidReply("the driver's answer to a ticket is no object")
    error = reply.get("error")
    if isinstance(error, dict):
        # the driver names our errors by their word, as in the data of JSON-RPC
        raise errors.from_wire(
            {"message": error.get("message") or "no reason given", "data": error}
        )
    if reply.get("ok") is not True:
        raise errors.InvalidReply("the driver did not accept the ticket")


def _fill(fd: int) -> None:
    """Put the null device in the place of a closed stream: else our own sockets take its number."""
    try:
        os.fstat(fd)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != fd:
            os.dup2(null, fd)
            os.close(null)


def run_exec(
    ticket: Mapping[str, Any],
    start: Mapping[str, Any],
    *,
    stdin: int = 0,
    stdout: int = 1,
    stderr: int = 2,
    inquire: Callable[[], inquiry.Finding] | None = None,
) -> int:
    """Run a command in the guest with our standard streams; its exit status, or 128 + signal.

    ``start`` is the START frame of ``agent-protocol.md``; with ``tty`` our terminal is in raw mode
    meanwhile, and ``~.`` at the beginning of a line leaves with 129. Signals we get are forwarded.
    141 when standard output was closed on us.

    ``inquire`` finds out why the guest is silent: the user is told within 2 s, and a SIGTERM,
    SIGHUP or SIGINT that a silent guest does not hear ends this within 2 s with 128 + signal.

    Raises:
        errors.GuestCallFailed: the guest could not start it; ``details['agent_code']``.
        errors.ConnectionLost: the VM went away.
        errors.GuestProtocolError: the guest broke its protocol.
    """
    for fd in (stdin, stdout, stderr):
        _fill(fd)
    with _present(ticket, "exec") as sock:
        # The driver opens the stream while this is imported.
        from gaovm.client import exec_loop, silence, terminal

        watch = silence.Watch(inquire)
        _await_answer(sock, watch, stderr)
        wanted = dict(start)
        tty = bool(wanted.get("tty"))
        if tty:
            wanted["rows"], wanted["cols"] = terminal.size(stdout)
            wanted.setdefault("term", os.environ.get("TERM") or "xterm-256color")
        _accepted(sock)
        loop = exec_loop.ExecLoop(sock, (stdin, stdout, stderr), tty=tty, watch=watch)
        if not tty:
            return loop.run(wanted)
        with terminal.Raw(stdin):
            return loop.run(wanted)
