"""``cp`` between host and guest, or between two guests: a tar stream through a session.

The destination follows the rule of ``cp -a``. A destination that is a directory, or ends in a
slash, receives the source inside it; otherwise the source becomes the destination. Only ``cp``
loads this module.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gaovm import errors
from gaovm.client import below, channel, session, tar_read, tar_relay, tar_write
from gaovm.wire import streams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    OnBytes = Callable[[int], None]


class _Reader:
    """The guest's tar stream as a file."""

    def __init__(self, link: channel.Channel, on_bytes: OnBytes | None) -> None:
        self._link = link
        self._on_bytes = on_bytes
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; ``b""`` at the end."""
        if not self._rest:
            self._rest = self._link.next_data()
            if self._on_bytes is not None and self._rest:
                self._on_bytes(len(self._rest))
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _Writer:
    """Our tar stream to the guest as a file."""

    def __init__(self, link: channel.Channel, on_bytes: OnBytes | None) -> None:
        self._link = link
        self._on_bytes = on_bytes

    def write(self, data: bytes) -> int:
        """Send all of ``data``."""
        for start in range(0, len(data), streams.CHUNK_BYTES):
            part = data[start : start + streams.CHUNK_BYTES]
            self._link.send(streams.encode(streams.DATA, part))
            if self._on_bytes is not None:
                self._on_bytes(len(part))
        return len(data)


def copy_in(
    ticket: Mapping[str, Any],
    source: str | os.PathLike[str],
    path: str,
    *,
    user: str = "",
    on_bytes: OnBytes | None = None,
) -> list[str]:
    """Copy a file or directory of the host to ``path`` in the guest, as ``user`` there.

    ``on_bytes`` gets the size of each block sent. Returns the entries that were left out (sockets,
    devices), each with its reason.

    Raises:
        errors.NotFound, errors.PermissionMissing, errors.HostError: the source cannot be read.
        errors.GuestCallFailed: the guest refused; see ``details['agent_code']``.
        errors.ConnectionLost: the VM went away; a part may have been copied.
    """
    given = Path(source)
    start = {"path": path, "user": user, "name": _host_name(given), "mkdirs": False}
    try:
        at = below.place(source, shared(ticket))
    except OSError as exc:
        raise tar_write.error_of(exc, given) from exc
    try:
        _must_exist(at, given)
        with session.open_stream(ticket, "copy-in") as sock:
            link = channel.Channel(sock)
            link.send(streams.encode_json(streams.START, start))
            left_out = tar_write.write(_Writer(link, on_bytes), given, at)
            link.send(streams.encode(streams.EOF))
            link.finish()
    finally:
        os.close(at.parent)
    return left_out


def _must_exist(at: below.Place, given: Path) -> None:
    try:
        os.stat(at.name, dir_fd=at.parent, follow_symlinks=False)
    except OSError as exc:
        raise tar_write.error_of(exc, given) from exc


def shared(ticket: Mapping[str, Any]) -> list[str]:
    """Return the host directories that guests can write, from the daemon's ticket."""
    return [str(location) for location in ticket.get("shared") or ()]


def _host_name(source: Path) -> str:
    """Return the source's name for use inside another directory; ``.`` has one, too."""
    name = source.name if source.name not in ("", "..") else source.resolve().name
    return name or "root"


def copy_out(
    ticket: Mapping[str, Any],
    path: str,
    destination: str,
    *,
    user: str = "",
    on_bytes: OnBytes | None = None,
) -> list[str]:
    """Copy a file or directory of the guest to ``destination`` on the host.

    The caller owns the new files; set-user-id bits are dropped. Whatever the guest sends, nothing
    is written outside of the destination. A file appears whole or not at all. ``on_bytes`` gets the
    size of each block received. Returns the entries that were left out (devices), each with its
    reason.

    Raises:
        errors.NotFound, errors.HostError: the destination cannot be written.
        errors.GuestCallFailed: the guest refused; see ``details['agent_code']``.
        errors.GuestProtocolError: the guest sent no tar stream, or an unsafe one.
        errors.ConnectionLost: the VM went away; a part may have been copied.
    """
    target, at = _target(destination, _guest_name(path), shared(ticket))
    try:
        return _receive(ticket, path, target, at, user, on_bytes)
    finally:
        os.close(at.parent)


