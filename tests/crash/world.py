"""A home with a real gaovmd on the fake hypervisor, in which the test can halt processes.

Everything of a world lies below one short directory, and every process of it has that directory in
its environment. So the test overlooks nothing of it, and never touches anything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from gaovm.client.async_client import AsyncClient
from gaovm.platform import system
from gaovm.platform.confine import keeper

LIMIT_S = 60.0
#: A real guest boots its whole distribution before it is ready, and the machine may be busy.
REAL_LIMIT_S = 400.0
NAME = "vm"

#: Only one hypervisor at a time may have the disk: a second one reports itself and ends.
#: The shell chooses a descriptor that is free: the driver hands over some with low numbers.
_QEMU = """#!/bin/bash
exec {{lock}}>>{base}/hypervisor.lock
flock -n $lock || {{ echo "pid $$" >>{base}/doubles; exit 9; }}
read -r GAOVM_FAKE_QEMU <{base}/fake
export GAOVM_FAKE_QEMU
exec {python} -m gaovm.testing.fake_qemu "$@"
"""
_CONFIG = """
images:
{image}
cpus: 1
memory: {memory}
disk: {disk}
mountType: 9p
portForwards:
- {{guestPort: 80, hostPort: 0, proto: tcp, static: true}}
- {{guestSocket: /run/x.sock, hostSocket: x.sock}}
vmOpts:
  gaovm:
    accel: {accel}
    cmdline: {cmdline}
    restart: {{maxDelay: 50ms, maxAttempts: 2}}
    stop: {{grace: 20s, force: 5s}}
