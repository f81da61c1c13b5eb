"""The files of one named disk: ``disk.qcow2`` or ``disk.raw``, and the lock of whoever uses it.

Every file appears whole or not at all. All functions block; a copy takes as long as its file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from gaovm import errors
from gaovm.aio import files, steps
from gaovm.builder import qcow2
from gaovm.spec import disks as spec

LOCK = "lock"
#: A disk is a whole number of these.
SECTOR_BYTES = 512
#: The end of the name of a copy that is not whole.
PARTIAL = ".partial"
_FORMATS: tuple[spec.DiskFormat, ...] = ("qcow2", "raw")
#: Features of qcow2 files of other programs that do no harm (``qcow2``): a repair after a crash is
#: due, compressed clusters, subclusters.
_HARMLESS = 1 | qcow2.COMPRESSION | qcow2.SUBCLUSTERS
_CHUNK = 1 << 20
#: FICLONE of ioctl_ficlone(2): both files share their blocks until one is written.
_CLONE = 0x40049409
#: The first bytes of files that are no disk as they are: a VM would see their wrapping as its disk.
_FOREIGN = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"KDMV": "VMDK",
    b"# Disk DescriptorFile": "VMDK",
    b"vhdxfile": "VHDX",
    b"conectix": "VHD",
    b"<<< ": "VDI",
    b"QED\0": "QED",
}


class Found(NamedTuple):
    """What a disk's file is: its format, and the size in bytes that a guest sees."""

    format: spec.DiskFormat
    size_bytes: int


def path(directory: Path, kind: spec.DiskFormat) -> Path:
    """Return the file of the disk whose directory this is."""
    return directory / f"disk.{kind}"


def make(directory: Path, kind: spec.DiskFormat, size_bytes: int) -> None:
    """Make an empty disk; idempotent, also after a crash.

    A qcow2 disk gets tables for the largest size that a disk may have, which take 1 MiB as a hole.
    So it grows by a change of one number.

    Raises:
        errors.DiskFull, errors.HostError: it cannot be written.
    """
    make_directory(directory)
    target = path(directory, kind)
    if target.exists():
        return
    if kind == "raw":
        files.create_atomic(target, b"", size_bytes=size_bytes)
    else:
        made = qcow2.new(size_bytes, room_bytes=spec.LARGEST_BYTES)
        files.create_atomic(target, made.head, size_bytes=made.file_bytes)


