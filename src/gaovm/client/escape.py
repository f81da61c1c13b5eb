"""The way out of a terminal session: ``~.`` at the beginning of a line, as in ssh."""

from __future__ import annotations

_TILDE = b"~"
_ENDS = b"\r\n"


class Escape:
    """Watch the typed keys. A tilde at the beginning of a line waits for the next key."""

    def __init__(self) -> None:
        self._at_start = True
        self._held = False

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return the bytes for the guest, and whether the user leaves; then the rest is dropped.

        ``~.`` leaves and ``~~`` sends one tilde; before any other key, the tilde is sent as typed.
        """
        passed = bytearray()
        for number in data:
            key = bytes((number,))
            if self._held:
                self._held = False
                if key == b".":
                    return bytes(passed), True
                passed += _TILDE if key == _TILDE else _TILDE + key
            elif self._at_start and key == _TILDE:
                self._held = True
                self._at_start = False
                continue
            else:
                passed += key
            self._at_start = key in _ENDS
        return bytes(passed), False
