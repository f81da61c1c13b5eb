"""``gaovm ssh-proxy``: carry one SSH connection to an sshd that the agent starts for it.

With ``--pass-socket`` it hands OpenSSH the connected socket (``ProxyUseFdpass``) and ends, so no
process of ours stands between OpenSSH and the driver.
"""

from __future__ import annotations

import array
import os
import socket

from gaovm import errors
from gaovm.cli import calls, options
from gaovm.client import paths, session
from gaovm.openssh import keys
from gaovm.project import names
from gaovm.wire import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(parsed: options.Parsed) -> int:
    """Connect, then pass the socket on or relay standard input and output."""
    home = parsed.text("home")
    if home is not None:
        os.environ["GAOVM_HOME"] = home
    name = names.check(parsed.words[0])
    with calls.connect() as client:
        ticket = calls.open_session(client, name, "ssh")
    public_keys = ticket.get("public_keys") is True
    start = keys.connection(paths.home(), name, public_keys=public_keys)
    sock = session.open_stream(ticket, "ssh")
    _begin(sock, start, name)
    if parsed.flag("pass-socket"):
        _pass(sock)
        return 0
    from gaovm.client import byte_relay

    byte_relay.relay(sock, 0, 1)
    return 0


def _begin(sock: socket.socket, start: dict[str, Any], name: str) -> None:
    """Start the guest's sshd; the bytes after its STARTED frame stay in the socket.

    Raises:
        errors.GuestCallFailed: the guest has no sshd, or refuses the keys.
        errors.ConnectionLost: the VM went away.
        errors.GuestProtocolError: the guest broke its protocol.
    """
    sock.settimeout(session.TICKET_LIMIT_S)
    try:
        sock.sendall(streams.encode_json(streams.START, start))
        kind, payload = _frame(sock)
    except TimeoutError as exc:
        raise errors.GuestUnavailable(
            f"the guest did not start sshd within {session.TICKET_LIMIT_S:g} s",
            actions=(errors.Action("show_vm", name=name),),
        ) from exc
    except OSError as exc:
        raise errors.ConnectionLost(f"the VM went away: {exc.strerror or exc}") from exc
    sock.settimeout(None)
    if kind == streams.ERROR:
        raise _refusal(payload, name)
    if kind != streams.STARTED:
        raise errors.GuestProtocolError(f"the guest answered frame {kind}, not STARTED")


def _refusal(payload: bytes, name: str) -> errors.GaoError:
    error = streams.error(payload)
    if error.details.get("agent_code") == "not-found":
        error.message = f"the guest of VM {name} has no sshd, which ssh needs"
        error.remedy = (
            f"in Debian and Ubuntu: gaovm exec --name {name} --user root --"
            " apt-get install openssh-server\ngaovm shell, exec and cp need none"
        )
    return error


def _frame(sock: socket.socket) -> tuple[int, bytes]:
    """Read exactly one frame."""
    kind, length = streams.HEADER.unpack(session.read_exactly(sock, streams.HEADER.size))
    if length > streams.MAX_CONTROL:
        raise errors.GuestProtocolError(f"the guest answered with a frame of {length} bytes")
    return kind, session.read_exactly(sock, length)


def _pass(sock: socket.socket) -> None:
    """Send the socket through standard output, as OpenSSH's ``ProxyUseFdpass`` expects it."""
    rights = array.array("i", [sock.fileno()])
    try:
        with socket.socket(fileno=os.dup(1)) as out:
            out.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    except OSError as exc:
        raise errors.UsageError(
            f"--pass-socket: standard output takes no socket ({exc.strerror})",
            remedy="it is for OpenSSH's ProxyUseFdpass; leave it out elsewhere",
        ) from exc


PROXY = options.Command(
    "ssh-proxy",
    run,
    about="Carry one SSH connection: the agent starts an sshd for it in the guest, which listens\n"
    "on no port and needs no network. ssh calls this as its ProxyCommand; see ssh-config.",
    words="NAME",
    count=(1, 1),
    options=(
        options.Option("--home", "in place of $GAOVM_HOME", value="DIR"),
        options.Option("--pass-socket", "hand ssh the socket (ProxyUseFdpass), and end"),
    ),
    examples=("ssh -o ProxyCommand='gaovm ssh-proxy web-dev' gaovm-web-dev",),
)
