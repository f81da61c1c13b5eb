"""The monitor, with a scripted peer and with QEMU itself."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gaovm import errors
from gaovm.vmmanager.qemu import monitor

GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 8}}, "capabilities": []}}\r\n'
)
QEMU = shutil.which("qemu-system-x86_64")


class Peer:
    """The other end: sends the next of ``answers`` for each line that arrives, then ends."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.lines: list[bytes] = []
        self.events: list[tuple[str, Mapping[str, Any]]] = []

    def note(self, name: str, data: Mapping[str, Any]) -> None:
        self.events.append((name, data))

    @asynccontextmanager
    async def serving(self, first: bytes = GREETING) -> AsyncIterator[socket.socket]:
        ours, theirs = socket.socketpair()
        task = asyncio.create_task(self._serve(theirs, first))
        try:
            yield ours
        finally:
            task.cancel()
            await asyncio.wait([task])
            ours.close()

    async def _serve(self, sock: socket.socket, first: bytes) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            writer.write(first)
            for answer in self.answers:
                self.lines.append(await reader.readline())
                writer.write(answer)
            if self.answers:
                await reader.readline()
        finally:
            writer.close()


async def test_commands_get_their_answers_and_the_handler_gets_events() -> None:
    event = b'{"event": "RESET", "data": {"guest": true}, "timestamp": {}}\r\n'
    peer = Peer(b'{"return": {}, "id": 1}\r\n', event, b'{"return": 3, "id": 3}\r\n')
    peer.answers[2] += b'{"return": 9, "id": 9}\r\n{"return": 2, "id": 2}\r\n'
    async with peer.serving() as sock:
        client = monitor.Monitor(peer.note)
        version = await client.connect(sock)
        assert (version.major, version.minor) == (8, 0)
        both = await asyncio.gather(client.execute("a", x=1), client.execute("b"))
        client.close()
    assert list(both) == [2, 3]
    assert peer.events == [("RESET", {"guest": True})]
    assert peer.lines[1] == b'{"execute":"a","id":2,"arguments":{"x":1}}\n'


async def test_a_descriptor_that_cannot_be_sent_fails_the_command() -> None:
    async with Peer(b'{"return": {}, "id": 1}\r\n').serving() as sock:
        client = monitor.Monitor(lambda name, data: None)
        await client.connect(sock)
        with pytest.raises(errors.HypervisorFailed, match="command getfd: Bad file descriptor"):
            await client.hand_over("viewer1", 1 << 20)
        assert not client._pending
        client.close()


async def test_a_refused_command_names_command_class_and_text() -> None:
    refused = b'{"error": {"class": "GenericError", "desc": "not now"}, "id": 2}\r\n'
    async with Peer(b'{"return": {}, "id": 1}\r\n', refused).serving() as sock:
        client = monitor.Monitor(lambda name, data: None)
        await client.connect(sock)
        with pytest.raises(errors.HypervisorFailed, match="command cont: GenericError: not now"):
            await client.execute("cont")
        client.close()
        with pytest.raises(errors.HypervisorFailed, match="the monitor was closed"):
            await client.execute("cont")


@pytest.mark.parametrize(
    ("first", "answers", "match"),
    [
        (b"", [], "QEMU closed its monitor"),
        (b"HTTP/1.1 200 OK\r\n", [b""], "no monitor: QMP: "),
        (GREETING, [b'{"error": {"class": "X", "desc": "no"}, "id": 1}\r\n'], "qmp_capabilities"),
    ],
)
async def test_failed_negotiation(first: bytes, answers: list[bytes], match: str) -> None:
    async with Peer(*answers).serving(first) as sock:
        client = monitor.Monitor(lambda name, data: None)
        with pytest.raises(errors.HypervisorFailed, match=match):
            await client.connect(sock)


async def test_the_end_of_qemu_ends_pending_commands() -> None:
    async with Peer(b'{"return": {}, "id": 1}\r\n', b"").serving() as sock:
        client = monitor.Monitor(lambda name, data: None)
        await client.connect(sock)
        calls = [asyncio.ensure_future(client.execute(name)) for name in ("a", "b")]
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(each) for each in ended] == [
        "monitor command a: QEMU closed its monitor",
        "monitor command b: QEMU closed its monitor",
    ]


async def test_a_command_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Peer(
        b'{"return": {}, "id": 1}\r\n', b"", b'{"return": 7, "id": 3}\r\n'
    ).serving() as s:
        client = monitor.Monitor(lambda name, data: None)
        await client.connect(s)
        monkeypatch.setattr(monitor, "COMMAND_LIMIT_S", 0.01)
        with pytest.raises(errors.HypervisorFailed, match=r"command a: no answer within 0\.01 s"):
            await client.execute("a")
        monkeypatch.undo()
        assert await client.execute("b") == 7
        client.close()


async def test_a_monitor_that_was_never_connected() -> None:
    client = monitor.Monitor(lambda name, data: None)
    with pytest.raises(errors.HypervisorFailed, match="it is not connected"):
        await client.execute("quit")
    client.close()
    client.close()


async def test_qemu_itself() -> None:
    assert QEMU, "qemu-system-x86_64 is not installed"
    ours, theirs = socket.socketpair()
    events: list[tuple[str, Mapping[str, Any]]] = []
    fd = theirs.fileno()
    chardev = f"socket,id=q,fd={fd}"
    argv = [QEMU, "-machine", "none", "-display", "none", "-S", "-nodefaults"]
    child = subprocess.Popen([*argv, "-chardev", chardev, "-mon", "q,mode=control"], pass_fds=[fd])
    try:
        theirs.close()
        client = monitor.Monitor(lambda name, data: events.append((name, data)))
        version = await client.connect(ours)
        assert version.major >= 7
        assert (await client.execute("query-status"))["status"] == "prelaunch"
        assert len(await client.execute("query-qmp-schema")) > 500  # one line of 200 KiB
        with pytest.raises(errors.HypervisorFailed, match=r"CommandNotFound: .*no-such"):
            await client.execute("no-such")
        await client.execute("cont")
        await client.execute("quit")
        with pytest.raises(errors.HypervisorFailed, match="monitor command query-status: "):
            await client.execute("query-status")
        client.close()
        assert await asyncio.to_thread(child.wait, 20) == 0
    finally:
        child.kill()
        child.wait()
    assert [name for name, _ in events] == ["RESUME", "SHUTDOWN"]
    assert events[1][1]["reason"] == "host-qmp-quit"
