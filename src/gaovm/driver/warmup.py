"""Runs once what every driver runs, so that a fork finds it done: imports, caches, patterns.

All against stand-ins inside this process: nothing outside changes. What fails here is not fatal:
the driver would only start slower, and report the failure itself when it meets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from typing import Any

import h2.config
import h2.connection
import h2.events

from gaovm import errors
from gaovm.aio import logs, process, tasks
from gaovm.builder.facts import HostFacts
from gaovm.builder.qemu import build
from gaovm.builder.qemu.document import Artefacts
from gaovm.driver import pipes, request, status
from gaovm.guestmanager import channel, frames, guest, info, journal, processes
from gaovm.guestmanager import connection as agent
from gaovm.guestmanager.handshake import Hello
from gaovm.hostfacts import host, limits, programs
from gaovm.ipc import connection, hello, methods, peer
from gaovm.vmmanager.qemu import monitor

logger = logging.getLogger(__name__)
LIMIT_S = 5.0
NONCE = "0" * 32
_GREETING = b'{"QMP":{"version":{"qemu":{"micro":0,"minor":0,"major":8}},"capabilities":[]}}\r\n'
_ID = re.compile(rb'"id":(\d+)')
_EXEC = frames.encode(frames.STARTED, b'{"pid":1}') + frames.encode(frames.EXIT, b'{"status":0}')
REQUEST = {
    "spec": {
        "name": "warm",
        "image": {"location": "debian:12"},
        "guest": {
            "user": {"name": "u", "uid": 1000, "gid": 1000, "home": "/home/u"},
            "hostname": "warm",
            "provision": [{"name": "provision[0]", "mode": "system", "script": "true"}],
        },
        "network": {"forwards": [{"guest_port": 80}]},
        "shares": [{"location": "/tmp", "mount_point": "/tmp"}],
    },
    "home": "/",
    "vm_dir": "/",
    "run_dir": "/",
    "artefacts": {"disk": "/disk", "kernel": "/kernel", "initrd": "/initrd"},
}


def run(rounds: int = 1) -> None:
    """Warm everything up, ``rounds`` times; each takes some 20 ms, at most seconds.

    The interpreter rewrites a function into its fast form after some calls.
    """
    with contextlib.suppress(TimeoutError):
        for _ in range(rounds):
            asyncio.run(asyncio.wait_for(_all(), LIMIT_S))


async def _all() -> None:
    logger.debug("warm-up")
    for step in (_logs, _host, _documents, _children, _monitor, _guest, _calls):
        try:
            await step()
        except (errors.GaoError, OSError) as exc:
            logger.warning("warm-up: %s: %s", step.__name__, exc)


async def _logs() -> None:
    record = logger.makeRecord(logger.name, logging.INFO, __file__, 0, "%s", ("warm-up",), None)
    logs.JsonLines("warm").line(record)


async def _host() -> None:
    # Not the accelerator: its probe is the driver's, with the state directory's cache.
    programs.emulators()
    programs.find("qemu-img")
    programs.virtiofsd()
    limits.memory()
    limits.cpus()
    host.boot_id()
    host.arch()


async def _documents() -> None:
    launch = request.decode(REQUEST, request.LaunchRequest)
    facts = HostFacts(arch="x86_64", emulators={"x86_64": "/qemu"})
    image = launch.artefacts
    artefacts = Artefacts(disk=str(launch.disk), kernel=image.kernel, initrd=image.initrd)
    build.build(launch.spec, facts, artefacts)
    tail = pipes.Tail()
    tail.add(b"text\r\n")
    tail.lines(5)
    status.Status(lambda method, params: None).change("running", "booting")


async def _calls() -> None:
    ours, theirs = socket.socketpair()
    offer = hello.Offer(methods.DRIVER, methods.DRIVER_METHODS)
    ends = [connection.Service(peer.Terms(offer), _pong) for _ in range(2)]
    async with tasks.TaskOwner("warm-up") as owner:
        other = owner.start(
            connection.connect(theirs, ends[0], first=False), name="daemon", finishable=True
        )
        driver = await connection.connect(ours, ends[1], first=True)
        daemon = await other
        await daemon.call("ping", {}, timeout_s=LIMIT_S)
        driver.notify("state", {"observed": "running"})
        await driver.aclose()
        await daemon.aclose()


async def _pong(method: str, params: Any, context: connection.Context) -> Any:
    logger.debug("%s %s", method, params)
    return {"ok": True}


async def _children() -> None:
    await process.run(["/bin/sh", "-c", ":"], timeout_s=LIMIT_S)


async def _monitor() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    server = tasks.spawn(_serve_monitor(theirs), name="monitor")
    client = monitor.Monitor(lambda name, data: None)
    await client.connect(ours)
    await client.execute("query-status")
    client.close()
    await tasks.cancel_and_wait(server)
    theirs.close()


async def _serve_monitor(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, _GREETING)
    while data := await loop.sock_recv(sock, 4096):
        for ident in _ID.findall(data):
            await loop.sock_sendall(sock, b'{"return":{},"id":%s}\r\n' % ident)


class _Ear:
    def __init__(self) -> None:
        self.connection: asyncio.Future[agent.Connection] = (
            asyncio.get_running_loop().create_future()
        )

    def on_connected(self, connection: agent.Connection, hello: Hello) -> None:
        self.connection.set_result(connection)

    def on_lost(self, error: errors.GaoError) -> None:
        return


async def _guest() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ear = _Ear()
    port = await channel.Channel.open(ours, ear)
    server = tasks.spawn(_serve_agent(theirs), name="agent")
    link = await ear.connection
    await guest.configure(link, guest.Configuration(hostname="warm"))
    await info.get(link)
    await processes.run(link, processes.Command(argv=["true"]))
    await link.ping(LIMIT_S)
    async for _ in journal.follow(link, "info", 0):
        pass
    port.close()
    await tasks.cancel_and_wait(server)
    theirs.close()


async def _serve_agent(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, f'GAOVM-AGENT/1 {NONCE} {{"version":"1"}}\n'.encode())
    line = (await loop.sock_recv(sock, 4096)).split()
    config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
    server = h2.connection.H2Connection(config)
    server.initiate_connection()
    await loop.sock_sendall(sock, b"GAOVM-GO/1 " + line[2] + b"\n" + server.data_to_send())
    paths: dict[int, str] = {}
    while data := await loop.sock_recv(sock, 65536):
        for event in server.receive_data(data):
            _answer(server, event, paths)
        await loop.sock_sendall(sock, server.data_to_send())


def _answer(
    server: h2.connection.H2Connection, event: h2.events.Event, paths: dict[int, str]
) -> None:
    if isinstance(event, h2.events.RequestReceived):
        headers = {str(name): str(value) for name, value in event.headers or ()}
        paths[event.stream_id or 0] = headers[":path"]
    elif isinstance(event, h2.events.StreamEnded):
        stream = event.stream_id or 0
        server.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
        body = _EXEC if paths[stream] == processes.PATH else b"{}"
        server.send_data(stream, body, end_stream=True)
