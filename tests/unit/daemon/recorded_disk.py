"""A recorded disk: each write, sync and name change by SQLite and by Python's ``os``.

``Recorder`` records every change to the files below one directory. ``crashes`` then builds, for
every moment, the files that a power cut could have left: all synced data, and any part of the rest.
Unsynced writes of a file may be lost, torn at a sector boundary, or applied without the writes
before them. The same holds for the names in a directory until the directory is synced.

The recorder wraps the functions of SQLite's own file layer in this process, so that the store under
test runs unchanged.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SECTOR = 512
_CREATE, _WAL_OR_JOURNAL = 0x4, 0x80000 | 0x800

Op = tuple[Any, ...]

#: Functions that SQLite may call until it closes the last file that it opened with them.
_KEPT: list[Any] = []


class Recorder:
    """``log`` has all changes in order; ``note`` adds a mark of the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)
        self.log: list[Op] = []
        self._names: dict[str, int] = {}
        self._count = 0
        self._fds: dict[int, int | str] = {}
        self._lock = threading.RLock()

    def note(self, value: Any) -> None:
        self.log.append(("note", value))

    def inside(self, path: Any) -> str | None:
        """Return the name of a file in the directory, None for other files."""
        text = os.fsdecode(path)
        parent, name = os.path.split(text)
        return name if parent == self.directory else None

    def opened(self, name: str, *, created: bool) -> int:
        with self._lock:
            if name not in self._names:
                self._count += 1
                self._names[name] = self._count
                self.log.append(("create", name, self._count))
            return self._names[name]

    def wrote(self, inode: int, offset: int, data: bytes) -> None:
        self.log.append(("write", inode, offset, data))

    def truncated(self, inode: int, size: int) -> None:
        self.log.append(("truncate", inode, size))

    def synced(self, inode: int) -> None:
        self.log.append(("sync", inode))

    def names_synced(self) -> None:
        self.log.append(("names",))

    def renamed(self, source: str, target: str) -> None:
        with self._lock:
            self.log.append(("rename", source, target, self._names[source]))
            self._names[target] = self._names.pop(source)

    def unlinked(self, name: str) -> None:
        with self._lock:
            if self._names.pop(name, None) is not None:
                self.log.append(("unlink", name))

    # changes through Python's os

    def watch_os(self, patch: pytest.MonkeyPatch) -> None:
        """Record changes through ``os``; it knows whole writes only, as our code makes them."""
        real_open, real_write, real_close = os.open, os.write, os.close

        def open_(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            before = os.path.exists(path) if isinstance(path, (str, bytes, os.PathLike)) else True
            fd = real_open(path, flags, *rest, **more)
            if os.fsdecode(path) == self.directory:
                self._fds[fd] = self.directory
            elif (name := self.inside(path)) is not None:
                self._fds[fd] = self.opened(name, created=not before)
            return fd

        def write(fd: int, data: Any) -> int:
            count = real_write(fd, data)
            inode = self._fds.get(fd)
            if isinstance(inode, int):
                offset = os.lseek(fd, 0, os.SEEK_CUR) - count
                self.wrote(inode, offset, bytes(data[:count]))
            return count

        def close(fd: int) -> None:
            self._fds.pop(fd, None)
            real_close(fd)

        patch.setattr(os, "open", open_)
        patch.setattr(os, "write", write)
        patch.setattr(os, "close", close)
        self._watch_syncs(patch)
        self._watch_names(patch)

    def _watch_syncs(self, patch: pytest.MonkeyPatch) -> None:
        real_fsync = os.fsync

        def fsync(fd: int) -> None:
            real_fsync(fd)
            inode = self._fds.get(fd)
            if isinstance(inode, int):
                self.synced(inode)
            elif inode is not None:
                self.names_synced()

        patch.setattr(os, "fsync", fsync)

    def _watch_names(self, patch: pytest.MonkeyPatch) -> None:
        def moving(real: Callable[..., None]) -> Callable[..., None]:
            def move(source: Any, target: Any, **more: Any) -> None:
                real(source, target, **more)
                before, after = self.inside(source), self.inside(target)
                if before is not None and after is not None:
                    self.renamed(before, after)

            return move

        real_unlink = os.unlink

        def unlink(path: Any, **more: Any) -> None:
            real_unlink(path, **more)
            if (name := self.inside(path)) is not None:
                self.unlinked(name)

        patch.setattr(os, "replace", moving(os.replace))
        patch.setattr(os, "rename", moving(os.rename))
        patch.setattr(os, "unlink", unlink)

    # changes through SQLite

    def watch_sqlite(self, patch: pytest.MonkeyPatch) -> None:
        """Record what SQLite writes in this process, until ``patch`` is undone."""
        vfs = _default_vfs()
        layer = _Layer(self, vfs)
        _KEPT.extend((vfs, layer))
        for field in ("xOpen", "xDelete"):
            patch.setattr(vfs, field, getattr(layer, field))


# Names pass as addresses: SQLite keeps the pointers and reads parameters behind the name's end.
_OPEN = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)
_DELETE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_WRITE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class _Vfs(ctypes.Structure):
    # the beginning of sqlite3_vfs, which has been stable since 2007
    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        ("xOpen", _OPEN),
        ("xDelete", _DELETE),
    )


