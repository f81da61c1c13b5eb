"""The toy's process: ``python -m gaovm.testing.toy.program MONITOR,CONSOLE,AGENT``.

The arguments are numbers of sockets. The driver sends JSON lines ``{"id", "do"}`` on the monitor
(``pause resume power quit`` and words without effect). The toy answers each with ``{"id"}``, and
sends events as ``{"event"}``. Its options are those of ``fake_machine``.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

from gaovm.testing import fake_machine


class ToyMachine(fake_machine.FakeMachine):
    """One run of the program."""

    monitor = "monitor"

    def __init__(self, socks: dict[str, socket.socket], options: dict[str, Any]) -> None:
        super().__init__(socks, options)
        self._rest = b""

    def _on_monitor(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._on_command(json.loads(line))

    def _on_command(self, request: dict[str, Any]) -> None:
        command = request["do"]
        if command in ("pause", "resume"):
            self._pause(command == "pause")
        self._send({"id": request["id"]})
        if command == "quit":
            self._end(guest=False)
        elif command == "power":
            self._press_power_button()

    def _tell_pause(self) -> None:
        self._event("paused" if self._paused else "resumed", {})

    def _event(self, name: str, data: dict[str, Any]) -> None:
        self._send({"event": name})

    def _send(self, message: dict[str, Any]) -> None:
        self._socks["monitor"].sendall(json.dumps(message).encode() + b"\n")


def main() -> None:
    """Run as a program."""
    numbers = zip(("monitor", "console", "agent"), sys.argv[1].split(","), strict=True)
    socks = {name: socket.socket(fileno=int(number)) for name, number in numbers}
    ToyMachine(socks, fake_machine.options()).run()


if __name__ == "__main__":
    main()
