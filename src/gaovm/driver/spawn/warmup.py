"""Run once what every driver runs, so that a fork finds it done: imports, caches, patterns.

A whole driver runs here for a short time, from hello to exit. This process plays its daemon, its
client, its hypervisor and its guest. So whatever a driver learns to do later is warm without a
change here. The run changes nothing outside a temporary directory. A failure is not fatal: a driver
would only start slower and use more memory, and reports the failure itself when it meets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import encodings.ascii  # noqa: F401  (what a driver finds in /proc is read with it)
import logging
import os
import re
import secrets
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gaovm import errors
from gaovm.aio import logs, steps, tasks
from gaovm.builder import backends, qcow2
from gaovm.driver import backend, main
from gaovm.driver.spawn import rehearsal_fakes
from gaovm.ipc import connection, hello, methods, peer
from gaovm.platform import processes
from gaovm.wire import anyjson, sessions, streams
from gaovm.wire.driver import table

logger = logging.getLogger(__name__)
LIMIT_S = 5.0
_GIB = 1 << 30
_QCOW2 = struct.pack(">4sIQIIQII", qcow2.MAGIC, 2, 0, 0, 0, 20 * _GIB, 0, 0)
_OWNER = re.compile(r"gaovm-warm-up\.(\d{1,9})\.(\d{1,19})\.")
_INPUT = streams.encode(streams.START, b'{"argv":["true"]}') + streams.encode(streams.EOF)


def run(handler: logs.Handler, rounds: int = 1) -> None:
    """Run a driver ``rounds`` times; each takes some 40 ms, at most seconds.

    The interpreter rewrites a function into its fast form after some calls. The driver's log lines
    disappear with its directory.
    """
    sinks = handler.sinks
    try:
        with _directory() as place:
            log = logs.RotatingFile(place / "log")
            handler.sinks = (log,)
            program = place / "hypervisor"
            program.write_text(rehearsal_fakes.PROGRAM)
            program.chmod(0o700)
            (place / "disk.qcow2").write_bytes(_QCOW2)
            with contextlib.closing(log), steps.rehearsal():
                for _ in range(rounds):
                    asyncio.run(asyncio.wait_for(_live(place), LIMIT_S))
    except (errors.GaoError, OSError, EOFError, TimeoutError) as exc:
        handler.sinks = sinks
        logger.warning("warm-up: %s: %s", type(exc).__name__, exc)
    finally:
        handler.sinks = sinks


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """Make a directory of this process; first remove what killed processes left behind."""
    for path in Path(tempfile.gettempdir()).glob("gaovm-warm-up.*"):
        with contextlib.suppress(OSError):
            if _is_left(path):
                shutil.rmtree(path)
    pid, started = processes.identity(os.getpid())
    with tempfile.TemporaryDirectory(prefix=f"gaovm-warm-up.{pid}.{started}.") as name:
        yield Path(name)


def _is_left(path: Path) -> bool:
    owner = _OWNER.match(path.name)
    return (
        owner is not None
        and path.lstat().st_uid == os.geteuid()
        and not processes.alive(int(owner[1]), int(owner[2]))
    )


def _request(place: Path) -> dict[str, Any]:
    here, program = str(place), f"{place}/hypervisor"
    return {
        "spec": {
            "name": "warm",
            "image": {"location": "debian:12"},
            "guest": {
                "user": {"name": "u", "uid": 1000, "gid": 1000, "home": "/home/u"},
                "hostname": "warm",
                "provision": [{"name": "provision[0]", "mode": "system", "script": "true"}],
            },
            "shares": [{"location": here, "mount_point": rehearsal_fakes.MOUNT_POINT}],
        },
        "home": f"{here}/home",  # no share lies in it
        "vm_dir": here,
        "run_dir": here,
        "artefacts": {"disk": program, "kernel": program, "initrd": program},
        "confine": False,
        "facts": {"arch": "x86_64", "programs": {backends.find("").hypervisors["x86_64"]: program}},
    }


class _Daemon:
    """What the daemon's end of the connection hears."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()

    async def refuse(self, method: str, params: Any, context: connection.Request) -> Any:
        raise errors.UnknownMethod(method)

    def note(self, method: str, params: anyjson.Object, _: connection.Connection) -> None:
        if params.get("readiness") in ("ready", "degraded"):
            self.ready.set()


async def _live(place: Path) -> None:
    ours, theirs = socket.socketpair()
    token, told = secrets.token_hex(32), _Daemon()
    offer = hello.Offer(methods.DRIVER, table.NAMES)
    terms = peer.Terms(offer, expected_token=token)
    service = connection.Service(terms, told.refuse, on_notification=told.note)
    async with tasks.TaskOwner("warm-up") as owner:
        create = backend.of("").rehearse(rehearsal_fakes.PLAYERS)
        driver = main.Driver(owner, create)
        life = owner.start(driver.run(ours, token), name="driver", finishable=True)
        daemon = await connection.connect(theirs, service, first=False)
        await daemon.call("ping")
        await daemon.call("vm.configure", _request(place))
        await daemon.call("vm.start")
        await told.ready.wait()
        await daemon.call("vm.status")
        await _exec(await daemon.call("session.open"))
        await driver.vm.guest.connection.ping(LIMIT_S)
        await daemon.call("vm.stop", {"grace_s": LIMIT_S})
        await daemon.call("exit")
        await life
        await daemon.aclose()


async def _exec(session: dict[str, str]) -> None:
    """Run exec as a client, with a program that writes little."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, session["socket"])
        await loop.sock_sendall(sock, sessions.opening(session["ticket"], "exec"))
        await loop.sock_recv(sock, 4096)
        await loop.sock_sendall(sock, _INPUT)
        sock.shutdown(socket.SHUT_WR)
        while await loop.sock_recv(sock, 4096):
            pass
