"""A machine for tests of any hypervisor: console, guest agent, and a test's orders.

Options select its behaviour (JSON in ``GAOVM_FAKE_QEMU``): ``agent`` (a behaviour of
``fake_agent``), ``console`` (text to print), ``exit`` (``[status, words]``: fail at once),
``power``: ``obey`` (default), ``ignore-agent`` (only the power button works), ``ignore`` (neither
works), ``control``: a directory in which it listens on the datagram socket ``PID``.

A message to that socket is a JSON object: ``event`` (an event for the driver, with ``data``),
``console`` (text), ``mute`` (true: the agent answers nothing until false), ``exit`` (a status),
``flood`` (a name of ``floods``, with ``bytes``: the agent sends that and reads nothing meanwhile;
then another agent follows).
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import threading
from typing import Any

from gaovm.testing import floods
from gaovm.testing.fake_agent import FakeAgent


class FakeMachine:
    """One run. ``socks``: ``console``, ``agent``, and the ``monitor`` of that hypervisor."""

    monitor = ""

    def __init__(self, socks: dict[str, socket.socket], options: dict[str, Any]) -> None:
        self._socks = socks
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
        self._handed: list[int] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until something orders the end."""
        for name in (self.monitor, "agent", "control"):
            if name in self._socks:
                self._selector.register(self._socks[name], selectors.EVENT_READ, name)
        self._greet()
        self._socks["console"].sendall(self._console.encode())
        self._socks["agent"].sendall(self._agent.hello())
        while True:
            for key, _ in self._selector.select():
                if key.data not in self._socks:
                    self._on_other(key)
                    continue
                data, fds, *_ = socket.recv_fds(self._socks[key.data], 1 << 16, 4)
                self._handed += fds
                if not data:
                    raise SystemExit(0)
                if key.data == self.monitor:
                    self._on_monitor(data)
                elif key.data == "control":
                    self._on_control(json.loads(data))
                else:
                    self._on_agent(data)

    # each hypervisor does these in its own way

    def _greet(self) -> None:
        """Send the monitor's greeting."""

    def _on_monitor(self, data: bytes) -> None:
        raise NotImplementedError

    def _on_other(self, key: selectors.SelectorKey) -> None:
        raise NotImplementedError

    def _event(self, name: str, data: dict[str, Any]) -> None:
        raise NotImplementedError

    def _tell_end(self, *, guest: bool) -> None:
        """Report who ends the machine: the guest or the host."""

    def _tell_pause(self) -> None:
        """Report that the machine was paused or resumed."""
        raise NotImplementedError

    # all hypervisors share these

    def _pause(self, paused: bool) -> None:
        if paused != self._paused:
            self._paused = paused
            self._tell_pause()
            self._on_agent(b"")

    def _press_power_button(self) -> None:
        if self._power != "ignore" and not self._paused:
            self._end(guest=True)

    def _end(self, *, guest: bool) -> None:
        self._tell_end(guest=guest)
        raise SystemExit(0)

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
            self._end(guest=True)


def options() -> dict[str, Any]:
    """Return the options in ``GAOVM_FAKE_QEMU``; end the process if they order that."""
    found: dict[str, Any] = json.loads(os.environ.get("GAOVM_FAKE_QEMU", "{}"))
    if "exit" in found:
        status, words = found["exit"]
        sys.stderr.write(words + "\n")
        raise SystemExit(status)
    return found
