"""QMP without I/O."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.vmmanager.qemu import qmp

LINES = (
    b'{"QMP": {"version": {"qemu": {"micro": 2, "minor": 2, "major": 7}, "package": "Debian"},'
    b' "capabilities": ["oob"]}}\r\n'
    b'{"return": {}, "id": 1}\r\n'
    b'{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN",'
    b' "data": {"guest": true, "reason": "guest-shutdown"}}\r\n'
    b'{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}\r\n'
    b'{"id": 2, "error": {"class": "GenericError", "desc": "no such thing"}}\r\n'
    b'{"return": null, "id": 3}\n'
)


@given(st.lists(st.integers(0, len(LINES))))
def test_messages_however_they_are_split(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(LINES)]
    decoder = qmp.Decoder()
    pieces = [LINES[a:b] for a, b in itertools.pairwise(places)]
    greeting, done, shutdown, stop, refused, null = [m for p in pieces for m in decoder.feed(p)]
    assert greeting.greeting is not None
    assert greeting.greeting.version.qemu == qmp.Version(7, 2, 2)
    assert (done.id, done.result, done.is_answer) == (1, {}, True)
    assert (shutdown.event, shutdown.data) == (
        "SHUTDOWN",
        {"guest": True, "reason": "guest-shutdown"},
    )
    assert (stop.event, stop.data, stop.is_answer) == ("STOP", {}, False)
    assert (refused.id, refused.refusal) == (2, qmp.Refusal("GenericError", "no such thing"))
    assert (null.id, null.result, null.is_answer) == (3, None, True)


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"[]\n",
        b"{}\n",
        b'{"event": 7}\n',
        b'{"id": "x", "return": {}}\n',
        b"\xff\xfe\n",
    ],
)
def test_a_line_that_is_not_qmp(line: bytes) -> None:
    with pytest.raises(errors.HypervisorFailed, match="QMP: "):
        qmp.Decoder().feed(line)


@given(st.binary())
def test_arbitrary_bytes_raise_no_other_error(data: bytes) -> None:
    try:
        qmp.Decoder().feed(data + b"\n")
    except errors.HypervisorFailed:
        return
    assert not data.strip()


def test_a_line_without_an_end() -> None:
    decoder = qmp.Decoder()
    with pytest.raises(errors.HypervisorFailed, match="a line of more than"):
        for _ in range(qmp.MAX_LINE_BYTES // 65536 + 1):
            decoder.feed(b" " * 65536)


def test_commands() -> None:
    assert qmp.command("quit", {}, 5) == b'{"execute":"quit","id":5}\n'
    arguments = {"reboot": "reset"}
    line = b'{"execute":"set-action","id":6,"arguments":{"reboot":"reset"}}\n'
    assert qmp.command("set-action", arguments, 6) == line
