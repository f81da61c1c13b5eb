"""The digest that a URL had at its first download, where nobody has given one.

A later download must have the same one. The pins stay when an image is pruned, and go when a user
removes the image by name.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from gaovm import errors
from gaovm.aio import clock, files

FILE = "pins.json"
_MAX_BYTES = 4 << 20


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """A digest (``sha256:HEX``), and the Unix time at which it was first seen."""

    digest: str
    at: int


class Pins:
    """All pins of one home; the file is read at each use, because other processes write it too."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def get(self, location: str) -> Pin | None:
        """Return the pin of a location."""
        return self._load().get(location)

    def add(self, location: str, digest: str) -> None:
        """Pin a location, unless it is pinned already."""
        known = self._load()
        if location not in known:
            self._store({**known, location: Pin(digest=digest, at=int(clock.now()))})

    def remove(self, location: str) -> bool:
        """Forget the pin of a location; return whether there was one."""
        known = self._load()
        if known.pop(location, None) is None:
            return False
        self._store(known)
        return True

    def _load(self) -> dict[str, Pin]:
        try:
            with files.open_regular(self._path) as file:
                return msgspec.json.decode(file.read(_MAX_BYTES), type=dict[str, Pin])
        except FileNotFoundError:
            return {}
        except (OSError, errors.NotFound, msgspec.MsgspecError) as exc:
            # without the pins a changed file would go unseen
            raise errors.StateCorrupt(
                f"{self._path} cannot be read: {exc}",
                remedy="restore that file, or remove it to trust each URL's next download",
            ) from exc

    def _store(self, pins: dict[str, Pin]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(self._path, msgspec.json.format(msgspec.json.encode(pins)))