def make_directory(directory: Path) -> None:
    """Make a disk's directory, private to the user, and its name durable. Idempotent.

    Raises:
        errors.DiskFull, errors.HostError: it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        files.sync_directory(directory.parent)
    except OSError as exc:
        raise files.errors_of(exc, f"cannot make {directory}") from exc


def find(directory: Path) -> Found | None:
    """Return what the disk's file is; None if there is none that is whole.

    Only the file's name says its format: a guest may write anything to a raw disk's beginning.

    Raises:
        errors.StateCorrupt: the file is no disk that GaoVM can use.
        errors.HostError: the file cannot be read.
    """
    for kind in _FORMATS:
        there = path(directory, kind)
        try:
            with files.open_regular(there) as file:
                head, length = file.read(qcow2.HEADER_BYTES), os.fstat(file.fileno()).st_size
            if kind == "raw":
                return Found("raw", length // SECTOR_BYTES * SECTOR_BYTES)
            found = _examine(head, length)
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise files.errors_of(exc, f"cannot read {there}") from exc
        except (errors.NotFound, errors.ConfigError) as exc:
            raise errors.StateCorrupt(f"{there}: {exc.message}") from exc
        if found.format != kind:
            raise errors.StateCorrupt(f"{there} is no longer a qcow2 disk")
        return found
    return None


def _examine(head: bytes, length: int) -> Found:
    """Tell the format of a file that somebody brings.

    Raises:
        errors.ConfigError: it is no disk, or one that would make QEMU open other files of the host.
    """
    if not head.startswith(qcow2.MAGIC):
        kind = next((name for start, name in _FOREIGN.items() if head.startswith(start)), None)
        if kind is not None:
            raise errors.ConfigError(
                f"the file is {kind}, not a raw or qcow2 disk",
                remedy="unpack or convert it first: qemu-img convert -O qcow2 SOURCE TARGET",
            )
        return _sized(Found("raw", -(-length // SECTOR_BYTES) * SECTOR_BYTES))
    header = qcow2.parse(head)
    if header is None or len(head) < qcow2.HEADER_BYTES:
        raise errors.ConfigError("the qcow2 header is cut short or older than version 3")
    if header.names_other_files:
        raise errors.ConfigError(
            "the qcow2 refers to another file: refused",
            remedy="flatten it first: qemu-img convert -O qcow2 SOURCE TARGET",
        )
    if header.encryption or header.features & ~_HARMLESS:
        what = "encrypted" if header.encryption else "damaged, or has unknown features"
        raise errors.ConfigError(
            f"the qcow2 is {what}: refused",
            remedy="convert it first: qemu-img convert -O qcow2 SOURCE TARGET",
        )
    return _sized(Found("qcow2", header.size_bytes))


def _sized(found: Found) -> Found:
    if not spec.SMALLEST_BYTES <= found.size_bytes <= spec.LARGEST_BYTES:
        raise errors.ConfigError(
            f"the disk has {found.size_bytes} bytes; 1 MiB to 64 TiB are possible",
            remedy="bring another file",
        )
    return found


@steps.step
def bring(source: Path, directory: Path) -> Found:
    """Copy a file into a disk's directory, and check the copy: the source may change meanwhile.

    Holes stay holes. Blocks are shared where the file system can do that.

    Raises:
        errors.NotFound: there is no such regular file.
        errors.ConfigError: the file is no disk that GaoVM may use.
        errors.DiskFull, errors.HostError: it cannot be copied.
    """
    # an earlier copy that was cancelled may still be on its way: it must not meet this one
    partial = directory / f"{os.urandom(8).hex()}{PARTIAL}"
    try:
        with _opened(source) as reading, partial.open("xb") as writing:
            os.fchmod(writing.fileno(), 0o600)
            _copy(reading.fileno(), writing.fileno())
            os.fsync(writing.fileno())
        with partial.open("rb") as copied:
            found = _examine(copied.read(qcow2.HEADER_BYTES), partial.stat().st_size)
        if found.format == "raw":
            os.truncate(partial, found.size_bytes)
            files.sync_file(partial)
        partial.rename(path(directory, found.format))
        files.sync_directory(directory)
    except OSError as exc:
        raise files.errors_of(exc, f"cannot copy {source}") from exc
    return found


def _opened(source: Path) -> io.BufferedReader:
    try:
        return files.open_regular(source)
    except FileNotFoundError as exc:
        raise errors.NotFound(f"there is no file {source}") from exc


def _copy(source: int, target: int) -> None:
    length = os.fstat(source).st_size
    try:
        fcntl.ioctl(target, _CLONE, source)
    except OSError:
        free = os.fstatvfs(target)
        if os.fstat(source).st_blocks * 512 > free.f_bavail * free.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        os.ftruncate(target, length)
        for begin, end in _pieces(source, length):
            _copy_piece(source, target, begin, end)


def _pieces(source: int, length: int) -> list[tuple[int, int]]:
    """Return the parts of a file that are no holes."""
    found, at = [], 0
    while at < length:
        try:
            begin = os.lseek(source, at, os.SEEK_DATA)
            at = os.lseek(source, begin, os.SEEK_HOLE)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # only a hole follows
                break
            return [(0, length)]  # this file system knows no holes
        found.append((begin, at))
    return found


def _copy_piece(source: int, target: int, begin: int, end: int) -> None:
    os.lseek(target, begin, os.SEEK_SET)
    while begin < end:
        data = os.pread(source, min(_CHUNK, end - begin), begin)
        if not data:
            return  # the file has become shorter; the check of the copy says the rest
        if data.count(0) == len(data):
            os.lseek(target, len(data), os.SEEK_CUR)
        else:
            view = memoryview(data)
            while view:
                view = view[os.write(target, view) :]
        begin += len(data)


def room(directory: Path, kind: spec.DiskFormat) -> int:
    """Return up to which size the disk grows without a program."""
    if kind == "raw":
        return spec.LARGEST_BYTES
    with path(directory, kind).open("rb") as file:
        head = file.read(qcow2.HEADER_BYTES)
    header = qcow2.parse(head)
    simple = header is not None and header.version == 3 and not header.features
    return header.room_bytes if header is not None and simple else 0


@steps.step
def grow(directory: Path, kind: spec.DiskFormat, size_bytes: int) -> None:
    """Make the disk larger within its ``room``; never smaller. Idempotent.

    Raises:
        errors.DiskFull, errors.HostError: it cannot be written.
    """
    there = path(directory, kind)
    try:
        with there.open("r+b", buffering=0) as file:
            if kind == "raw":
                if file.seek(0, os.SEEK_END) < size_bytes:
                    file.truncate(size_bytes)
            else:
                file.seek(qcow2.SIZE_AT)
                (now,) = qcow2.SIZE.unpack(file.read(qcow2.SIZE.size))
                if now < size_bytes:
                    # 8 bytes within one sector: after a crash they are the old ones or the new
                    os.pwrite(file.fileno(), qcow2.SIZE.pack(size_bytes), qcow2.SIZE_AT)
            os.fsync(file.fileno())
    except OSError as exc:
        raise files.errors_of(exc, f"cannot grow {there}") from exc


@steps.step
def remove(directory: Path) -> int:
    """Remove a disk's files and its directory; return the bytes that became free. Idempotent.

    Raises:
        errors.PermissionMissing: something of it stays.
    """
    freed = used_bytes(directory)
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        raise errors.PermissionMissing(f"{directory} cannot be removed")
    return freed


def used_bytes(directory: Path) -> int:
    """Return what a disk takes of the host now."""
    found = 0
    with contextlib.suppress(OSError):
        for entry in directory.iterdir():
            found += entry.lstat().st_blocks * 512
    return found
