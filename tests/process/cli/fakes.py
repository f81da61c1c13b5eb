"""A daemon for gaovm.control.v1 and a driver that serves sessions, in threads of the test.

The "guest" of an exec session is a child process of the test.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gaovm import errors

START, DATA, EOF, SIGNAL, RESIZE = 1, 2, 3, 4, 5
STARTED, OUT, ERR, EXIT, ERROR = 0x11, 0x12, 0x13, 0x14, 0x15


def read_exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        block = stream.recv(count - len(data))
        if not block:
            raise EOFError
        data += block
    return data


def read_json(stream: socket.socket) -> dict[str, Any]:
    (length,) = struct.unpack(">I", read_exactly(stream, 4))
    message: dict[str, Any] = json.loads(read_exactly(stream, length))
    return message


def write_json(stream: socket.socket, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    stream.sendall(struct.pack(">I", len(data)) + data)


class Call:
    """One running call: ``progress`` reports to the caller; ``call.cancel`` sets ``cancelled``."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number
        self.cancelled = threading.Event()

    def progress(self, **params: Any) -> None:
        body = {"call": self._number, **params}
        self._connection.send({"jsonrpc": "2.0", "method": "progress", "params": body})


class Connection:
    def __init__(self, daemon: FakeDaemon, stream: socket.socket) -> None:
        self._daemon = daemon
        self._stream = stream
        self._lock = threading.Lock()
        self._calls: dict[int, Call] = {}

    def send(self, message: dict[str, Any]) -> None:
        with self._lock, contextlib.suppress(OSError):
            write_json(self._stream, message)

    def serve(self) -> None:
        with self._stream, contextlib.suppress(EOFError, OSError):
            hello = read_json(self._stream)
            offered = hello["params"]["capabilities"]
            reply = {"protocol": hello["params"]["protocol"], "capabilities": offered}
            self._result(hello["id"], {**reply, "acceptedCapabilities": offered})
            own = {"protocol": "gaovm.control.v1", "capabilities": offered}
            own["requiredCapabilities"] = []
            self.send({"jsonrpc": "2.0", "id": -1, "method": "hello", "params": own})
            read_json(self._stream)
            while True:
                request = read_json(self._stream)
                threading.Thread(target=self._answer, args=(request,), daemon=True).start()

    def _result(self, number: int, result: Any) -> None:
        self.send({"jsonrpc": "2.0", "id": number, "result": result})

    def _answer(self, request: dict[str, Any]) -> None:
        number, method, params = request["id"], request["method"], request.get("params") or {}
        self._daemon.calls.append((method, params))
        if method == "call.cancel":
            call = self._calls.get(params["id"])
            if call:
                call.cancelled.set()
            self._result(number, {"cancelled": call is not None})
            return
        call = self._calls[number] = Call(self, number)
        try:
            result = self._daemon.handlers[method](params, call)
        except errors.GaoError as error:
            wire = errors.to_wire(error)
            self.send({"jsonrpc": "2.0", "id": number, "error": wire})
        else:
            self._result(number, result)


Handler = Callable[[dict[str, Any], Call], Any]


class FakeDaemon:
    """Listens on ``HOME/gaovmd.sock``; ``handlers`` answer, ``calls`` records."""

    def __init__(self, home: Path, socket_name: str = "gaovmd.sock") -> None:
        self.home = home
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.phase = ""
        self._streams: list[socket.socket] = []
        self.handlers: dict[str, Handler] = {
            "vm.list": lambda params, call: {"vms": []},
            "vm.ports.list": lambda params, call: {"ports": vm("x")["ports"]},
        }
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(home / socket_name))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listener.accept()
                self._streams.append(stream)
                threading.Thread(target=Connection(self, stream).serve, daemon=True).start()

    def end(self) -> None:
        """Close everything, including open connections."""
        self.close()
        for stream in self._streams:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def params(self, method: str) -> dict[str, Any]:
        return next(params for name, params in self.calls if name == method)


