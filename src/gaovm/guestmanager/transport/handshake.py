"""The three lines before HTTP/2 on the agent's port (docs/reference/agent-protocol.md part 2).

Sans-I/O: ``feed`` it bytes, send what it returns, stop when it is ``done``; ``rest`` is what
follows the last line. It skips bytes that are not a well-formed line: an earlier connection has
left them.
"""

from __future__ import annotations

import re

import msgspec

from gaovm import errors
from gaovm.wire.agent.handshake import Hello

MAX_LINE = 4096
MAX_GARBAGE = 1 << 20
MAGIC = b"GAOVM-AGENT/1 "
_LINE = re.compile(rb"GAOVM-AGENT/1 ([0-9a-f]{32}) (\{.*\})\r?$")


def parse_hello(line: bytes) -> tuple[str, Hello] | None:
    """Parse an agent's first line into nonce and content; None when it is not well-formed."""
    if len(line) > MAX_LINE:
        return None
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    try:
        return match[1].decode(), msgspec.json.decode(match[2], type=Hello)
    except msgspec.DecodeError:
        return None


class Handshake:
    """One handshake; ``nonce`` is 32 fresh hex digits."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._go = f"GAOVM-GO/1 {nonce}".encode()
        self._buffer = bytearray()
        self._garbage = 0
        self.hello: Hello | None = None
        self.done = False
        self.rest = b""

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take bytes of the agent and return the bytes to send.

        Raises:
            errors.GuestProtocolError: the agent sent more than 1 MiB without a well-formed line.
                ``feed`` has taken all of ``data`` nevertheless, and the caller may go on.
        """
        self._buffer += data
        answer = b""
        while not self.done and (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            answer = self._take(line) or answer
        if self.done:
            self.rest = bytes(self._buffer)
            self._buffer.clear()
        elif len(self._buffer) > MAX_LINE:
            surplus = len(self._buffer) - MAX_LINE
            del self._buffer[:surplus]
            self._garbage += surplus
        if self._garbage > MAX_GARBAGE:
            count, self._garbage = self._garbage, 0
            raise errors.GuestProtocolError(
                f"the agent's port sent {count} bytes without a valid first line"
            )
        return answer

    def _take(self, line: bytes) -> bytes:
        if self.hello is not None and line.endswith(self._go):
            self.done = True
            return b""
        start = line.rfind(MAGIC)
        found = parse_hello(line[start:]) if start >= 0 else None
        if found is None:
            self._garbage += len(line) + 1
            return b""
        agent_nonce, self.hello = found
        self._garbage = 0
        return f"GAOVM-HOST/1 {agent_nonce} {self._nonce}\n".encode()
