"""Sessions: bulk bytes between this process and a guest, without passing through the daemon.

The daemon gives a one-time ticket and the driver's socket; this module turns the ticket into a
stream. It needs no event loop and few imports.
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

    ``vm`` holds the parameters that identify the VM. ``on_progress`` gets the daemon's reports
    while the call waits.

    Raises:
        errors.VmNotFound, errors.StateConflict, errors.GuestUnavailable: or another error that the
            daemon answered.
        errors.InvalidReply: the answer has no socket or no ticket.
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
        errors.GuestUnavailable: the VM's driver does not answer.
        errors.AuthError: the ticket was used before or is too old.
        errors.GaoError: the driver refused for another reason.
        errors.InvalidReply: the driver's answer has the wrong form.
    """
    sock = _present(ticket, stream)
    _accepted(sock)
    return sock


def _present(ticket: Mapping[str, Any], stream: str) -> socket.socket:
    """Send the ticket to the driver and return the socket; ``_accepted`` reads the answer."""
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
    """Wait for the driver's answer; close the socket unless the driver accepts."""
    try:
        (length,) = sessions.LENGTH.unpack(read_exactly(sock, sessions.LENGTH.size))
        if not 0 < length <= sessions.MAX_ANSWER_BYTES:
            raise errors.InvalidReply(f"the driver answered {length} bytes to a ticket")
        _check(read_exactly(sock, length))
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
    """Wait until the driver's answer can be read; when that takes long, print the reason once."""
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


def read_exactly(sock: socket.socket, count: int) -> bytes:
    """Read exactly ``count`` bytes: the bytes after them belong to the stream.

    Raises:
        errors.ConnectionLost: the stream ends before.
    """
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
        raise errors.InvalidReply("the driver's answer to a ticket is not an object")
    error = reply.get("error")
    if isinstance(error, dict):
        # the driver names an error by its ``code``, as the data of a JSON-RPC error does
        raise errors.from_wire(
            {"message": error.get("message") or "no reason given", "data": error}
        )
    if reply.get("ok") is not True:
        raise errors.InvalidReply("the driver did not accept the ticket")


def _fill(fd: int) -> None:
    """Open the null device for a closed stream: else one of our sockets would get its number."""
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
    """Run a command in the guest with our standard streams.

    Returns the command's exit status, or 128 + signal; 141 when the reader of our standard output
    closed it. ``start`` is the START frame of ``agent-protocol.md``. With ``tty`` our terminal is
    in raw mode during the command, and ``~.`` at the beginning of a line leaves with 129. The guest
    gets the signals that this process receives.

    ``inquire`` finds out why the guest is silent; the user reads the reason within 2 s. When a
    silent guest does not react to a SIGTERM, SIGHUP or SIGINT, this function returns 128 + signal
    within 2 s.

    Raises:
        errors.GuestCallFailed: the guest could not start the command; see
            ``details['agent_code']``.
        errors.ConnectionLost: the VM went away.
        errors.GuestProtocolError: the guest broke its protocol.
    """
    for fd in (stdin, stdout, stderr):
        _fill(fd)
    with _present(ticket, "exec") as sock:
        # The driver opens the stream while this process imports the loop.
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
