"""A driver that receives nonsense ends in order; a driver that sends nonsense is only lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import budgets
from tests.process.fuzz import streams, world

from gaovm import errors
from gaovm.aio import tasks
from gaovm.client import session
from gaovm.driver import main
from gaovm.ipc import methods
from gaovm.wire import anyjson
from gaovm.wire import streams as stream_frames
from gaovm.wire.driver import table

EXAMPLES = settings(
    max_examples=budgets.examples(40, 100),
    suppress_health_check=list(HealthCheck),
    database=None,
)
PLAUSIBLE: tuple[Any, ...] = (
    "running",
    "ready",
    "stopped",
    "failed",
    "degraded",
    1.5,
    80,
    {},
    True,
)
LIMIT_S = 60.0
DRIVER = methods.DRIVER
NAMES = table.NAMES
#: What a daemon sends to a driver, which speaks first.
DAEMON = [streams.answer(1, DRIVER, NAMES), streams.hello(DRIVER, NAMES) | {"id": -1}]
CONFIGURE = {
    "spec": {
        "name": "fuzz",
        "image": {"location": "debian:12"},
        "guest": {
            "user": {"name": "u", "uid": 1000, "gid": 1000, "home": "/home/u"},
            "hostname": "fuzz",
        },
        "network": {"forwards": [{"guest_port": 80}]},
    },
    "home": "/nowhere",
    "vm_dir": "/nowhere/vm",
    "run_dir": "/nowhere/run",
    "artefacts": {"disk": "/nowhere/disk", "kernel": "/nowhere/k", "initrd": "/nowhere/i"},
}
TO_DRIVER: dict[str, dict[str, Any]] = {
    "vm.configure": CONFIGURE,
    "vm.stop": {"grace_s": 0.1, "force_s": 0.1},
    "session.open": {"ttl_s": 1.0},
    "ports.remove": {"host_port": 1},
    "log.level": {"level": "info"},
}
REPORTS: dict[str, dict[str, Any]] = {
    "state": {"observed": "running", "readiness": "ready", "at": 1.0},
    "progress": {"phase": "boot", "message": "m"},
    "hypervisor": {"pid": 1, "status": 0, "at": 1.0},
    "health": {"kind": "hung", "detail": "d"},
    "display": {"open": True},
}


async def _drive(chunks: list[bytes]) -> list[anyjson.Object]:
    """Run a real driver whose daemon sends these chunks; return what the driver sent."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    with theirs:
        async with tasks.TaskOwner("driver") as owner:
            running = owner.start(
                main.Driver(owner).run(ours, "token"), name="driver", finishable=True
            )
            with contextlib.suppress(OSError):
                for chunk in chunks:
                    await loop.sock_sendall(theirs, chunk)
                    await asyncio.sleep(0)
                await asyncio.wait([running], timeout=world.SILENCE_S)
                theirs.shutdown(socket.SHUT_WR)
            with contextlib.suppress(errors.GaoError):
                await asyncio.wait_for(running, LIMIT_S)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := await loop.sock_recv(theirs, 1 << 16):
                received += data
        return world.messages(received)


@EXAMPLES
@given(streams.streams(DAEMON, streams.calls(NAMES, PLAUSIBLE, TO_DRIVER)), streams.CUTS)
def test_a_driver_ends_in_order(data: bytes, cuts: list[int]) -> None:
    defects = world.Defects()
    logging.getLogger().addHandler(defects)
    try:
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(defects.in_loop)
            said = runner.run(_drive(streams.chunks(data, cuts)))
    finally:
        logging.getLogger().removeHandler(defects)
    assert said[0]["method"] == "hello"
    defects.check()


@pytest.fixture(scope="module")
def daemon() -> Iterator[world.World]:
    with (
        tempfile.TemporaryDirectory(prefix="gz") as directory,
        world.running(Path(directory)) as it,
    ):
        yield it


@EXAMPLES
@given(
    st.booleans(),
    streams.streams(
        [streams.answer(-1, DRIVER, NAMES)],
        streams.calls([*NAMES, *REPORTS], PLAUSIBLE, REPORTS) | streams.reports(REPORTS),
    ),
    streams.CUTS,
)
def test_the_daemon_outlives_its_drivers(
    daemon: world.World, token: bool, data: bytes, cuts: list[int]
) -> None:
    with daemon.driver() as (sock, right):
        opening = streams.hello(DRIVER, NAMES, token=right if token else "wrong")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(streams.frame(streams.encode(opening)))
            for chunk in streams.chunks(data, cuts):
                sock.sendall(chunk)
        world.until_silence(sock)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        world.read_all(sock)
    daemon.check()


TICKETS = st.builds(
    lambda ticket, stream: streams.frame(streams.encode({"ticket": ticket, "stream": stream})),
    streams.JSON | st.just(secrets.token_hex(32)),
    streams.JSON | st.just("exec"),
)


@EXAMPLES
@given(TICKETS | streams.NOISE, st.binary(max_size=50), streams.CUTS)
def test_sessions_go_on_beside_a_hostile_client(
    daemon: world.World, first: bytes, rest: bytes, cuts: list[int]
) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT_S)
        sock.connect(str(daemon.sessions_path))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for chunk in streams.chunks(first + rest, cuts):
                sock.sendall(chunk)
            sock.shutdown(socket.SHUT_WR)
        answer = world.read_all(sock)
    assert not answer or world.messages(answer)[0].keys() == {"error"}
    assert _run_true(daemon) == 0
    daemon.check()


def _run_true(daemon: world.World) -> int:
    ticket = {"socket": str(daemon.sessions_path), "ticket": daemon.ticket()}
    with session.open_stream(ticket, "exec") as sock:
        sock.settimeout(LIMIT_S)
        sock.sendall(stream_frames.encode_json(stream_frames.START, {"argv": ["true"]}))
        sock.sendall(stream_frames.encode(stream_frames.EOF))
        decoder = stream_frames.Decoder()
        while data := sock.recv(1 << 16):
            for kind, payload in decoder.feed(data):
                if kind == stream_frames.EXIT:
                    return stream_frames.exit_status(payload)
    raise AssertionError("the session ended without a status")
