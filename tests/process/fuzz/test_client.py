"""Our clients against a hostile daemon or driver: they fail with an error of the tree, or work."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import budgets
from tests.process.fuzz import streams

from gaovm import errors
from gaovm.client import blocking as client
from gaovm.client import session
from gaovm.ipc import blocking, methods

EXAMPLES = settings(
    max_examples=budgets.examples(40, 100),
    suppress_health_check=list(HealthCheck),
    database=None,
)
NAMES = methods.CONTROL_METHODS
#: What a daemon sends to a client, which speaks first, and to its first call.
DAEMON = [
    streams.answer(1, methods.CONTROL, NAMES),
    streams.hello(methods.CONTROL, NAMES) | {"id": -1},
]
ANSWERS: dict[str, dict[str, Any]] = {
    "progress": {"call": 2, "phase": "p", "message": "m"},
    "event": {"seq": 1},
}
ANSWER = streams.frame(streams.encode({"jsonrpc": "2.0", "id": 2, "result": {"vms": []}}))


def _say(sock: socket.socket, chunks: list[bytes]) -> threading.Thread:
    """Send from a thread, as it may be more than a socket holds; then close."""

    def run() -> None:
        with contextlib.suppress(OSError):
            for chunk in chunks:
                sock.sendall(chunk)
            sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@EXAMPLES
@given(streams.streams(DAEMON, streams.calls([*NAMES, *ANSWERS], (2, "x"), ANSWERS)), streams.CUTS)
def test_the_blocking_client(data: bytes, cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        saying = _say(theirs, streams.chunks(data + ANSWER, cuts))
        with (
            contextlib.suppress(errors.GaoError),
            blocking.BlockingConnection(ours, client.terms(), limit_s=20) as connection,
        ):
            connection.call("vm.list", timeout_s=20, on_progress=lambda fields: None)
        ours.close()
        saying.join(20)
        assert not saying.is_alive()


REPLY = st.dictionaries(st.sampled_from(["ok", "error"]), streams.JSON).map(
    lambda reply: streams.frame(streams.encode(reply))
)


@EXAMPLES
@given(REPLY | streams.NOISE, streams.CUTS)
def test_a_ticket_is_answered_with_nonsense(data: bytes, cuts: list[int]) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # the kernel chooses a name outside the file system
        listener.listen(1)
        answering = threading.Thread(target=_answer, args=(listener, streams.chunks(data, cuts)))
        answering.start()
        address = listener.getsockname().decode()
        with contextlib.suppress(errors.GaoError):
            session.open_stream({"socket": address, "ticket": "00"}, "exec").close()
        answering.join(20)
        assert not answering.is_alive()


def _answer(listener: socket.socket, chunks: list[bytes]) -> None:
    sock, _ = listener.accept()
    with sock, contextlib.suppress(OSError):
        for chunk in chunks:
            sock.sendall(chunk)
