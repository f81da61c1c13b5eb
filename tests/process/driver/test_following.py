"""Host ports that follow a guest's servers, against the real agent as a plain process.

The guest is this host: each rule leads to another port, and tests ask for the ports of their own.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.process.driver.harness import STEP_S, launch_request, quiet_port
from tests.process.driver.test_agent import agent, program  # noqa: F401  (fixtures)

from gaovm import errors
from gaovm.aio import tasks
from gaovm.driver.ports.forwards import Ports
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.portrules import ANY, Rule
from gaovm.spec.ports import PortForward
from gaovm.wire.driver.launch import LaunchRequest
from gaovm.wire.driver.params import RemovePort
from gaovm.wire.driver.results import Port


class Followed:
    """The forwards of one VM, and the reports that a daemon would get."""

    def __init__(self, ports: Ports, connection: Connection, base: Path) -> None:
        self.ports, self.connection, self._base = ports, connection, base
        self.reports: list[tuple[Port, ...]] = []
        self._changed = asyncio.Event()

    def begin(self, *rules: Rule, **network: Any) -> None:
        request = self._request(rules, network)
        self.ports.bind_all(request)
        self.ports.serve()
        self.ports.follow(self.connection)

    async def offer(self, **network: Any) -> None:
        await self.ports.offer(self._request((), network))
        self.begin(**network)

    def _request(self, rules: tuple[Rule, ...], network: dict[str, Any]) -> LaunchRequest:
        wanted = {"rules": msgspec.to_builtins(rules), **network}
        return msgspec.convert(launch_request(self._base, {"network": wanted}), LaunchRequest)

    def on_change(self) -> None:
        self.reports.append(self.ports.describe())
        self._changed.set()

    async def until(self, wanted: Callable[[tuple[Port, ...]], bool]) -> tuple[Port, ...]:
        """Return the forwards as soon as they are as wanted."""
        async with asyncio.timeout(STEP_S):
            while not wanted(self.ports.describe()):
                self._changed.clear()
                await self._changed.wait()
        return self.ports.describe()

    async def port(self, number: int, state: str) -> Port:
        """Return the forward of a guest port when it has this state."""
        found = await self.until(lambda ports: any(_is(each, number, state) for each in ports))
        return next(each for each in found if _is(each, number, state))


def _is(port: Port, number: int, state: str) -> bool:
    return port.guest_port == number and port.state == state


@pytest.fixture
async def followed(agent: Connection, base: Path) -> AsyncIterator[Followed]:  # noqa: F811
    async with tasks.TaskOwner() as owner:
        ports = Ports(owner, lambda: agent, lambda: made.on_change())
        made = Followed(ports, agent, base)
        yield made
        await ports.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server of the guest that listens on its loopback, and answers what it is told."""
    with socket.create_server(("127.0.0.1", quiet_port())) as sock:
        yield sock