class _Methods(ctypes.Structure):
    # sqlite3_io_methods, version 3
    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("xClose", ctypes.c_void_p),
        ("xRead", ctypes.c_void_p),
        ("xWrite", _WRITE),
        ("xTruncate", _TRUNCATE),
        ("xSync", _SYNC),
        ("others", ctypes.c_void_p * 13),
    )


class _File(ctypes.Structure):
    _fields_ = (("pMethods", ctypes.POINTER(_Methods)),)


def _default_vfs() -> _Vfs:
    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))  # its symbols, or our program's
    find = library.sqlite3_vfs_find
    find.restype, find.argtypes = ctypes.POINTER(_Vfs), [ctypes.c_char_p]
    found: _Vfs = find(None).contents
    return found


class _Layer:
    """Wraps the functions that change files; each calls the real function first."""

    def __init__(self, recorder: Recorder, vfs: _Vfs) -> None:
        self._recorder = recorder
        self._open = _OPEN(ctypes.cast(vfs.xOpen, ctypes.c_void_p).value or 0)
        self._delete = _DELETE(ctypes.cast(vfs.xDelete, ctypes.c_void_p).value or 0)
        self._inodes: dict[int, int] = {}
        self._new_logs: set[int] = set()
        self._methods: dict[int, _Methods] = {}
        self.xOpen, self.xDelete = _OPEN(self.on_open), _DELETE(self.on_delete)

    def on_open(self, vfs: Any, path: Any, file: Any, flags: int, out: Any) -> int:
        text = b"" if path is None else ctypes.string_at(path)
        name, existed = self._recorder.inside(text), os.path.exists(text)
        status: int = self._open(vfs, path, file, flags, out)
        if status == 0 and name is not None:
            created = not existed and bool(flags & _CREATE)
            self._inodes[file] = self._recorder.opened(name, created=created)
            if created and flags & _WAL_OR_JOURNAL:
                self._new_logs.add(file)
            handle = _File.from_address(file)
            handle.pMethods = ctypes.pointer(self._wrapped(handle.pMethods))
        return status

    def on_delete(self, vfs: Any, path: Any, sync: int) -> int:
        name = self._recorder.inside(ctypes.string_at(path))
        status: int = self._delete(vfs, path, sync)
        if status == 0 and name is not None:
            self._recorder.unlinked(name)
            if sync:
                self._recorder.names_synced()
        return status

    def _wrapped(self, methods: Any) -> _Methods:
        address = ctypes.addressof(methods.contents)
        if address in self._methods:
            return self._methods[address]
        made = _Methods.from_buffer_copy(methods.contents)
        real_write, real_truncate, real_sync = (
            kind(ctypes.cast(function, ctypes.c_void_p).value or 0)
            for kind, function in (
                (_WRITE, made.xWrite), (_TRUNCATE, made.xTruncate), (_SYNC, made.xSync),
            )
        )  # fmt: skip

        def write(file: Any, data: Any, size: int, offset: int) -> int:
            status: int = real_write(file, data, size, offset)
            if status == 0:
                self._recorder.wrote(self._inodes[file], offset, ctypes.string_at(data, size))
            return status

        def truncate(file: Any, size: int) -> int:
            status: int = real_truncate(file, size)
            if status == 0:
                self._recorder.truncated(self._inodes[file], size)
            return status

        def sync(file: Any, flags: int) -> int:
            status: int = real_sync(file, flags)
            if status == 0:
                self._recorder.synced(self._inodes[file])
                if file in self._new_logs:
                    # the first sync of a new log syncs its directory (UNIXFILE_DIRSYNC)
                    self._new_logs.discard(file)
                    self._recorder.names_synced()
            return status

        made.xWrite, made.xTruncate, made.xSync = _WRITE(write), _TRUNCATE(truncate), _SYNC(sync)
        self._methods[address] = made
        return made


