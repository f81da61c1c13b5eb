"""Drive a driver without a daemon: a zygote, forks, the control connection, its reports.

Also a program, for trying things by hand and for the benchmarks: see ``main``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests import measuring

from gaovm import errors
from gaovm.aio import process
from gaovm.ipc import connection, hello, methods, peer
from gaovm.platform import unix_sockets
from gaovm.wire import anyjson
from gaovm.wire.driver import table

#: So long that only what never comes exceeds it, however busy the machine is.
STEP_S = 60.0
#: A driver whose guest and hypervisor answer leaves in less.
LEAVE_S = 2.0
#: The program of a zygote, by the back end that its drivers use as default.
ZYGOTES = {"qemu": "gaovm.driver.spawn.zygote", "toy": "gaovm.testing.toy.zygote"}


class Link:
    """The daemon's end of one driver."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.states: list[anyjson.Object] = []
        self.notified: list[tuple[str, anyjson.Object]] = []
        self.progress: list[anyjson.Object] = []
        self.hello_ms = 0.0
        self.exit_status: int | None = None
        self._changed = asyncio.Event()
        self.connection: connection.Connection

    async def call(self, method: str, params: Any = None, limit_s: float = STEP_S) -> Any:
        return await self.connection.call(method, params, timeout_s=limit_s)

    async def until(
        self, limit_s: float = STEP_S, *, after: int = 0, **wanted: Any
    ) -> anyjson.Object:
        """Return the first state, old or new, in which every named field has the wanted value.

        ``after``: how many of the states do not count.
        """
        return await self.heard("state", limit_s, after=after, **wanted)

    async def heard(
        self, method: str, limit_s: float = STEP_S, *, after: int = 0, **wanted: Any
    ) -> anyjson.Object:
        """Like ``until``, for any notification."""
        async with asyncio.timeout(limit_s):
            while True:
                told = [params for name, params in self.notified if name == method]
                for params in told[after:]:
                    if all(params.get(key) == value for key, value in wanted.items()):
                        return params
                self._changed.clear()
                await self._changed.wait()

    @property
    def displays(self) -> list[anyjson.Object]:
        """Return the notifications about windows."""
        return [params for method, params in self.notified if method == "display"]

    async def until_display(self, limit_s: float = STEP_S, **wanted: Any) -> anyjson.Object:
        """Like ``until``, for windows."""
        async with asyncio.timeout(limit_s):
            while True:
                for told in self.displays:
                    if all(told.get(key) == value for key, value in wanted.items()):
                        return told
                self._changed.clear()
                await self._changed.wait()

    def on_notification(self, method: str, params: anyjson.Object, _: Any) -> None:
        self.notified.append((method, params))
        if method in ("state", "progress"):
            (self.states if method == "state" else self.progress).append(params)
        self._changed.set()