def number(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def refused(host_port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", host_port)) == errno.ECONNREFUSED


async def test_all_is_closed_though_the_driver_has_ended_its_tasks(
    agent: Connection,  # noqa: F811
    base: Path,
    server: socket.socket,
) -> None:
    outside = quiet_port()
    async with tasks.TaskOwner() as owner:
        ports = Ports(owner, lambda: agent, lambda: made.on_change())
        made = Followed(ports, agent, base)
        made.begin(Rule(number(server), number(server), host_first=outside))
        await made.port(number(server), "listening")
    ports.unfollow()
    await ports.close()
    assert refused(outside)


async def test_a_port_opens_and_closes_with_its_server(followed: Followed) -> None:
    inside, outside = quiet_port(), quiet_port()
    followed.begin(Rule(inside, inside, host_first=outside))
    assert (await followed.port(inside, "no_listener")).host_port == outside
    assert refused(outside)
    with socket.create_server(("127.0.0.1", inside)) as sock:
        await followed.port(inside, "listening")
        with socket.create_connection(("127.0.0.1", outside)) as client:
            client.setblocking(False)
            peer, _ = await asyncio.to_thread(sock.accept)
            with peer:
                peer.sendall(b"hello")
                got = await asyncio.get_running_loop().sock_recv(client, 100)
                assert got == b"hello"
    await followed.port(inside, "no_listener")
    assert refused(outside)


async def test_a_rule_for_a_range_shows_only_what_listens(
    followed: Followed, server: socket.socket
) -> None:
    first = number(server)
    followed.begin(Rule(first, min(first + 9, 65535), host_first=0))
    found = await followed.port(first, "listening")
    assert found.host_port not in (0, first) and found.follows
    assert [each.guest_port for each in followed.ports.describe()] == [first]


async def test_a_taken_port_is_told_and_opens_when_it_is_free(
    followed: Followed, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaovm.driver.ports.following.RETRY_S", 0.01)
    with socket.create_server(("127.0.0.1", quiet_port())) as other:
        outside = number(other)
        followed.begin(Rule(number(server), number(server), host_first=outside))
        found = await followed.port(number(server), "taken")
        assert found.problem is not None and f"{outside} is taken by" in found.problem
    found = await followed.port(number(server), "listening")
    assert found.problem is None and found.host_port == outside


async def test_the_first_rule_decides_and_an_ignored_port_stays_closed(
    followed: Followed, server: socket.socket
) -> None:
    port = number(server)
    followed.begin(Rule(port, port, ANY, ignore=True), Rule(1024, 65535, host_first=0))
    with socket.create_server(("127.0.0.1", quiet_port())) as other:
        await followed.port(number(other), "listening")  # so the report of the first came too
        assert port not in [each.guest_port for each in followed.ports.describe()]


async def test_other_rules_take_effect_at_once(followed: Followed, server: socket.socket) -> None:
    port = number(server)
    followed.begin(Rule(port, port, host_first=0))
    old = await followed.port(port, "listening")
    await followed.ports.set_rules((Rule(port, port, ANY, ignore=True),))
    assert followed.ports.describe() == () and refused(old.host_port)
    await followed.ports.set_rules((Rule(port, port, host_first=0),))
    assert (await followed.port(port, "listening")).host_port == old.host_port, "it is remembered"


async def test_a_forward_by_hand_takes_the_place_of_the_standing_rule(
    followed: Followed, server: socket.socket
) -> None:
    port, outside = number(server), quiet_port()
    followed.begin(Rule(port, port, host_first=outside))  # no field: no user wrote it
    await followed.port(port, "listening")
    added = await followed.ports.add(PortForward(guest_port=port, host_port=outside))
    assert [each.follows for each in followed.ports.describe() if each.state != "no_listener"] == [
        False
    ]
    await followed.ports.remove(RemovePort(host_port=added.port))
    assert (await followed.port(port, "listening")).host_port == outside


async def test_a_lost_agent_closes_what_follows(followed: Followed, server: socket.socket) -> None:
    port = number(server)
    followed.begin(Rule(port, port, host_first=0))
    opened = await followed.port(port, "listening")
    followed.ports.unfollow()
    await followed.port(port, "no_listener")
    assert refused(opened.host_port)
    followed.ports.follow(followed.connection)
    await followed.port(port, "listening")


async def test_datagrams_keep_their_bounds_and_their_peer(followed: Followed) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.bind(("127.0.0.1", quiet_port()))
        echo.setblocking(False)
        port = number(echo)
        followed.begin(Rule(port, port, proto="udp", host_first=0))
        opened = await followed.port(port, "listening")
        assert opened.proto == "udp"
        loop = asyncio.get_running_loop()
        peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for index, peer in enumerate(peers):
            peer.setblocking(False)
            peer.connect(("127.0.0.1", opened.host_port))
            for size in (1, 0, 9000):
                await loop.sock_sendall(peer, bytes([index]) * size)
                data, source = await loop.sock_recvfrom(echo, 65535)
                assert data == bytes([index]) * size
                await loop.sock_sendto(echo, data + b"!", source)
                assert await loop.sock_recv(peer, 65535) == data + b"!"
            peer.close()


async def test_a_socket_of_the_guest_is_a_socket_of_the_host(
    followed: Followed, base: Path
) -> None:
    inside = base / "guest.sock"
    server = await asyncio.start_unix_server(_shout, inside)
    async with server:
        forward = {"guest_socket": str(inside), "host_socket": "docker.sock"}
        followed.begin(sockets=[forward])
        path = base / "vm" / "sock" / "docker.sock"
        assert path.stat().st_mode & 0o777 == 0o600
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"hello")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), STEP_S) == b"HELLO"
        writer.close()
    await followed.ports.close()
    assert not path.exists()


