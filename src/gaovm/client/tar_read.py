"""Write a guest's tar stream to the host. The guest is not trusted.

The extractor walks every name from one directory, part by part, without following a link. So
neither a name nor a link of the archive leads out of that directory. Links are stored as they are
(``cp -a``) and never followed.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
from typing import IO, TYPE_CHECKING, Protocol, cast

from gaovm import errors
from gaovm.client import below

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK_BYTES = 256 << 10
_MAX_NAME_BYTES = 4096
# the limit for names and attributes of one entry; larger ones are an attack on memory
_MAX_HEADER_BYTES = 1 << 20
# so many directories get their mode and time at the end; any further ones get them at once
_MAX_LATE = 1 << 16
_MAX_LEFT_OUT = 1000
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class Input(Protocol):
    """The source of the stream."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, ``b""`` at the end."""
        ...


class _BoundedInfo(tarfile.TarInfo):
    """Refuse sparse files and headers that make ``tarfile`` read without bound."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0:
            raise tarfile.ReadError("a header of negative size")
        if self.type in _EXTENDED or self.type in _LONG:
            if self.size > _MAX_HEADER_BYTES:
                raise tarfile.ReadError("a header is too large")
        elif self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("sparse files are not supported")
        return cast("tarfile.TarInfo", super()._proc_member(archive))  # type: ignore[misc]

    def _refuse_sparse(self, *_: object) -> None:
        raise tarfile.ReadError("sparse files are not supported")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def extract(source: Input, target: Path, at: below.Place | None = None) -> list[str]:
    """Write the stream's one file, or its tree, as ``target``. Returns the entries left out.

    ``at`` is the open directory and the name that ``target`` stands for; the directory stays open.

    Raises:
        tarfile.TarError: the source is not a tar stream.
        errors.GuestProtocolError: the names or the form of the stream break the protocol.
        errors.HostError: ``target`` cannot be written; files written before stay.
    """
    with tarfile.open(
        mode="r|",
        fileobj=cast("IO[bytes]", source),
        tarinfo=_BoundedInfo,
        bufsize=_BLOCK_BYTES,
    ) as archive:
        first = _next(archive)
        if first is None:
            raise errors.GuestProtocolError("the guest sent an empty archive")
        if at is not None:
            return _extract(archive, first, target, at)
        try:
            at = below.place(target, ())
        except OSError as exc:
            raise _error_of(exc, target.parent) from exc
        try:
            return _extract(archive, first, target, at)
        finally:
            os.close(at.parent)


def _extract(
    archive: tarfile.TarFile, first: tarfile.TarInfo, target: Path, at: below.Place
) -> list[str]:
    try:
        if first.isreg():
            below.refuse_special(at._replace(path=str(target)))
        if first.isdir() and first.name in (".", "./", ""):
            return _extract_tree(archive, first, at.parent, at.name)
        if first.name != "FILE" or first.isdir() or first.islnk():
            raise errors.GuestProtocolError("the archive begins with neither . nor FILE")
        extractor = _Extractor(archive, at.parent)
        extractor.place(first, at.parent, at.name)
        if _next(archive) is not None:
            raise errors.GuestProtocolError("more than one entry after FILE")
        return extractor.left_out
    except OSError as exc:
        raise _error_of(exc, target) from exc


def _error_of(exc: OSError, target: Path) -> errors.GaoError:
    import errno

    message = f"cannot write {target}: {exc.strerror or exc}"
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.DiskFull(message)
    if exc.errno in (errno.EACCES, errno.EPERM):
        return errors.PermissionMissing(message)
    return errors.HostError(message)


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    """Return the next entry and make ``tarfile`` forget it: it would remember every entry."""
    entry = archive.next()
    archive.members = []  # type: ignore[attr-defined]
    archive.pax_headers = {}
    if entry is not None and entry.size < 0:
        raise tarfile.ReadError("an entry of negative size")
    return entry


def _extract_tree(
    archive: tarfile.TarFile, first: tarfile.TarInfo, parent: int, name: str
) -> list[str]:
    made = _make_directory(name, parent)
    root = _open_directory(name, parent)
    try:
        extractor = _Extractor(archive, root)
        if made:
            extractor.take_late(first, ())
        while (entry := _next(archive)) is not None:
            parts = _parts(entry.name)
            if parts:
                extractor.take(entry, parts)
        extractor.finish()
        return extractor.left_out
    finally:
        os.close(root)


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of an entry's name.

    Raises:
        errors.GuestProtocolError: the name is absolute, contains ``..``, or is not valid.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if (
        name.startswith("/")
        or ".." in parts
        or "\0" in name
        or len(os.fsencode(name)) > _MAX_NAME_BYTES
    ):
        raise errors.GuestProtocolError(f"the archive holds an unsafe name: {name[:200]!r}")
    return parts


def _open_directory(name: str, parent: int) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=parent)


class _Extractor:
    """Write entries below the directory ``root``."""

    def __init__(self, archive: tarfile.TarFile, root: int) -> None:
        self._archive = archive
        self._root = root
        self._late: list[tuple[tuple[str, ...], int, float]] = []
        self.left_out: list[str] = []

    def take(self, entry: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        """Write one entry of a tree."""
        parent = self._open(parts[:-1])
        try:
            if entry.isdir():
                made = _make_directory(parts[-1], parent)
                os.close(_open_directory(parts[-1], parent))
                if made:
                    self.take_late(entry, parts)
            elif entry.islnk():
                self._link(entry, parent, parts[-1])
            else:
                self.place(entry, parent, parts[-1])
        finally:
            os.close(parent)

    def _open(self, parts: tuple[str, ...]) -> int:
        """Walk down from the root and make missing directories; the caller closes the result."""
        at = os.dup(self._root)
        for part in parts:
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=at)
                below = _open_directory(part, at)
            finally:
                os.close(at)
            at = below
        return at

    def place(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        """Write an entry that is not a directory; replace what had its name."""
        if entry.issparse():
            raise errors.GuestProtocolError(f"sparse file in the archive: {entry.name[:200]!r}")
        if not (entry.isreg() or entry.issym() or entry.isfifo()):
            if len(self.left_out) < _MAX_LEFT_OUT:
                self.left_out.append(f"{entry.name}: a device")
            return
        temporary = f".gaovm-cp-{os.urandom(8).hex()}"
        try:
            if entry.isreg():
                self._write(entry, parent, temporary)
            elif entry.issym():
                os.symlink(entry.linkname, temporary, dir_fd=parent)
                _set_time(entry.mtime, temporary, parent)
            else:
                os.mkfifo(temporary, stat.S_IMODE(entry.mode) & 0o777, dir_fd=parent)
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=parent)
            raise

    def _write(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        content = self._archive.extractfile(entry)
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=parent), "wb", buffering=0) as file:
            left = entry.size
            while left > 0 and content is not None:
                block = content.read(min(_BLOCK_BYTES, left))
                if not block:
                    raise tarfile.ReadError(f"{entry.name[:200]!r} is cut off")
                _write_all(file.fileno(), block)
                left -= len(block)
            # drop set-id and sticky bits: the guest chose them
            os.fchmod(file.fileno(), entry.mode & 0o777)
            _set_time(entry.mtime, file.fileno(), None)

    def _link(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        """Make a hard link to an earlier entry; the walk to it follows no link either."""
        parts = _parts(entry.linkname)
        if not parts:
            raise errors.GuestProtocolError("the archive links to nothing")
        source = self._open(parts[:-1])
        temporary = f".gaovm-cp-{os.urandom(8).hex()}"
        try:
            os.link(
                parts[-1], temporary, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False
            )
            try:
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            finally:
                # rename does nothing when both names are links to one file: it keeps both names
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=parent)
        finally:
            os.close(source)

    def take_late(self, entry: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        """Remember a directory's mode and time: it must stay writable until it is filled."""
        self._late.append((parts, entry.mode & 0o777, entry.mtime))
        if len(self._late) > _MAX_LATE:
            self._finish_one(*self._late.pop())

    def finish(self) -> None:
        """Set the modes and times of the directories, the deepest first."""
        for parts, mode, mtime in reversed(self._late):
            self._finish_one(parts, mode, mtime)

    def _finish_one(self, parts: tuple[str, ...], mode: int, mtime: float) -> None:
        fd = self._open(parts)
        try:
            os.fchmod(fd, mode)
            _set_time(mtime, fd, None)
        finally:
            os.close(fd)


def _make_directory(name: str, parent: int) -> bool:
    """Make a directory and return True; an existing one keeps its mode and time (``cp -r``)."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _set_time(mtime: float, where: str | int, parent: int | None) -> None:
    # a guest's clock can be wrong; skip a time that the file system cannot store
    with contextlib.suppress(OverflowError, ValueError, OSError):
        if isinstance(where, int):
            os.utime(where, (mtime, mtime))
        else:
            os.utime(where, (mtime, mtime), dir_fd=parent, follow_symlinks=False)


# the names that the relay between two guests uses
BoundedInfo, next_entry, parts_of = _BoundedInfo, _next, _parts