class Zygote:
    """``async with Zygote() as zygote``; at the end every driver that is left ends, too.

    ``backend`` is the back end that its drivers use as default.
    """

    def __init__(self, backend: str = "qemu", **env: str) -> None:
        self.backend, self._env = backend, env
        self._waiting: dict[int, asyncio.Future[anyjson.Object]] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._links: list[Link] = []
        self._next = 0

    async def __aenter__(self) -> Zygote:
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.setblocking(False)
        argv = [sys.executable, "-m", ZYGOTES[self.backend], "--fd", str(theirs.fileno())]
        env = {**os.environ, **UNCAGED, **measuring.environment(), **self._env}
        self.process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], env=env)
        theirs.close()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())
        try:
            async with asyncio.timeout(STEP_S):
                await self._ready
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End what still runs; the zygote leaves at end of file, and so do its drivers.

        A driver that does not is killed, and then does not tell what it ran (``tests.measuring``).
        """
        # A zygote that a test has killed has left its drivers to another parent.
        below = descendants(self.process.pid)
        # The loop may end before it reads a dead driver's end of file, so nothing else closes them.
        for link in self._links:
            await link.connection.aclose()
        if running := [ended for ended in self._exits.values() if not ended.done()]:
            await asyncio.wait(running, timeout=LEAVE_S)
        for pid, ended in self._exits.items():
            if not ended.done():
                with contextlib.suppress(ProcessLookupError):  # nobody has read its end yet
                    os.kill(pid, signal.SIGKILL)
        self._reader.cancel()
        await asyncio.wait([self._reader])
        self._sock.close()
        self.process.wait(STEP_S)
        # A driver that is about to end, or its hypervisor, may still write to the test's directory.
        await gone(below)

    async def fork(self, name: str, log: Path, *, token: str | None = None) -> Link:
        """Fork a driver and shake hands; ``token``: what the driver sends, if wrong."""
        good = secrets.token_hex(32)
        ours, theirs = socket.socketpair()
        self._next += 1
        message = {"op": "fork", "id": self._next, "token": token or good, "vm": name}
        answer: asyncio.Future[anyjson.Object] = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = answer
        began = time.perf_counter()
        data = json.dumps({**message, "log": str(log)}).encode()
        unix_sockets.send(self._sock, data, [theirs.fileno()])
        theirs.close()
        link = Link(0)
        service = connection.Service(
            peer.Terms(hello.Offer(methods.DRIVER, table.NAMES), expected_token=good),
            _refuse,
            on_notification=link.on_notification,
        )
        try:
            link.connection = await connection.connect(ours, service, first=False)
            self._links.append(link)
            link.hello_ms = (time.perf_counter() - began) * 1000
        finally:
            forked = await asyncio.wait_for(answer, STEP_S)
            link.pid = forked["pid"]
        return link

    async def exited(self, pid: int, limit_s: float = STEP_S) -> int:
        """Return a driver's exit status, minus the signal."""
        return await asyncio.wait_for(asyncio.shield(self._exit(pid)), limit_s)

    def _exit(self, pid: int) -> asyncio.Future[int]:
        return self._exits.setdefault(pid, asyncio.get_running_loop().create_future())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._sock, 65536):
            message = json.loads(data)
            if message["op"] == "ready":
                self._ready.set_result(None)
            elif message["op"] == "exited":
                self._exit(message["pid"]).set_result(message["status"])
            else:
                if message["op"] == "forked":
                    self._exit(message["pid"])
                self._waiting.pop(message["id"]).set_result(message)


async def _refuse(method: str, params: Any, context: Any) -> Any:
    raise errors.UnknownMethod(method)


#: The fake hypervisor is a script of this checkout, which no cage contains.
UNCAGED = {"GAOVM_CONFINE": "off"}


def fake_qemu_path(directory: Path) -> str:
    """Return a PATH where QEMU is ``gaovm.testing.fake_qemu`` and everything else is real."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("qemu-system-x86_64", "qemu-system-aarch64"):
        script = directory / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m gaovm.testing.fake_qemu "$@"\n')
        script.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def quiet_port() -> int:
    """Return a free port that the kernel gives nobody who asks for any port.

    Such a port stays free until the test takes it, whatever other tests do at the same time.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(1024, max(first, 2048))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def launch_request(base: Path, spec: anyjson.Object | None = None, **more: Any) -> anyjson.Object:
    """Return a LaunchRequest whose directories lie in ``base``; make missing ones."""
    for name in ("vm", "run"):
        (base / name).mkdir(parents=True, exist_ok=True)
    disk = base / "base.img"
    if not disk.exists():
        with disk.open("wb") as file:
            file.truncate(64 << 20)
    user = {"name": "dev", "uid": 1000, "gid": 1000, "home": "/home/dev.guest"}
    wanted = {
        "name": "test",
        "image": {"location": "debian:12"},
        "guest": {"user": user, "hostname": "test"},
        "disk": {"size_bytes": 128 << 20},
        "boot": {"accelerator": "tcg"},
        **(spec or {}),
    }
    wanted["guest"] = {"user": user, "hostname": "test", **wanted["guest"]}
    return {
        "spec": wanted,
        "home": str(base),
        "vm_dir": str(base / "vm"),
        "run_dir": str(base / "run"),
        "artefacts": {"disk": str(disk), "disk_format": "raw", "kernel": "/dev/null"},
        **more,
    }


def private_kib(pid: int) -> int:
    """Return a process's Private_Clean + Private_Dirty."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            total += int(line.split()[1])
    return total


def resident_kib(pid: int, field: str = "VmRSS") -> int:
    """Return what a process has in memory, or with ``VmHWM`` had at most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise ValueError(pid)


