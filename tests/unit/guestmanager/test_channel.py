"""Channel and connection with the fake agent at the other end of a socket pair."""

from __future__ import annotations

import asyncio

import hyperframe.frame
import pytest
from tests.unit.guestmanager.pairs import Pair

from gaovm import errors
from gaovm.guestmanager import guest, info, mounts, power, processes
from gaovm.testing.fake_agent import FakeAgent
from gaovm.wire import streams
from gaovm.wire.agent.guest import Configuration
from gaovm.wire.agent.mounts import Mount
from gaovm.wire.agent.processes import Command


async def test_calls() -> None:
    async with Pair() as pair:
        connection, hello = await pair.ear.connected.get()
        assert hello.version == "fake"
        await info.ping(connection)
        assert (await info.get(connection)).hostname == "fake"
        await power.off(connection, limit_s=1)
        assert pair.agent.power == "poweroff"
        await connection.ping(1)


async def test_run_gives_output_and_status() -> None:
    async with Pair() as pair:
        connection, _ = await pair.ear.connected.get()
        seen: list[tuple[int, bytes]] = []
        command = Command(argv=("/bin/sh", "-c", "cat; echo err >&2; exit 7"))
        ended = await processes.run(
            connection, command, stdin=b"in", on_output=lambda k, d: seen.append((k, d))
        )
        assert ended.code == 7
        assert seen == [(streams.OUTPUT, b"in"), (streams.STDERR, b"err\n")]


async def test_output_larger_than_the_stream_window() -> None:
    async with Pair() as pair:
        connection, _ = await pair.ear.connected.get()
        size = 0

        def count(_: int, data: bytes) -> None:
            nonlocal size
            size += len(data)

        # the fake sends at once as much as the window allows; 300 kB fit below it
        command = Command(argv=("/usr/bin/head", "-c", "300000", "/dev/zero"))
        assert (await processes.run(connection, command, on_output=count)).code == 0
        assert size == 300000


async def test_a_failed_mount_is_named() -> None:
    async with Pair("bad-mount") as pair:
        connection, _ = await pair.ear.connected.get()
        wanted = (Mount(tag="lima-1", type="9p", path="/src", writable=True),)
        done = await guest.configure(connection, Configuration(mounts=wanted))
        with pytest.raises(errors.GuestCallFailed, match=r"/src.*no such tag"):
            mounts.check(wanted, done.mounts)


async def test_a_mute_agent_is_a_typed_error() -> None:
    async with Pair("mute") as pair:
        connection, _ = await pair.ear.connected.get()
        with pytest.raises(errors.GuestUnavailable, match=r"/v1/ping within 0\.1 s"):
            await connection.call("GET", "/v1/ping", limit_s=0.1)
        with pytest.raises(TimeoutError):
            await connection.ping(0.1)


async def test_broken_http2_ends_the_connection_but_the_next_agent_can_connect() -> None:
    async with Pair("broken") as pair:
        connection, _ = await pair.ear.connected.get()
        assert isinstance(await pair.ear.lost.get(), errors.GuestProtocolError)
        assert pair.channel.connection is None
        with pytest.raises(errors.GuestProtocolError):
            await connection.call("GET", "/v1/ping")
        await pair.restart(FakeAgent(nonce="cd" * 16))
        again, _ = await pair.ear.connected.get()
        await info.ping(again)


async def test_an_agent_that_restarts_during_http2() -> None:
    async with Pair() as pair:
        first, _ = await pair.ear.connected.get()
        await info.ping(first)
        await pair.restart(FakeAgent(nonce="cd" * 16))
        second, _ = await pair.ear.connected.get()
        await info.ping(second)
        with pytest.raises(errors.GuestUnavailable, match="has restarted"):
            await info.ping(first)


async def test_a_reset_drops_half_a_frame() -> None:
    async with Pair() as pair:
        first, _ = await pair.ear.connected.get()
        await info.ping(first)
        await asyncio.get_running_loop().sock_sendall(pair.theirs, b"\0\x10\0\0\0\0\0\0\x01half")
        await asyncio.sleep(0.01)
        pair.channel.reset("the guest was reset")
        await pair.restart(FakeAgent(nonce="cd" * 16))
        second, _ = await pair.ear.connected.get()
        await info.ping(second)


async def test_garbage_is_reported_and_slows_the_reader() -> None:
    async with Pair("garbage") as pair:
        error = await asyncio.wait_for(pair.ear.lost.get(), 60)
        assert isinstance(error, errors.GuestProtocolError)
        assert pair.channel.connection is None


async def test_pending_calls_end_when_the_guest_does() -> None:
    async with Pair("mute") as pair:
        connection, _ = await pair.ear.connected.get()
        pending = asyncio.create_task(connection.call("GET", "/v1/info"))
        await asyncio.sleep(0.01)
        pair.theirs.close()
        with pytest.raises(errors.GuestUnavailable):
            await asyncio.wait_for(pending, 60)


def test_the_repr_of_a_frame_omits_its_content() -> None:
    frame = hyperframe.frame.DataFrame(1, b"x" * (1 << 20))
    assert repr(frame).startswith("<hyperframe.frame.DataFrame object")
