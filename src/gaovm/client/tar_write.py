"""Write a host file or tree as a tar stream, in the form that the guest's agent expects."""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol, cast

from gaovm import errors
from gaovm.client import below

_BLOCK_BYTES = 256 << 10
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Output(Protocol):
    """The destination of the stream."""

    def write(self, data: bytes, /) -> int:
        """Accept all of ``data``."""
        ...


class Gate:
    """Drop output after a failure: ``tarfile`` would still write what it has buffered."""

    def __init__(self, output: Output) -> None:
        self.output: Output | None = output

    def write(self, data: bytes) -> int:
        return len(data) if self.output is None else self.output.write(data)


class _Exactly:
    """Read exactly as many bytes of a file as its header says, even if the file grows."""

    def __init__(self, begun: bytes, file: IO[bytes], path: Path) -> None:
        self._begun = begun
        self._file = file
        self._path = path

    def read(self, size: int) -> bytes:
        data, self._begun = self._begun[:size], self._begun[size:]
        if len(data) < size:
            data += self._file.read(size - len(data))
        if len(data) < size:
            raise errors.HostError(f"{self._path} became shorter while it was copied")
        return data


def error_of(exc: OSError, path: Path) -> errors.GaoError:
    """Return the typed error for a source that cannot be read."""
    name = os.fsdecode(exc.filename) if isinstance(exc.filename, str | bytes) else str(path)
    if isinstance(exc, FileNotFoundError | NotADirectoryError):
        return errors.NotFound(f"{name} does not exist")
    if isinstance(exc, PermissionError):
        return errors.PermissionMissing(f"cannot read {name}: {exc.strerror}")
    return errors.HostError(f"cannot read {name}: {exc.strerror or exc}")


def write(output: Output, source: Path, at: below.Place | None = None) -> list[str]:
    """Write ``source``: a directory under the name ``.``, anything else as ``FILE``.

    ``at`` is the open directory and the name that ``source`` stands for; the directory stays open.
    The writer follows no link below it, even when somebody replaces entries during the copy.
    Returns the entries left out.

    Raises:
        errors.NotFound, errors.PermissionMissing, errors.HostError: an entry cannot be read.
    """
    gate = Gate(output)
    begun: below.Place | None = None
    try:
        if at is None:
            at = begun = below.place(source, ())
        with tarfile.open(
            mode="w|",
            fileobj=cast("IO[bytes]", gate),
            format=tarfile.PAX_FORMAT,
            bufsize=_BLOCK_BYTES,
        ) as archive:
            try:
                return _Writer(archive, source).write(at)
            except BaseException:
                gate.output = None
                raise
    except OSError as exc:
        raise error_of(exc, source) from exc
    finally:
        if begun is not None:
            os.close(begun.parent)


class _Writer:
    """Write one source; ``source`` is its path for messages."""

    def __init__(self, archive: tarfile.TarFile, source: Path) -> None:
        self._archive = archive
        self._source = source
        self._left_out: list[str] = []
        # for files with several names: the first name in the archive
        self._names: dict[tuple[int, int], str] = {}

    def write(self, at: below.Place) -> list[str]:
        found = os.stat(at.name, dir_fd=at.parent, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            self._entry(at.parent, at.name, "FILE", self._source)
            if self._left_out:
                raise errors.HostError(f"cannot copy {self._left_out[0]}")
            return self._left_out
        root = os.open(at.name, _DIRECTORY, dir_fd=at.parent)
        try:
            self._tree(root)
        finally:
            os.close(root)
        return self._left_out

    def _tree(self, root: int) -> None:
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            with _named(self._source.joinpath(*parts)):
                directory = _open(root, parts)
            try:
                info = _info(os.fstat(directory), "/".join(parts) or ".")
                self._archive.addfile(info)
                with os.scandir(directory) as entries:
                    children = sorted(entries, key=lambda entry: entry.name, reverse=True)
                for child in children:
                    if child.is_dir(follow_symlinks=False):
                        waiting.append((*parts, child.name))
                        continue
                    name = "/".join((*parts, child.name))
                    path = self._source / name
                    with _named(path):
                        self._entry(directory, child.name, name, path)
            finally:
                os.close(directory)

    def _entry(self, parent: int, name: str, arcname: str, path: Path) -> None:
        """Write an entry that is not a directory."""
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISREG(found.st_mode):
            self._file(parent, name, arcname, path)
            return
        info = _info(found, arcname)
        if stat.S_ISLNK(found.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=parent)
        elif stat.S_ISFIFO(found.st_mode):
            info.type = tarfile.FIFOTYPE
        else:
            self._left_out.append(f"{path}: a socket or a device")
            return
        self._archive.addfile(info)

    def _file(self, parent: int, name: str, arcname: str, path: Path) -> None:
        # NOFOLLOW, NONBLOCK: a link or a pipe may meanwhile have replaced the file
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, dir_fd=parent), "rb") as file:
            found = os.fstat(file.fileno())
            info = _info(found, arcname)
            first = self._names.setdefault((found.st_dev, found.st_ino), arcname)
            if found.st_nlink > 1 and first != arcname:
                info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
                self._archive.addfile(info)
                return
            begun = _begin(info, file, path)
            self._archive.addfile(info, cast("IO[bytes]", _Exactly(begun, file, path)))


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Make errors of the block name the whole path, not only its last part."""
    try:
        yield
    except OSError as exc:
        exc.filename = str(path)
        raise


def _open(root: int, parts: tuple[str, ...]) -> int:
    """Open a directory below the root; the caller closes it."""
    at = os.dup(root)
    for part in parts:
        try:
            beneath = os.open(part, _DIRECTORY, dir_fd=at)
        finally:
            os.close(at)
        at = beneath
    return at


def _info(found: os.stat_result, arcname: str) -> tarfile.TarInfo:
    """Return the header of an entry; for a file or a directory it is complete."""
    info = tarfile.TarInfo(arcname)
    info.mode, info.mtime = found.st_mode, found.st_mtime
    info.uid, info.gid = found.st_uid, found.st_gid
    if stat.S_ISDIR(found.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISREG(found.st_mode):
        info.size = found.st_size
    return info


def _begin(info: tarfile.TarInfo, file: IO[bytes], path: Path) -> bytes:
    """Read the first bytes of a small file and correct the length in its header.

    Files that the kernel generates (in /proc and /sys) report a wrong length.
    """
    if info.size >= _BLOCK_BYTES:
        return b""
    begun = file.read(_BLOCK_BYTES)
    if len(begun) < _BLOCK_BYTES:
        info.size = len(begun)
    elif info.size == 0:
        raise errors.HostError(f"cannot copy {path}: its length is not known")
    return begun