def descendants(pid: int) -> set[int]:
    """Return every live process below ``pid``."""
    found: set[int] = set()
    todo = [pid]
    while todo:
        parent = todo.pop()
        new = _children(parent) - found
        found |= new
        todo += new
    return found


def _children(pid: int) -> set[int]:
    """Return a process's children; those of its threads that end meanwhile are left out."""
    found: set[int] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                text = Path(f"/proc/{pid}/task/{thread}/children").read_text()
                found.update(map(int, text.split()))
    return found


def command_line(pid: int) -> bytes:
    """Return the command line of a process; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def gone(pids: set[int], limit_s: float = STEP_S) -> None:
    """Wait until all of these processes have ended."""
    async with asyncio.timeout(limit_s):
        for pid in pids:
            await process.wait_pid(pid)


class Session:
    """A client's session; makes blocking socket calls without blocking the event loop."""

    HEAD = struct.Struct(">BI")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    @classmethod
    async def open(cls, link: Link, stream: str) -> Session:
        opened = await link.call("session.open", {"ttl_s": 30})
        return await cls.present(opened["socket"], opened["ticket"], stream)

    @classmethod
    async def present(cls, path: str, ticket: str, stream: str) -> Session:
        loop = asyncio.get_running_loop()
        session = cls(socket.socket(socket.AF_UNIX))
        try:
            session.sock.setblocking(False)
            await loop.sock_connect(session.sock, path)
            body = json.dumps({"ticket": ticket, "stream": stream}).encode()
            await loop.sock_sendall(session.sock, struct.pack(">I", len(body)) + body)
            (length,) = struct.unpack(">I", await session.exactly(4))
            answer = json.loads(await session.exactly(length))
            if "error" in answer:
                raise errors.from_wire({"data": answer["error"], **answer["error"]})
        except BaseException:
            session.close()
            raise
        return session

    async def send(self, kind: int, payload: bytes = b"") -> None:
        data = self.HEAD.pack(kind, len(payload)) + payload
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def frame(self) -> tuple[int, bytes]:
        kind, length = self.HEAD.unpack(await self.exactly(5))
        return kind, await self.exactly(length)

    async def exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = await asyncio.get_running_loop().sock_recv(self.sock, count - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    async def exec(self, argv: list[str], stdin: bytes = b"", **more: Any) -> tuple[int, bytes]:
        """Run to the end; return the exit code and both outputs together."""
        await self.send(1, json.dumps({"argv": argv, **more}).encode())
        if stdin:
            await self.send(2, stdin)
        await self.send(3)
        output = b""
        while True:
            kind, payload = await self.frame()
            if kind in (0x12, 0x13):
                output += payload
            elif kind == 0x14:
                ended = json.loads(payload)
                return ended.get("status", -ended.get("signal", 0)), output
            elif kind == 0x15:
                raise errors.GuestCallFailed(payload.decode())

    def close(self) -> None:
        self.sock.close()

    def __del__(self) -> None:
        self.close()


async def _try(artefacts: dict[str, str], base: Path) -> None:
    shutil.rmtree(base, ignore_errors=True)
    request = launch_request(base, {"disk": {"size_bytes": 4 << 30}}, artefacts=artefacts)
    async with Zygote() as zygote:
        link = await zygote.fork("try", base / "vm" / "driver.log")
        print(f"hello after {link.hello_ms:.1f} ms", await link.call("vm.configure", request))
        print(await link.call("vm.start"))
        print(await link.until(200, readiness="ready"))
        print(await (await Session.open(link, "exec")).exec(["/bin/uname", "-a"]))
        print(f"private: {private_kib(link.pid)} KiB")
        print(await link.call("vm.stop", {"grace_s": 30, "force_s": 5}, 40))


def main() -> None:
    """``python -m tests.process.driver.harness DISK KERNEL INITRD BASE``."""
    names = ("disk", "kernel", "initrd")
    artefacts = {"disk_format": "raw", **dict(zip(names, sys.argv[1:4], strict=True))}
    asyncio.run(_try(artefacts, Path(sys.argv[4])))


if __name__ == "__main__":
    main()
