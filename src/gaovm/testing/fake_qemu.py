"""A hypervisor for tests: ``python -m gaovm.testing.fake_qemu`` with QEMU's own arguments.

Speaks QMP on ``fd`` of the chardev ``qmp``, writes a boot log to ``console``, plays the guest's
agent on ``agent``, and serves a picture to the viewers that are handed over. What it does is chosen
by ``GAOVM_FAKE_QEMU`` (JSON): ``agent`` (a behaviour of ``fake_agent``), ``console`` (text to
print), ``exit`` (``[status, words]``: fail at once),
``power``: ``obey`` (default), ``ignore-agent`` (only ACPI works), ``ignore`` (neither works),
``vnc``: ``picture`` (default) or ``garbage``,
``control``: a directory in which it listens on the datagram socket ``PID``. A message there is a
JSON object: ``event`` (a QMP event to send, with ``data``), ``console`` (text), ``mute`` (true: the
agent answers nothing until false), ``exit`` (a status), ``flood`` (a name of ``floods``, with
``bytes``: the agent sends that, hears nothing meanwhile, and is followed by another agent).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import selectors
import socket
import struct
import sys
import threading
import zlib
from typing import Any, cast

from gaovm.testing import floods
from gaovm.testing.fake_agent import FakeAgent
from gaovm.testing.fake_vnc import FakeVnc

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": []}}
_PICTURE = re.compile(r"fd=(\d+),set=9")
_FD = re.compile(r"socket,id=([\w-]+),fd=(\d+)")


class FakeQemu:
    """One run."""

    def __init__(self, argv: list[str], options: dict[str, Any]) -> None:
        found = {m[1]: int(m[2]) for arg in argv if (m := _FD.fullmatch(arg))}
        self._socks = {name: socket.socket(fileno=fd) for name, fd in found.items()}
        self._power = options.get("power", "obey")
        self._agent = FakeAgent(options.get("agent", "normal"))
        self._console = options.get("console", "Linux version fake\r\n")
        self._mute = self._flooding = False
        self._paused = False
        self._unheard = b""
        if "control" in options:
            control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            control.bind(f"{options['control']}/{os.getpid()}")
            self._socks["control"] = control
        self._json = json.JSONDecoder()
        self._text = ""
        self._vnc_behaviour = options.get("vnc", "picture")
        self._viewers: dict[socket.socket, FakeVnc] = {}
        self._screenshot = _screenshot(argv)
        self._handed: list[int] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until told to end."""
        for name in ("qmp", "agent", "control"):
            if name in self._socks:
                self._selector.register(self._socks[name], selectors.EVENT_READ, name)
        self._send_json(GREETING)
        self._socks["console"].sendall(self._console.encode())
        self._socks["agent"].sendall(self._agent.hello())
        while True:
            for key, _ in self._selector.select():
                if key.data == "viewer":
                    self._on_vnc(cast("socket.socket", key.fileobj))
                    continue
                data, fds, *_ = socket.recv_fds(self._socks[key.data], 1 << 16, 4)
                self._handed += fds
                if not data:
                    raise SystemExit(0)
                if key.data == "qmp":
                    self._on_qmp(data)
                elif key.data == "control":
                    self._on_control(json.loads(data))
                else:
                    self._on_agent(data)

    def _on_control(self, order: dict[str, Any]) -> None:
        if "console" in order:
            self._socks["console"].sendall(order["console"].encode())
        if "event" in order:
            self._event(order["event"], order.get("data", {}))
        if "mute" in order:
            self._mute = order["mute"]
            self._on_agent(b"")
        if "flood" in order:
            self._flooding = True
            threading.Thread(target=self._flood, args=(order["flood"], order["bytes"])).start()
        if "joins" in order:
            self._flooding = False
            self._agent = FakeAgent(nonce="cd" * 16)
            self._socks["agent"].sendall(self._agent.hello())
        if "exit" in order:
            raise SystemExit(order["exit"])

    def _flood(self, name: str, total: int) -> None:
        for block in floods.blocks(name, total, self._agent.open_streams):
            self._socks["agent"].sendall(block)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b'{"joins":true}', self._socks["control"].getsockname())

    def _on_agent(self, data: bytes) -> None:
        if self._flooding:
            return
        self._unheard += data
        if self._mute or self._paused:
            return
        data, self._unheard = self._unheard, b""
        self._socks["agent"].sendall(self._agent.feed(data))
        if self._agent.power == "poweroff" and self._power == "obey":
            self._event("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})
            raise SystemExit(0)

    def _on_vnc(self, sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            if data := sock.recv(1 << 16):
                sock.sendall(self._viewers[sock].feed(data))
                return
        self._selector.unregister(sock)
        del self._viewers[sock]
        sock.close()

    def _add_viewer(self) -> None:
        viewer = socket.socket(fileno=self._handed.pop(0))
        server = self._viewers[viewer] = FakeVnc()
        self._selector.register(viewer, selectors.EVENT_READ, "viewer")
        viewer.sendall(server.hello() if self._vnc_behaviour == "picture" else b"\xff" * 64)

    def _on_qmp(self, data: bytes) -> None:
        # A stream of JSON values with nothing between them.
        self._text += data.decode()
        while self._text.strip():
            try:
                request, end = self._json.raw_decode(self._text.lstrip())
            except ValueError:
                return
            self._text = self._text.lstrip()[end:]
            self._on_command(request)

    def _on_command(self, request: dict[str, Any]) -> None:
        command = request["execute"]
        result: Any = {}
        if command == "query-status":
            status = "paused" if self._paused else "running"
            result = {"status": status, "running": not self._paused}
        elif command == "screendump":
            _write_png(self._screenshot)
        elif command == "add_client":
            self._add_viewer()
        if command in ("stop", "cont"):
            self._pause(command == "stop")
        ident = {"id": request["id"]} if "id" in request else {}
        self._send_json({"return": result, **ident})
        asked = command == "system_powerdown" and self._power != "ignore"
        if command == "quit" or (asked and not self._paused):
            guest = command != "quit"
            self._event("SHUTDOWN", {"guest": guest, "reason": "guest-shutdown"})
            raise SystemExit(0)

    def _pause(self, paused: bool) -> None:
        if paused != self._paused:
            self._paused = paused
            self._event("STOP" if paused else "RESUME", {})
            self._on_agent(b"")

    def _event(self, name: str, data: dict[str, Any]) -> None:
        stamp = {"seconds": 0, "microseconds": 0}
        self._send_json({"event": name, "data": data, "timestamp": stamp})

    def _send_json(self, message: Any) -> None:
        self._socks["qmp"].sendall(json.dumps(message).encode() + b"\r\n")


def _screenshot(argv: list[str]) -> int:
    """The descriptor that pictures are written to; -1 without a display."""
    found = [m for _, value in itertools.pairwise(argv) if (m := _PICTURE.fullmatch(value))]
    return int(found[0][1]) if found else -1


def _write_png(fd: int) -> None:
    """One grey pixel for each of the fake picture's; Python has no PNG writer."""
    width, height = FakeVnc().width, FakeVnc().height
    rows = zlib.compress(b"".join(b"\0" + bytes(width) for _ in range(height)))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    with open(os.dup(fd), "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")):
            body = kind + data
            file.write(struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body)))


def main() -> None:
    """Run as a program."""
    options = json.loads(os.environ.get("GAOVM_FAKE_QEMU", "{}"))
    if "exit" in options:
        status, words = options["exit"]
        sys.stderr.write(words + "\n")
        raise SystemExit(status)
    FakeQemu(sys.argv[1:], options).run()


if __name__ == "__main__":
    main()