class Disk:
    """The synced content of the disk, and the changes that no sync covers yet."""

    def __init__(self) -> None:
        self.files: dict[int, bytes] = {}
        self.names: dict[str, int] = {}
        self.pending: dict[int, list[Op]] = {}
        self.pending_names: list[Op] = []

    def apply(self, op: Op) -> None:
        kind = op[0]
        if kind == "create":
            self.files.setdefault(op[2], b"")
            self.pending_names.append(op)
        elif kind in ("rename", "unlink"):
            self.pending_names.append(op)
        elif kind in ("write", "truncate"):
            self.pending.setdefault(op[1], []).append(op)
        elif kind == "sync":
            for change in self.pending.pop(op[1], []):
                self.files[op[1]] = _changed(self.files[op[1]], change)
        elif kind == "names":
            for change in self.pending_names:
                _rename(self.names, change)
            self.pending_names.clear()

    def after_a_cut(self, pick: Callable[[Op], Op | None]) -> dict[str, bytes]:
        """Return files by name; ``pick`` chooses the surviving part of each unsynced change."""
        names = dict(self.names)
        for change in self.pending_names:
            if pick(change) is not None:
                _rename(names, change)
        found = {}
        for name, inode in names.items():
            data = self.files[inode]
            for change in self.pending.get(inode, ()):
                kept = pick(change)
                if kept is not None:
                    data = _changed(data, kept)
            found[name] = data
        return found


def _changed(data: bytes, change: Op) -> bytes:
    if change[0] == "truncate":
        size: int = change[2]
        return data[:size].ljust(size, b"\0")
    offset: int = change[2]
    new: bytes = change[3]
    return data[:offset].ljust(offset, b"\0") + new + data[offset + len(new) :]


def _rename(names: dict[str, int], change: Op) -> None:
    if change[0] == "create":
        names[change[1]] = change[2]
    elif change[0] == "rename":
        names.pop(change[1], None)
        names[change[2]] = change[3]
    else:
        names.pop(change[1], None)


def torn(change: Op, chance: random.Random) -> Op:
    """Return the write with only some of its sectors."""
    if change[0] != "write" or len(change[3]) <= SECTOR:
        return change
    _, inode, offset, data = change
    size = chance.randrange(1, len(data) // SECTOR + 1) * SECTOR
    return ("write", inode, offset, data[:size])


def crashes(log: list[Op], seed: int, draws: int) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Yield, for every length of the log, several sets of files that a cut there could leave.

    One set has all unsynced changes, one has none, and ``draws`` sets have a random part of them,
    torn or whole.
    """
    chance = random.Random(seed)
    disk = Disk()
    for length in range(len(log) + 1):
        if length:
            disk.apply(log[length - 1])
        yield length, disk.after_a_cut(lambda op: op)
        if not (disk.pending or disk.pending_names):
            continue
        yield length, disk.after_a_cut(lambda op: None)
        for _ in range(draws):
            share = chance.choice((0.2, 0.5, 0.8))
            yield (
                length,
                disk.after_a_cut(
                    lambda op, share=share: (  # type: ignore[misc]
                        None
                        if chance.random() > share
                        else torn(op, chance)
                        if chance.random() < 0.3
                        else op
                    )
                ),
            )
