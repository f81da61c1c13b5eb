"""A file or a tree of the host as a tar stream, in the form that the guest's agent expects."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path
from typing import IO, Protocol, cast

from gaovm import errors

_BLOCK_BYTES = 256 << 10


class Output(Protocol):
    """Where the stream goes."""

    def write(self, data: bytes, /) -> int:
        """Take all of it."""
        ...


class Gate:
    """Shut after a failure: ``tarfile`` would still write what it has buffered."""

    def __init__(self, output: Output) -> None:
        self.output: Output | None = output

    def write(self, data: bytes) -> int:
        return len(data) if self.output is None else self.output.write(data)


class _Exactly:
    """A file's content in the length that its header says: of one that grows, what it had."""

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
    """The typed error of a source that cannot be read."""
    name = os.fsdecode(exc.filename) if isinstance(exc.filename, str | bytes) else str(path)
    if isinstance(exc, FileNotFoundError | NotADirectoryError):
        return errors.NotFound(f"{name} does not exist")
    if isinstance(exc, PermissionError):
        return errors.PermissionMissing(f"cannot read {name}: {exc.strerror}")
    return errors.HostError(f"cannot read {name}: {exc.strerror or exc}")


def write(output: Output, source: Path) -> list[str]:
    """Write ``source``: a directory under the name ``.``, anything else as ``FILE``.

    Returns what was left out.

    Raises:
        errors.NotFound, errors.PermissionMissing, errors.HostError: something cannot be read.
    """
    left_out: list[str] = []
    gate = Gate(output)
    try:
        with tarfile.open(
            mode="w|",
            fileobj=cast("IO[bytes]", gate),
            format=tarfile.PAX_FORMAT,
            bufsize=_BLOCK_BYTES,
        ) as archive:
            try:
                _write_source(archive, source, left_out)
            except BaseException:
                gate.output = None
                raise
    except OSError as exc:
        raise error_of(exc, source) from exc
    return left_out


def _write_source(archive: tarfile.TarFile, source: Path, left_out: list[str]) -> None:
    if source.is_dir() and not source.is_symlink():
        _write_tree(archive, source, left_out)
        return
    _write_entry(archive, source, "FILE", left_out)
    if left_out:
        raise errors.HostError(f"cannot copy {left_out[0]}")


def _write_tree(archive: tarfile.TarFile, source: Path, left_out: list[str]) -> None:
    waiting: list[tuple[Path, str]] = [(source, ".")]
    while waiting:
        path, name = waiting.pop()
        _write_entry(archive, path, name, left_out)
        prefix = "" if name == "." else f"{name}/"
        with os.scandir(path) as entries:
            children = sorted(entries, key=lambda entry: entry.name, reverse=True)
        for child in children:
            if child.is_dir(follow_symlinks=False):
                waiting.append((path / child.name, prefix + child.name))
            else:
                _write_entry(archive, path / child.name, prefix + child.name, left_out)


def _write_entry(archive: tarfile.TarFile, path: Path, name: str, left_out: list[str]) -> None:
    mode = path.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode) or stat.S_ISFIFO(mode)):
        left_out.append(f"{path}: a socket or a device")
        return
    info = archive.gettarinfo(str(path), arcname=name)
    info.name = name  # gettarinfo would turn "." and leading dots into other names
    info.uname = info.gname = ""
    if not info.isreg():
        archive.addfile(info)
        return
    # not through a link that takes the file's place meanwhile, and not stuck on a pipe that does
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        begun = _begin(info, file, path)
        archive.addfile(info, cast("IO[bytes]", _Exactly(begun, file, path)))


def _begin(info: tarfile.TarInfo, file: IO[bytes], path: Path) -> bytes:
    """The first bytes of a small file, with its header set right.

    What the kernel makes up as it is read (in /proc and /sys) has another length than it says.
    """
    if info.size >= _BLOCK_BYTES:
        return b""
    begun = file.read(_BLOCK_BYTES)
    if len(begun) < _BLOCK_BYTES:
        info.size = len(begun)
    elif info.size == 0:
        raise errors.HostError(f"cannot copy {path}: its length is not known")
    return begun
