"""Guest calls, forwarded ports and sessions against the real agent, run as a plain process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import socket
import struct
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.process.driver.harness import STEP_S, Session
from tests.unit.guestmanager.pairs import Ear

from gaovm import errors
from gaovm.aio import tasks
from gaovm.driver.ports.forwards import Ports
from gaovm.driver.session import Sessions
from gaovm.guestmanager import clock, disks, info, journal, processes
from gaovm.guestmanager.transport.channel import Channel
from gaovm.guestmanager.transport.connection import Connection
from gaovm.images import agentbuild
from gaovm.spec.ports import PortForward
from gaovm.wire import streams
from gaovm.wire.agent.clock import Correction
from gaovm.wire.agent.journal import Line
from gaovm.wire.agent.processes import Command

SOURCE = Path(__file__).resolve().parents[3] / "agent"
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
MANY = 32 << 20


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return agentbuild.ensure(SOURCE, tmp_path_factory.mktemp("agent"))[ARCH]


@pytest.fixture
async def agent(program: Path, base: Path) -> AsyncIterator[Connection]:
    """Run an agent and connect to it."""
    path = base / "agent.sock"
    child = subprocess.Popen([program, "serve", "--socket", path])
    try:
        ear = Ear()
        channel = await Channel.open(await _connected(path), ear)
        try:
            connection, _ = await asyncio.wait_for(ear.connected.get(), STEP_S)
            yield connection
        finally:
            channel.close()
            await asyncio.sleep(0)
    finally:
        child.terminate()
        child.wait(STEP_S)


async def _connected(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        async with asyncio.timeout(STEP_S):
            while True:
                with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                    sock.connect(str(path))
                    return sock
                await asyncio.sleep(0.01)
    except BaseException:
        sock.close()
        raise


async def test_plain_calls(agent: Connection) -> None:
    await agent.ping(5)
    found = await info.get(agent)
    assert found.kernel == platform.release()
    assert found.agent.rss_bytes > 0
    with pytest.raises(errors.GuestCallFailed) as caught:
        await clock.correct(agent, Correction(offset_ns=0, step=False, constant=11))
    assert caught.value.details["agent_code"]
    reading = await clock.measure(agent)
    assert abs(reading.offset_ns) <= reading.round_trip_ns / 2, "it is the same clock"
    # in development mode the agent changes nothing on this machine
    await clock.correct(agent, Correction(offset_ns=86_400_000_000_000, step=True))
    assert await disks.grow(agent, 1 << 40) > 0
    with pytest.raises(errors.GuestCallFailed, match="not a size"):
        await disks.grow(agent, 0)


async def test_exec_is_binary_clean_and_exact(agent: Connection) -> None:
    data = os.urandom(3 << 20)
    out = bytearray()
    # more than all buffers in between hold: input and output must flow at the same time
    command = Command(argv=("/bin/sh", "-c", "cat; echo err >&2; kill -TERM $$"))
    ended = await processes.run(
        agent,
        command,
        stdin=data,
        on_output=lambda kind, part: out.extend(part) if kind == streams.OUTPUT else None,
    )
    assert (ended.status, ended.signal, ended.code) == (None, 15, 143)
    assert out == data


async def test_a_program_that_does_not_exist(agent: Connection) -> None:
    with pytest.raises(errors.GuestCallFailed) as caught:
        await processes.run(agent, Command(argv=("/no/such",)))
    assert caught.value.details["agent_code"] == "not-found"


async def test_the_time_limit_ends_the_program(agent: Connection, base: Path) -> None:
    mark = base / "ended"
    text = f"trap 'touch {mark}; exit' HUP; while :; do sleep 0.05; done"
    with pytest.raises(TimeoutError):
        command = Command(argv=("/bin/sh", "-c", text))
        # long enough for any machine's shell to have set its trap
        await processes.run(agent, command, limit_s=2)
    async with asyncio.timeout(STEP_S):
        while not mark.exists():
            await asyncio.sleep(0.02)


async def test_many_streams_at_once(agent: Connection) -> None:
    async def one(number: int) -> int:
        command = Command(argv=("/bin/sh", "-c", f"exit {number}"))
        return (await processes.run(agent, command)).code

    assert await asyncio.gather(*(one(number) for number in range(60))) == list(range(60))


@pytest.fixture
async def sessions(agent: Connection, base: Path) -> AsyncIterator[Sessions]:
    async def connection() -> Connection:
        return agent

    async with tasks.TaskOwner() as owner:
        served = Sessions(owner, base / "driver.sock", connection)
        served.open()
        yield served
        served.close()


async def present(sessions: Sessions, stream: str) -> Session:
    return await Session.present(str(sessions.path), sessions.issue(30, None), stream)


async def test_a_client_that_stops_reading_stalls_only_itself(
    sessions: Sessions, agent: Connection
) -> None:
    slow = await present(sessions, "exec")
    text = f"head -c {MANY} /dev/zero"
    await slow.send(streams.START, json.dumps({"argv": ["/bin/sh", "-c", text]}).encode())
    await slow.send(streams.EOF)
    await asyncio.sleep(0.3)
    quick = await present(sessions, "exec")
    assert await asyncio.wait_for(quick.exec(["/bin/echo", "hi"]), STEP_S) == (0, b"hi\n")
    quick.close()
    got = 0
    while True:  # it reads again: nothing was lost
        kind, payload = await slow.frame()
        if kind == streams.EXIT:
            break
        got += len(payload) if kind == streams.OUTPUT else 0
    assert got == MANY
    slow.close()


async def test_a_client_that_goes_away_ends_its_program(sessions: Sessions, base: Path) -> None:
    mark = base / "ended"
    text = f"trap 'touch {mark}; exit' HUP; echo up; while :; do sleep 0.05; done"
    client = await present(sessions, "exec")
    await client.send(streams.START, json.dumps({"argv": ["/bin/sh", "-c", text]}).encode())
    assert (await client.frame())[0] == streams.STARTED
    assert (await client.frame())[1] == b"up\n"
    client.sock.shutdown(socket.SHUT_WR)  # ends its direction: the program goes on
    await asyncio.sleep(0.3)
    assert not mark.exists()
    client.close()
    async with asyncio.timeout(STEP_S):
        while not mark.exists():
            await asyncio.sleep(0.02)


async def test_a_first_frame_that_is_too_long(sessions: Sessions) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, str(sessions.path))
        await loop.sock_sendall(sock, struct.pack(">I", 1 << 31))
        assert await asyncio.wait_for(loop.sock_recv(sock, 10), STEP_S) == b""


@pytest.fixture
async def ports(agent: Connection) -> AsyncIterator[Ports]:
    async with tasks.TaskOwner() as owner:
        served = Ports(owner, lambda: agent)
        served.serve()
        yield served
        await served.close()


async def test_a_forwarded_port_keeps_half_close(ports: Ports) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()  # to the client's end of file
        writer.write(data[::-1])
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    inside = server.sockets[0].getsockname()[1]
    forward = ports.bind(PortForward(guest_port=inside))
    data = os.urandom(2 << 20)
    reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
    writer.write(data)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), STEP_S) == data[::-1]
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_a_port_that_is_refused_inside_is_reset_outside(ports: Ports) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, so that nobody else listens there meanwhile
        forward = ports.bind(PortForward(guest_port=closed.getsockname()[1]))
        reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), STEP_S)
        writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_the_agent_tells_its_log(agent: Connection) -> None:
    found: list[Line] = []
    async with asyncio.timeout(STEP_S):
        async for lines in journal.follow(agent, "debug", 0):
            found += lines
            if len(found) == 1:
                await info.ping(agent)
            if len(found) >= 3:
                break
    assert [line.message for line in found[:2]] == [
        "the host is connected",
        "begins: GET /v1/ping",
    ]
    assert [line.level for line in found] == ["info", "debug", "debug"]
    assert [line.seq for line in found] == [1, 2, 3]
    assert 0 <= found[0].age_ms < 60_000
    async for lines in journal.follow(agent, "debug", 2):
        assert lines[0].message.startswith("ended after ")
        break
