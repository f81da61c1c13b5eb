"""A hypervisor for tests: ``python -m gaovm.testing.fake_qemu`` with QEMU's own arguments.

It speaks QMP on ``fd`` of the chardev ``qmp``, writes a boot log to ``console``, plays the guest's
agent on ``agent``, and serves a picture to the viewers that the driver passes on. Its options are
those of ``fake_machine``, and ``vnc``: ``picture`` (default) or ``garbage``. The ``event`` that a
test orders is a QMP event.
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
import zlib
from typing import Any, cast

from gaovm.testing import fake_machine
from gaovm.testing.fake_vnc import FakeVnc

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": []}}
_PICTURE = re.compile(r"fd=(\d+),set=9")
_FD = re.compile(r"socket,id=([\w-]+),fd=(\d+)")


class FakeQemu(fake_machine.FakeMachine):
    """One run of the program."""

    monitor = "qmp"

    def __init__(self, argv: list[str], options: dict[str, Any]) -> None:
        found = {m[1]: int(m[2]) for arg in argv if (m := _FD.fullmatch(arg))}
        super().__init__({name: socket.socket(fileno=fd) for name, fd in found.items()}, options)
        self._json = json.JSONDecoder()
        self._text = ""
        self._vnc_behaviour = options.get("vnc", "picture")
        self._viewers: dict[socket.socket, FakeVnc] = {}
        self._screenshot = _screenshot(argv)

    def _greet(self) -> None:
        self._send_json(GREETING)

    def _on_other(self, key: selectors.SelectorKey) -> None:
        self._on_vnc(cast("socket.socket", key.fileobj))

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

    def _on_monitor(self, data: bytes) -> None:
        # QMP is a stream of JSON values without separators.
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
        if command == "quit":
            self._end(guest=False)
        elif command == "system_powerdown":
            self._press_power_button()

    def _tell_end(self, *, guest: bool) -> None:
        self._event("SHUTDOWN", {"guest": guest, "reason": "guest-shutdown"})

    def _tell_pause(self) -> None:
        self._event("STOP" if self._paused else "RESUME", {})

    def _event(self, name: str, data: dict[str, Any]) -> None:
        stamp = {"seconds": 0, "microseconds": 0}
        self._send_json({"event": name, "data": data, "timestamp": stamp})

    def _send_json(self, message: Any) -> None:
        self._socks["qmp"].sendall(json.dumps(message).encode() + b"\r\n")


def _screenshot(argv: list[str]) -> int:
    """Return the descriptor for screenshots; -1 without a display."""
    found = [m for _, value in itertools.pairwise(argv) if (m := _PICTURE.fullmatch(value))]
    return int(found[0][1]) if found else -1


def _write_png(fd: int) -> None:
    """Write one grey pixel for each pixel of the fake picture; Python has no PNG writer."""
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
    FakeQemu(sys.argv[1:], fake_machine.options()).run()


if __name__ == "__main__":
    main()
