"""QMP without I/O: takes bytes of QEMU's monitor, gives greeting, answers and events.

Each line is one JSON object. QEMU greets; the client leaves negotiation mode with
``qmp_capabilities``. Then every command that carries an ``id`` gets one answer with that ``id``.
Events come in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gaovm import errors

# The longest answers that we use (a device tree, a block graph) have some hundred KiB.
MAX_LINE_BYTES = 4 << 20
_ENCODER = msgspec.json.Encoder()
_TEXT = 500


class Version(msgspec.Struct):
    """QEMU's version, from its greeting."""

    major: int
    minor: int
    micro: int


class _Program(msgspec.Struct):
    qemu: Version


class Greeting(msgspec.Struct):
    """QEMU's first line."""

    version: _Program


class Refusal(msgspec.Struct, rename={"kind": "class", "text": "desc"}):
    """The reason for which a command failed."""

    kind: str
    text: str


class Message(msgspec.Struct, rename={"greeting": "QMP", "result": "return", "refusal": "error"}):
    """Any line from QEMU: a greeting, an event, or an answer (``refusal`` or else ``result``)."""

    greeting: Greeting | None = None
    event: str | None = None
    data: dict[str, Any] = {}
    id: int | None = None
    refusal: Refusal | None = None
    result: Any = msgspec.UNSET

    @property
    def is_answer(self) -> bool:
        """Whether this message answers a command."""
        return self.refusal is not None or self.result is not msgspec.UNSET


_DECODER = msgspec.json.Decoder(Message)


class Decoder:
    """Cuts QEMU's bytes into messages. The work is linear in the number of bytes."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages whose last byte is in ``data``.

        Raises:
            errors.HypervisorFailed: this is not QMP; do not trust anything after it.
        """
        whole, newline, rest = data.rpartition(b"\n")
        lines: list[bytes] = []
        if newline:
            lines = (bytes(self._rest) + whole).split(b"\n")
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > MAX_LINE_BYTES:
            raise errors.HypervisorFailed(f"QMP: a line of more than {MAX_LINE_BYTES} bytes")
        return [_message(line) for line in lines if line.strip()]


def command(name: str, arguments: Mapping[str, Any], ident: int) -> bytes:
    """Return one command as a line."""
    document: dict[str, Any] = {"execute": name, "id": ident}
    if arguments:
        document["arguments"] = arguments
    return _ENCODER.encode(document) + b"\n"


def _message(line: bytes) -> Message:
    try:
        message = _DECODER.decode(line)
    except (ValueError, RecursionError) as exc:  # bad UTF-8 and msgspec's errors are ValueErrors
        raise errors.HypervisorFailed(f"QMP: {exc}: {line[:_TEXT]!r}") from exc
    if message.greeting is None and message.event is None and not message.is_answer:
        raise errors.HypervisorFailed(f"QMP: neither event nor answer: {line[:_TEXT]!r}")
    return message