async def test_a_rule_leads_to_a_socket_of_the_host(followed: Followed, base: Path) -> None:
    server = await asyncio.start_server(_shout, "127.0.0.1", quiet_port())
    port = number(server.sockets[0])
    followed.begin(Rule(port, port, host_socket="web.sock"))
    async with server:
        await followed.port(port, "listening")
        reader, writer = await asyncio.open_unix_connection(base / "vm" / "sock" / "web.sock")
        writer.write(b"a")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), STEP_S) == b"A"
        writer.close()
    await followed.port(port, "no_listener")
    reader, writer = await asyncio.open_unix_connection(base / "vm" / "sock" / "web.sock")
    assert await asyncio.wait_for(reader.read(), STEP_S) == b"", "nobody listens: it closes at once"
    writer.close()


async def test_a_foreign_file_is_never_replaced_and_a_stale_socket_is(
    followed: Followed, base: Path
) -> None:
    elsewhere = base / "elsewhere"
    elsewhere.mkdir()
    foreign = elsewhere / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(foreign))
    forward = {"guest_socket": "/run/a.sock", "host_socket": str(foreign)}
    before = foreign.lstat().st_ino
    with pytest.raises(errors.PortTaken, match="no socket of this VM"):
        followed.begin(sockets=[{**forward, "static": True}])
    assert foreign.lstat().st_ino == before
    foreign.unlink()
    followed.begin(sockets=[forward])
    # a driver that was killed leaves its files, and the next one knows them
    followed.ports._files._made.clear()
    await followed.ports.close()
    assert foreign.exists()
    followed.begin(sockets=[forward])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(foreign))
    await followed.ports.close()
    assert not foreign.exists()


@pytest.fixture
def at_loopback(monkeypatch: pytest.MonkeyPatch) -> str:
    """Offer the host's ports at an address of their own: the guest is this host."""
    monkeypatch.setattr("gaovm.driver.ports.reverse.HOST_PORTS", "127.0.0.100")
    return "127.0.0.100"


async def test_a_single_port_of_the_host_is_in_the_guest(
    followed: Followed, at_loopback: str
) -> None:
    server = await asyncio.start_server(_shout, "127.0.0.1", quiet_port())
    port = number(server.sockets[0])
    async with server:
        await followed.offer(host_ports=[port])
        reader, writer = await _connected(at_loopback, port)
        writer.write(b"hello")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), STEP_S) == b"HELLO"
        writer.close()
    # nobody listens on the host: the guest's connection ends, and others still can
    reader, writer = await _connected(at_loopback, port)
    assert await asyncio.wait_for(_rest(reader), STEP_S) == b""
    writer.close()
    followed.ports.unfollow()
    async with asyncio.timeout(STEP_S):
        with pytest.raises(OSError):
            while True:
                _, writer = await asyncio.open_connection(at_loopback, port)
                writer.close()
                await asyncio.sleep(0.01)


async def test_a_socket_of_the_host_is_in_the_guest(followed: Followed, base: Path) -> None:
    host, inside = base / "host.sock", base / "inside.sock"
    async with await asyncio.start_unix_server(_shout, host):
        forward = {"guest_socket": str(inside), "host_socket": str(host), "reverse": True}
        await followed.offer(sockets=[forward])
        await _appears(inside)
        assert inside.stat().st_mode & 0o777 == 0o600
        many = [_ask(inside, bytes([97 + index]) * 1000) for index in range(20)]
        assert await asyncio.gather(*many) == [bytes([65 + i]) * 1000 for i in range(20)]


async def test_a_port_that_the_guest_itself_uses_is_told(
    followed: Followed, at_loopback: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaovm.driver.ports.reverse.RETRY_S", 0.01)
    with socket.create_server((at_loopback, quiet_port())) as other:
        await followed.offer(host_ports=[number(other)])
        told = await followed.port(number(other), "refused")
        assert told.problem is not None and "address already in use" in told.problem
    assert (await followed.port(told.guest_port, "forwarded")).problem is None


async def _connected(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(STEP_S):
        while True:
            try:
                return await asyncio.open_connection(host, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def _appears(path: Path) -> None:
    async with asyncio.timeout(STEP_S):
        while not path.exists():
            await asyncio.sleep(0.01)


async def _ask(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), STEP_S)
    writer.close()
    return answer


async def _shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())
    writer.close()
