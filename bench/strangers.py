"""How long a client waits for a ping while a stranger sends the daemon what costs it the most.

    python -m bench.strangers [--seconds 5]

For each kind of load, a second connection pings, one ping after the other, until the stranger has
sent for that many seconds. The report has median and longest in ms, and the daemon's CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from gaovm.ipc import methods

LENGTH = struct.Struct(">I")
KIB = 1 << 10
FULL = 255 * KIB
Load = Callable[[Path, Event], None]


class Client:
    """A client that knows only frames."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))
        self._number = 0
        offer = {"protocol": methods.CONTROL, "capabilities": list(methods.CONTROL_METHODS)}
        self.call("hello", {**offer, "requiredCapabilities": ["hello", "ping"]})
        theirs = self.receive()
        accepted = {**offer, "acceptedCapabilities": ["hello", "ping"]}
        self.send({"jsonrpc": "2.0", "id": theirs["id"], "result": accepted})

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        self.sock.sendall(LENGTH.pack(len(body)) + body)

    def receive(self) -> dict[str, Any]:
        (length,) = LENGTH.unpack(self._exactly(4))
        message: dict[str, Any] = json.loads(self._exactly(length))
        return message

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self.send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        while (answer := self.receive()).get("id") != self._number:
            pass
        return answer


def up(text: str) -> dict[str, Any]:
    user = {"name": "u", "uid": 1000, "gid": 1000}
    return {
        "project_dir": "/nowhere",
        "config_path": "c.yaml",
        "config_text": text,
        "user": user,
    }


def calls(path: Path, method: str, params: dict[str, Any], ended: Event) -> None:
    client = Client(path)
    while not ended.is_set():
        client.call(method, params)


def hellos(path: Path, body: bytes, ended: Event) -> None:
    while not ended.is_set():
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.connect(str(path))
            sock.sendall(LENGTH.pack(len(body)) + body)
            while sock.recv(1 << 20):
                pass


def halves(path: Path, ended: Event) -> None:
    half = LENGTH.pack(16 << 20) + b" " * (8 << 20)
    with contextlib.ExitStack() as stack:
        while not ended.is_set():
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.suppress(OSError):
                sock.connect(str(path))
                sock.sendall(half)
            time.sleep(0.05)


def config(text: str) -> Load:
    params = up(text + "\nimages: [{location: 'debian:12'}]\n")
    return lambda path, ended: calls(path, "vm.up", params, ended)


def nothing(path: Path, ended: Event) -> None:
    ended.wait()


def config_set(path: Path, ended: Event) -> None:
    changes = {f"env.A{n}": "x" * 4000 for n in range(200)}
    calls(path, "vm.config.set", {"name": "none", "changes": changes}, ended)


def large_hello() -> bytes:
    hello = {"protocol": methods.LEGACY, "capabilities": ["x" * 100] * 40_000 + ["y" * (6 << 20)]}
    message = {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": hello}
    return json.dumps(message).encode()


LOADS: dict[str, Load] = {
    "nothing": nothing,
    "config: variables": config("message: '{{" + " " * FULL + "'"),
    "config: known variables": config("message: '" + "{{.Home}}" * 24_000 + "'"),
    "config: flow list": config("a: [" + "a," * 45_000 + "]"),
    "config: 20,000 values": config("env:\n" + "".join(f" A{n}: 1\n" for n in range(9_990))),
    "config: unknown fields": config("".join(f"cpuss{n}: 1\n" for n in range(9_000))),
    "config: mounts": config("mounts:\n" + "".join(f"- location: /a{n}\n" for n in range(6_000))),
    "config: aliases": config("a: &a [1,1,1]\n" + "b: &b [*a,*a]\nc: [" + "*b," * 9_000 + "]"),
    "set: 200 words": config_set,
    "hello: 16 MiB of lists": lambda path, ended: hellos(
        path, b"[" + b"[]," * 5_000_000 + b"[]]", ended
    ),
    "hello: 15 MiB, 40,000 names": lambda path, ended: hellos(path, large_hello(), ended),
    "half frames of 8 MiB": halves,
}


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) >> 8


def measure(pid: int, path: Path, load: Load, seconds: float) -> dict[str, Any]:
    ended = multiprocessing.Event()
    stranger = multiprocessing.Process(target=load, args=(path, ended))
    before = cpu_s(pid)
    stranger.start()
    client, waits, begin = Client(path), [], time.monotonic()
    while time.monotonic() - begin < seconds:
        asked = time.monotonic()
        client.call("ping", {})
        waits.append((time.monotonic() - asked) * 1000)
        time.sleep(0.005)
    resident = rss_mib(pid)
    ended.set()
    stranger.join(5)
    stranger.kill()
    return {
        "n": len(waits),
        "median_ms": round(statistics.median(waits), 2),
        "p99_ms": round(sorted(waits)[len(waits) * 99 // 100], 2),
        "longest_ms": round(max(waits), 2),
        "daemon_cpu_s": round(cpu_s(pid) - before, 2),
        "daemon_rss_mib": resident,
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="gs") as home:
        reading, writing = os.pipe()
        daemon = subprocess.Popen(
            [sys.executable, "-m", "gaovm.daemon", "--ready-fd", str(writing)],
            env={**os.environ, "GAOVM_HOME": home},
            pass_fds=(writing,),
        )
        os.close(writing)
        os.read(reading, 10)
        path = Path(home) / "gaovmd.sock"
        try:
            found = {name: measure(daemon.pid, path, load, seconds) for name, load in LOADS.items()}
            found["stalls"] = Client(path).call("daemon.status", {})["result"]["stalls"]
            print(json.dumps(found, indent=2))
        finally:
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    main()
