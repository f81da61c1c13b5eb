"""``cp`` between host and guest, or two guests: a tar stream through a session.

Where the source goes is decided as ``cp -a`` does: a destination that is a directory, or ends in a
slash, takes the source in; otherwise the source becomes the destination. Loaded only by ``cp``.
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
        """At most ``size`` bytes; ``b""`` at the end."""
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
        """Send all of it."""
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

    ``on_bytes`` gets the size of each block sent. Returns what was left out (sockets, devices),
    each with its reason.

    Raises:
        errors.NotFound, errors.PermissionMissing, errors.HostError: the source cannot be read.
        errors.GuestCallFailed: the guest refused; ``details['agent_code']``.
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
    """The directories of this host that guests can write, as the daemon told with the ticket."""
    return [str(location) for location in ticket.get("shared") or ()]


def _host_name(source: Path) -> str:
    """The name the source has in a directory that takes it in; ``.`` has one, too."""
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

    What comes belongs to the caller; set-user-id bits are dropped; nothing is written outside of
    the destination, whatever the guest sends. A file appears whole or not at all.
    ``on_bytes`` gets the size of each block received. Returns what was left out
    (devices), each with its reason.

    Raises:
        errors.NotFound, errors.HostError: the destination cannot be written.
        errors.GuestCallFailed: the guest refused; ``details['agent_code']``.
        errors.GuestProtocolError: it sent what is no tar stream, or one that is not safe.
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
    neither: see ``tar_relay``. ``on_bytes`` gets the size of each block sent. Returns what was left
    out.

    Raises:
        errors.UsageError: the last part of ``path`` is known to its guest only.
        errors.GuestCallFailed, errors.GuestProtocolError, errors.ConnectionLost: of either side.
    """
    name = _guest_name(path)
    if name is None:
        raise errors.UsageError(
            f"{path} has no name that the other VM could give it", remedy="name the directory"
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
    """The last part of a guest's path; None when only the guest knows it, as of ``.``."""
    name = posixpath.basename(posixpath.normpath(path))
    return None if name in ("", ".", "..", "~") else name


def _target(
    destination: str, name: str | None, guests: Sequence[str] = ()
) -> tuple[Path, below.Place]:
    """What the source becomes on the host: its path, and the open directory it has its name in.

    Raises:
        errors.NotFound: the directory it would go into does not exist.
        errors.HostError: a file is in the way, or a link that a guest can have laid.
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