"""
#: A disk whose boot sector has an EFI system partition.
_PARTITIONED = bytes(450) + b"\xef" + bytes(59) + b"\x55\xaa" + bytes(3584)
_REAL = {
    "image": '- {location: "debian:12"}',
    "memory": "512MiB",
    "disk": "4GiB",
    "accel": "auto",
    "cmdline": "systemd.unit=basic.target",  # a shorter boot is enough here
}


class Process(NamedTuple):
    """A process of a world. ``kind``: daemon, zygote, driver, hypervisor or what it runs."""

    pid: int
    parent: int
    kind: str


class Halted(NamedTuple):
    """A process that halts at a point until ``go``."""

    pid: int
    point: str
    writer: asyncio.StreamWriter

    def go(self) -> None:
        with contextlib.suppress(OSError):
            self.writer.write(b"g")
        self.writer.close()


class World:
    """``async with World() as world``; nothing of it is left afterwards.

    ``portable``: its processes use the half of the platform that any Unix has.
    """

    def __init__(self, *, real: bool = False, portable: bool = False) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="gc", dir="/tmp"))
        self.home = self.base / "h"
        self.project = self.base / "p"
        self.halts: asyncio.Queue[Halted] = asyncio.Queue()
        self.client: AsyncClient | None = None
        self.daemon: asyncio.subprocess.Process | None = None
        #: Upgrades of the present daemon: each may leave the zygote of the old code.
        self.upgrades = 0
        self.real = real
        self.portable = portable
        #: The image of the next VM has a boot loader of its own, which UEFI starts.
        self.own_loader = False
        #: How long one call, or one step of a transition, may take.
        self.limit_s = REAL_LIMIT_S if real else LIMIT_S
        self._path = os.environ["PATH"]
        self._at = self.base / "at"
        self._known: dict[tuple[int, str], bool] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> World:
        self.project.mkdir()
        self.arm("")
        self.behave({})
        if not self.real:
            self._path = self._fake_path()
        self._server = await asyncio.start_unix_server(self._on_halt, self.base / "s")
        await self.start_daemon()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
        if self.client is not None:
            await self.client.aclose()
        self.arm("")
        await self.kill_all()
        if self.daemon is not None:
            await self.daemon.wait()
        while not self.halts.empty():  # the end of a process that halts closes no connection
            self.halts.get_nowait().go()
        shutil.rmtree(self.base, ignore_errors=True)

    def _fake_path(self) -> str:
        directory = self.base / "b"
        directory.mkdir()
        for name in ("qemu-system-x86_64", "qemu-system-aarch64"):
            script = directory / name
            script.write_text(_QEMU.format(base=self.base, python=sys.executable))
            script.chmod(0o755)
        return f"{directory}:{os.environ['PATH']}"

    # where processes halt

    def arm(self, point: str) -> None:
        """Make every process that reaches the point halt there; empty: none, ``*``: all points."""
        fresh = self._at.with_suffix(".new")
        fresh.write_text(point)
        fresh.replace(self._at)

    def behave(self, options: dict[str, Any]) -> None:
        """Set how the next fake hypervisor behaves."""
        (self.base / "fake").write_text(json.dumps(options) + "\n")

    async def _on_halt(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            said = json.loads(await reader.readline())
        except BaseException as exc:
            writer.close()
            if not isinstance(exc, OSError | ValueError):  # it was killed before it said anything
                raise
        else:
            self.halts.put_nowait(Halted(said["pid"], said["point"], writer))

    # processes

    async def start_daemon(self) -> None:
        """Start a daemon and connect to it once it serves."""
        await self.spawn_daemon()
        await self.connect()

    async def spawn_daemon(self) -> None:
        """Start a daemon; return when it serves."""
        environment = {
            **os.environ,
            "PATH": self._path,
            "GAOVM_HOME": str(self.home),
            "GAOVM_REHEARSAL": "0",
            "GAOVM_HALT_AT": f"@{self._at}",
            "GAOVM_HALT_SOCKET": str(self.base / "s"),
        }
        if not self.real:
            environment["GAOVM_CACHE"] = str(self.base / "c")
            environment["GAOVM_CONFINE"] = "off"  # its hypervisor is a script of this checkout
        if self.portable:
            environment[system.VARIABLE] = system.PORTABLE
        self.upgrades = 0
        reading, writing = os.pipe()
        self.daemon = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "gaovm.daemon", "--ready-fd", str(writing)),
            env=environment,
            pass_fds=(writing,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = await asyncio.to_thread(pipe.read)
        if said != b"ready\n":
            raise DaemonEnded(self.log_tail())

    async def connect(self) -> AsyncClient:
        """Make the connection that the world uses from now on."""
        if self.client is not None:
            await self.client.aclose()
        self.client = await self.dial()
        return self.client

    async def dial(self) -> AsyncClient:
        """Make a separate connection."""
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(self.home / "gaovmd.sock"))
        except OSError:
            sock.close()
            raise
        client = AsyncClient()
        await client.open(sock)
        return client

    def processes(self) -> list[Process]:
        """Return every live process of this world, including the daemon."""
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        found = [process for pid in pids if (process := self._look(pid)) is not None]
        daemon = -1 if self.daemon is None else self.daemon.pid
        live = {process.pid for process in found}
        return [
            process._replace(kind="zygote" if process.parent == daemon else "driver")
            if process.kind == "forked"
            else process
            for process in found
            # a driver's keeper starts programs for it and is a part of it, as long as it lives
            if process.kind != "keeper" or process.parent not in live
        ]

    def _look(self, pid: int) -> Process | None:
        try:
            text = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if text[0] in "ZX":
                return None
            key = (pid, text[19])
            if key not in self._known:
                environ = Path(f"/proc/{pid}/environ").read_bytes()
                ours = f"GAOVM_HOME={self.home}\0".encode() in environ
                if not ours and environ == b"":
                    return None  # between fork and exec: look again next time
                # a confined hypervisor lacks our environment, but has our disk open
                self._known[key] = ours or _holds(pid, self.home)
            if not self._known[key]:
                return None
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
            if Path(f"/proc/{pid}/comm").read_text().strip() == keeper.NAME:
                return Process(pid, int(text[1]), "keeper")
        except (OSError, ValueError):
            return None
        return Process(pid, int(text[1]), _kind(words))

    def pids(self, kind: str) -> list[int]:
        """Return the pids of one kind."""
        return [process.pid for process in self.processes() if process.kind == kind]

    def kill(self, kind: str) -> bool:
        """Send SIGKILL to every process of the kind; False if there is none."""
        found = self.pids(kind)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(found)

    async def kill_all(self) -> None:
        """Leave no process of this world."""
        for _ in range(100):
            found = self.processes()
            if not found:
                return
            for process in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            await asyncio.sleep(0.02)

    # calls and what is stored

    async def call(self, method: str, **params: Any) -> Any:
        """Call on the world's own connection."""
        assert self.client is not None
        return await self.client.call(method, params, timeout_s=self.limit_s)

    def up_params(self) -> dict[str, Any]:
        """Return the parameters of ``vm.up``."""
        config = _CONFIG.format(**(_REAL if self.real else self._fake_image()))
        return {
            "name": NAME,
            "project_dir": str(self.project),
            "config_path": ".lima/config.yaml",
            "config_text": config,
            "user": {"name": "u", "uid": 1000, "gid": 1000, "comment": ""},
        }

    def _fake_image(self) -> dict[str, str]:
        files = []
        contents = {"disk": b"disk" * 1024, "boot": b"boot" * 1024, "partitioned": _PARTITIONED}
        for name, content in contents.items():
            path = self.project / name
            if not path.exists():
                path.write_bytes(content)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            files.append(f"{{location: {path}, digest: 'sha256:{digest}'")
        disk, boot, partitioned = files
        image = f"- {disk}, kernel: {boot}}}, initrd: {boot}}}}}"
        if self.own_loader:
            image = f"- {partitioned}}}"
        return {
            "image": image,
            "memory": "256MiB",
            "disk": "64MiB",
            "accel": "tcg",
            "cmdline": "" if self.own_loader else "quiet",
        }

    async def status(self) -> dict[str, Any] | None:
        """Return the VM; None if there is none."""
        found = (await self.call("vm.list"))["vms"]
        return found[0] if found else None

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Query the database as it is on disk."""
        connection = sqlite3.connect(f"file:{self.home}/state.db?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def last_seq(self) -> int:
        """Return the number of the newest durable event."""
        return int(self.query("SELECT coalesce(max(seq), 0) FROM events")[0][0])

    def events(self, after: int) -> list[tuple[str, dict[str, Any]]]:
        """Return the durable events after a number: type and payload."""
        found = self.query("SELECT type, payload FROM events WHERE seq > ? ORDER BY seq", after)
        return [(kind, json.loads(payload)) for kind, payload in found]

    def log_tail(self) -> str:
        """Return the last lines of the daemon's log."""
        with contextlib.suppress(OSError):
            return (self.home / "logs" / "gaovmd.log").read_text()[-2000:]
        return ""


class DaemonEnded(Exception):
    """A daemon ended before it served."""


def _holds(pid: int, home: Path) -> bool:
    """Whether a process has a file below ``home`` open."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if entry.readlink().is_relative_to(home):
                return True
    return False


def _kind(words: str) -> str:
    if "gaovm.daemon" in words:
        return "daemon"
    if "gaovm.driver.spawn.zygote" in words:
        return "forked"  # a driver, or the zygote, whose parent is the daemon
    if "gaovm.driver" in words:
        return "driver"  # that the daemon started without a zygote
    if "fake_qemu" in words or "qemu-system" in words:
        return "hypervisor"
    return words.replace("\0", " ").strip()
