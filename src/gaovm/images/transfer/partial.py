"""A download that is not complete yet, kept in the cache so that it can go on later.

Beside the bytes is a note of the version that the server sent. Without such a version (an ETag or a
time) nobody can tell whether the rest belongs to the same file, so nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import msgspec

from gaovm.aio import files

FOLDER = "downloads"
_MAX_NOTE = 16 << 10
_MAX_VERSION = 1000


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a partial file is of. ``version`` is the value for ``If-Range``."""

    location: str
    version: str


class Partial:
    """The bytes of one location so far. ``shared``: another download of it runs; keep nothing."""

    def __init__(self, folder: Path, location: str, *, shared: bool = False) -> None:
        self._location, self._shared = location, shared
        name = _name(location) + (f".{os.getpid()}.{secrets.token_hex(4)}" if shared else "")
        self.path = folder / f"{name}.part"
        self._note = folder / f"{name}.json"

    def version(self) -> str | None:
        """Return the version of the bytes that are here; None: there are none that can go on."""
        try:
            with files.open_regular(self._note) as file:
                note = msgspec.json.decode(file.read(_MAX_NOTE), type=Note)
            has_bytes = self.path.stat().st_size > 0
        except (OSError, msgspec.MsgspecError):
            return None
        return note.version if has_bytes and note.location == self._location else None

    def begin(self, version: str | None) -> None:
        """Begin from nothing; ``version`` None: it cannot go on later."""
        self.discard()
        if version is not None:
            note = Note(location=self._location, version=version)
            files.write_atomic(self._note, msgspec.json.encode(note))
        self.path.touch(mode=0o600)

    def discard(self) -> None:
        """Remove the bytes and the note."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove what nobody can go on with."""
        if self._shared or self.version() is None:
            self.discard()


@contextlib.contextmanager
def opened(folder: Path, location: str) -> Iterator[Partial]:
    """Yield the download of a location for the length of a block; it goes on where one was cut."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = files.Lock(folder / f"{_name(location)}.lock")
    alone = lock.acquire()
    kept = Partial(folder, location, shared=not alone)
    try:
        yield kept
    finally:
        kept.close()
        if alone:
            lock.release()


def _name(location: str) -> str:
    return hashlib.sha256(location.encode()).hexdigest()[:32]


def version_of(headers: Message) -> str | None:
    """Return the version that a server names: a strong ETag, else the time of the last change."""
    tag = headers.get("ETag", "").strip()
    if tag.startswith('"') and len(tag) <= _MAX_VERSION and tag.isprintable():
        return tag
    modified = headers.get("Last-Modified", "").strip()
    return modified if 0 < len(modified) <= 100 and modified.isprintable() else None


def old(folder: Path, before: float) -> list[Path]:
    """Return the files of downloads that nobody has gone on with since ``before`` (Unix time)."""
    if not folder.is_dir():
        return []
    entries = [Path(entry.path) for entry in os.scandir(folder) if entry.is_file()]
    return [path for path in entries if path.stat().st_mtime < before]
