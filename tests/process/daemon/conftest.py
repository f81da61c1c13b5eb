"""A real gaovmd in its own home; the test ends it and checks what it leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import measuring

from gaovm.driver.spawn import zygote
from gaovm.ipc import methods

if TYPE_CHECKING:
    from tests.process.daemon.world import World

#: So long that only what never comes exceeds it, however busy the machine is.
LIMIT_S = 60.0


class Client:
    """A blocking client that knows only frames."""

    def __init__(self, path: Path, protocol: str = methods.CONTROL) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(str(path))
        self._ids = 0
        self._replies: dict[int, dict[str, Any]] = {}
        names = methods.CONTROL_METHODS if protocol == methods.CONTROL else methods.LEGACY_METHODS
        params = {
            "protocol": protocol,
            "capabilities": list(names),
            "requiredCapabilities": ["hello", "ping"],
        }
        self.hello = self.call("hello", params)
        theirs = self.receive()
        self.their_hello = theirs
        answer = {
            "protocol": protocol,
            "capabilities": ["hello", "ping"],
            "acceptedCapabilities": ["hello", "ping"],
        }
        self.send({"jsonrpc": "2.0", "id": theirs["id"], "result": answer})

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        self.sock.sendall(struct.pack(">I", len(body)) + body)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self) -> dict[str, Any]:
        (length,) = struct.unpack(">I", self._exactly(4))
        message: dict[str, Any] = json.loads(self._exactly(length))
        return message

    def request(self, method: str, params: dict[str, Any] | None = None) -> int:
        self._ids += 1
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": self._ids, "method": method}
        if params is not None:
            message["params"] = params
        self.send(message)
        return self._ids

    def reply(self, number: int) -> dict[str, Any]:
        """Return a call's answer; keep those to other calls, which may come first."""
        while number not in self._replies:
            message = self.receive()
            if "id" in message and "method" not in message:
                self._replies[message["id"]] = message
        return self._replies.pop(number)

    def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        reply = self.reply(self.request(method, params))
        return reply.get("result", reply.get("error"))

    def peek(self) -> bytes:
        """Return what has come and nobody has taken yet, without waiting."""
        try:
            return self.sock.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""

    def at_end(self) -> bool:
        """Whether the daemon has closed the connection."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.sock.close()


class Daemons:
    """Starts daemons of one home and ends all of them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env: dict[str, str] = {}
        #: Resource limits of daemons that start from now on: soft, hard.
        self.limits: dict[int, tuple[int, int]] = {}
        self.socket = home / "gaovmd.sock"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._clients: list[Client] = []

    def popen(
        self, *words: str, fds: tuple[int, ...] = (), python: str = sys.executable
    ) -> subprocess.Popen[bytes]:
        measured = measuring.environment()
        if measured:
            measured[zygote.VARIABLE] = "0"  # a measured zygote rehearses for a second
        environment = {**os.environ, **measured, "GAOVM_HOME": str(self.home), **self.env}
        process = subprocess.Popen(
            [python, "-m", "gaovm.daemon", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=fds,
            preexec_fn=self._limit if self.limits else None,
        )
        self.processes.append(process)
        return process

    def _limit(self) -> None:
        for kind, limits in self.limits.items():
            resource.setrlimit(kind, limits)

    def start(self, python: str = sys.executable) -> subprocess.Popen[bytes]:
        """Start a daemon; return once it says that it is ready."""
        reading, writing = os.pipe()
        process = self.popen("--ready-fd", str(writing), fds=(writing,), python=python)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert pipe.read() == b"ready\n", process.stderr and process.stderr.read()
        return process

    def client(self, protocol: str = methods.CONTROL) -> Client:
        client = Client(self.socket, protocol)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Any, limit_s: float = LIMIT_S) -> None:
    """Wait in the test, never in the product."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


@pytest.fixture
def daemons() -> Iterator[Daemons]:
    # Short: a socket path holds 107 bytes, and pytest's own directories are long.
    home = Path(tempfile.mkdtemp(prefix="gd"))
    made = Daemons(home / "h")
    try:
        yield made
    finally:
        made.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(home)


@pytest.fixture
def world(daemons: Daemons) -> Iterator[World]:
    """Run VMs on the fake hypervisor; their processes have ended afterwards."""
    from tests.process.daemon.world import World  # it needs the names above
    from tests.process.driver import harness

    made = World(daemons)
    yield made
    started: set[int] = set()
    for daemon in daemons.processes:
        if daemon.poll() is None:
            started |= harness.descendants(daemon.pid)
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(LIMIT_S)
    until(lambda: not any(map(alive, started)))