class FakeDriver:
    """Serves exec sessions by running the argv as a child process; copies go to ``copies``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started: list[dict[str, Any]] = []
        self.resizes: list[dict[str, Any]] = []
        self.ends = 0
        self.resized = threading.Condition()
        self.signals: list[str] = []
        self.signalled = threading.Condition()
        self.refuse: dict[str, str] | None = None
        self.vanish = False
        #: The guest takes everything and answers nothing.
        self.mute = False
        self.copies: list[tuple[str, dict[str, Any], bytes]] = []
        self.tar = b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        with stream, contextlib.suppress(EOFError, OSError):
            ticket = read_json(stream)
            write_json(stream, {"ok": True})
            kind, body = read_frame(stream)
            if kind != START:
                raise EOFError
            start = json.loads(body)
            self.started.append(start)
            if self.mute:
                while read_frame(stream):
                    continue
            if self.refuse:
                frame(stream, ERROR, self.refuse)
            elif ticket["stream"] == "ssh":
                self._echo(stream)
            elif ticket["stream"].startswith("copy"):
                self._copy(stream, ticket["stream"], start)
            else:
                self._exec(stream, start)

    def _copy(self, stream: socket.socket, kind: str, start: dict[str, Any]) -> None:
        frame(stream, STARTED, {})
        if kind == "copy-out":
            frame(stream, OUT, self.tar)
        data = b""
        while kind == "copy-in":
            number, body = read_frame(stream)
            if number != DATA:
                break
            data += body
        self.copies.append((kind, start, data))
        frame(stream, EXIT, {"status": 0})

    def _echo(self, stream: socket.socket) -> None:
        """Answer as the agent does that has started an sshd, which gives back what it reads."""
        head = struct.pack(">BI", STARTED, 9) + b'{"pid":1}'
        stream.sendall(head + b"SSH-2.0-fake\r\n")  # the first bytes come with the frame
        while block := stream.recv(65536):
            stream.sendall(block)

    def _exec(self, stream: socket.socket, start: dict[str, Any]) -> None:
        frame(stream, STARTED, {"pid": 1})
        if self.vanish:
            return
        argv = start["argv"] or ["/bin/sh"]
        environment = {**os.environ, **start.get("env", {})}
        if start.get("tty"):
            main, side = os.openpty()
            ends, feed, outputs = [side] * 3, main, [(main, OUT)]
        else:
            (side, feed), (out, out_side), (err, err_side) = (os.pipe() for _ in range(3))
            ends, outputs = [side, out_side, err_side], [(out, OUT), (err, ERR)]
        child = subprocess.Popen(
            argv,
            stdin=ends[0],
            stdout=ends[1],
            stderr=ends[2],
            env=environment,
            start_new_session=True,
            preexec_fn=_controlling if start.get("tty") else None,
        )
        for fd in set(ends):
            os.close(fd)
        with open(feed, "wb", buffering=0) as sink:
            feeder = threading.Thread(target=self._feed, args=(stream, child, sink), daemon=True)
            feeder.start()
            readers = [threading.Thread(target=_relay, args=(stream, *pair)) for pair in outputs]
            for reader in readers:
                reader.start()
            code = child.wait()
            for reader in readers:
                reader.join()
            with contextlib.suppress(OSError):  # the client has gone
                frame(stream, EXIT, {"status": code} if code >= 0 else {"signal": -code})
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RD)  # nobody reads more input: the feeder ends
            feeder.join()
        for fd, _ in outputs:
            if fd != feed:
                os.close(fd)

    def _feed(self, stream: socket.socket, child: subprocess.Popen[bytes], sink: io.FileIO) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError):
            while True:
                kind, body = read_frame(stream)
                if kind == DATA:
                    sink.write(body)
                elif kind == EOF:
                    self.ends += 1
                    sink.close()
                elif kind == SIGNAL:
                    name = json.loads(body)["signal"]
                    os.killpg(child.pid, getattr(signal, f"SIG{name}"))
                    with self.signalled:
                        self.signals.append(name)
                        self.signalled.notify_all()
                elif kind == RESIZE:
                    with self.resized:
                        self.resizes.append(json.loads(body))
                        self.resized.notify_all()
            return
        if child.returncode is None:  # else the number may be somebody else's by now
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)


def _controlling() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _relay(stream: socket.socket, fd: int, kind: int) -> None:
    with contextlib.suppress(OSError):
        while block := os.read(fd, 65536):
            frame(stream, kind, block)


_WRITE = threading.Lock()


def frame(stream: socket.socket, kind: int, body: bytes | dict[str, Any]) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with _WRITE:
        stream.sendall(struct.pack(">BI", kind, len(data)) + data)


def read_frame(stream: socket.socket) -> tuple[int, bytes]:
    kind, length = struct.unpack(">BI", read_exactly(stream, 5))
    return kind, read_exactly(stream, length)


def vm(name: str, **changes: Any) -> dict[str, Any]:
    """Return a VmStatus of a running VM."""
    status: dict[str, Any] = {
        "name": name,
        "project": f"/projects/{name}",
        "config_path": f"/projects/{name}/.lima/config.yaml",
        "protected": False,
        "state": "running",
        "detail": "",
        "desired": "running",
        "observed": "running",
        "readiness": "ready",
        "first_up": "done",
        "paused": False,
        "created_at": "2025-01-01T00:00:00Z",
        "started_at": "2025-01-01T00:00:00Z",
        "vm_type": "qemu",
        "arch": "x86_64",
        "cpus": 2,
        "memory_bytes": 2 << 30,
        "disk_bytes": 20 << 30,
        "image": {"name": "debian:12", "digest": "sha256:" + "ab" * 32, "kernel": "generic"},
        "machine": "q35",
        "accelerator": {"name": "tcg", "reason": "/dev/kvm does not run code"},
        "mounts": [
            {
                "location": f"/projects/{name}",
                "mount_point": f"/projects/{name}",
                "type": "9p",
                "reason": "no virtiofsd",
                "writable": True,
                "guard": {"uid": 1000, "in_force": ["no set-id bits", "hidden"]},
            }
        ],
        "ports": [
            {
                "guest_ip": "127.0.0.1",
                "guest_port": 80,
                "host_ip": "127.0.0.1",
                "host_port": 4080,
                "source": "config",
                "state": "listening",
            }
        ],
        "user": {"name": "ann", "uid": 1000, "gid": 1000, "home": "/home/ann.guest"},
        "ssh": {
            "load_public_keys": False,
            "forward_agent": False,
            "forward_x11": False,
            "forward_x11_trusted": False,
        },
        "driver_pid": 11,
        "hypervisor_pid": 12,
        "boot": {"agent_ms": 3000, "ready_ms": 4200},
        "last_error": None,
        "dir": f"/state/vms/{name}",
        "run_dir": "/state/run/0a1b2c3d",
        "logs": {},
        "message": "",
    }
    return {**status, **changes}


@contextlib.contextmanager
def closing(*things: Any) -> Iterator[None]:
    try:
        yield
    finally:
        for thing in things:
            thing.close()