def _receive(
    ticket: Mapping[str, Any],
    path: str,
    target: Path,
    at: below.Place,
    user: str,
    on_bytes: OnBytes | None,
) -> list[str]:
    with session.open_stream(ticket, "copy-out") as sock:
        link = channel.Channel(sock)
        start = {"path": path, "user": user}
        link.send(streams.encode_json(streams.START, start))
        try:
            left_out = tar_read.extract(_Reader(link, on_bytes), target, at)
        except (tarfile.TarError, RecursionError) as exc:
            raise errors.GuestProtocolError(f"the guest sent a bad tar stream: {exc}") from exc
        link.finish()
    return left_out


def copy_between(
    source: Mapping[str, Any],
    path: str,
    destination: Mapping[str, Any],
    to_path: str,
    *,
    user: str = "",
    on_bytes: OnBytes | None = None,
) -> list[str]:
    """Copy ``path`` of one guest to ``to_path`` in another (or the same), as ``user`` in both.

    ``source`` and ``destination`` are tickets. The stream passes through this process, which trusts
    neither guest: see ``tar_relay``. ``on_bytes`` gets the size of each block sent. Returns the
    entries that were left out, each with its reason.

    Raises:
        errors.UsageError: only the guest knows the last part of ``path``.
        errors.GuestCallFailed, errors.GuestProtocolError, errors.ConnectionLost: a side failed.
    """
    name = _guest_name(path)
    if name is None:
        raise errors.UsageError(
            f"{path} has no name to use in the other VM", remedy="give the directory's own name"
        )
    with (
        session.open_stream(source, "copy-out") as leaving,
        session.open_stream(destination, "copy-in") as entering,
    ):
        giver, taker = channel.Channel(leaving), channel.Channel(entering)
        giver.send(streams.encode_json(streams.START, {"path": path, "user": user}))
        start = {"path": to_path, "user": user, "name": name, "mkdirs": False}
        taker.send(streams.encode_json(streams.START, start))
        try:
            left_out = tar_relay.relay(_Reader(giver, None), _Writer(taker, on_bytes))
        except (tarfile.TarError, RecursionError) as exc:
            raise errors.GuestProtocolError(f"the guest sent a bad tar stream: {exc}") from exc
        giver.finish()
        taker.send(streams.encode(streams.EOF))
        taker.finish()
    return left_out


def _guest_name(path: str) -> str | None:
    """Return the last part of a guest's path; None when only the guest knows it, as for ``.``."""
    name = posixpath.basename(posixpath.normpath(path))
    return None if name in ("", ".", "..", "~") else name


def _target(
    destination: str, name: str | None, guests: Sequence[str] = ()
) -> tuple[Path, below.Place]:
    """Return where the source goes on the host: its path, and its name in an open directory.

    Raises:
        errors.NotFound: the directory that would receive it does not exist.
        errors.HostError: a file is in the way, or a link that a guest may have made.
    """
    path = Path(destination)
    into = destination.endswith("/")
    if below.is_directory(path, guests):
        inner = path / (name or ".")
        return (path if name is None else inner), _place(inner, path, name or ".", guests)
    if into and (path.exists() or path.is_symlink()):
        raise errors.HostError(f"{destination} exists and is not a directory")
    target = path / name if into and name is not None else path
    return target, _place(target, target.parent, target.name, guests)


def _place(target: Path, directory: Path, name: str, guests: Sequence[str]) -> below.Place:
    try:
        return below.Place(str(target), below.open_directory(directory, guests), name)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise errors.NotFound(f"directory {directory} does not exist") from exc
    except OSError as exc:
        raise tar_write.error_of(exc, directory) from exc
