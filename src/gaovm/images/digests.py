"""Hash and check the files of an image, and bring them in. Blocking: call it by ``in_thread``.

A check before use only compares size, time and inode of a file with those recorded at the last full
digest, and reads the file again when they differ. A file that comes into a store is always read in
full.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import functools
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from gaovm import errors
from gaovm.aio import files
from gaovm.images import manifest

RECORD_FILE = "verified.json"
_CHUNK = 1 << 20
_FICLONE = 0x40049409

P = ParamSpec("P")
T = TypeVar("T")
Count = Callable[[int], None]


class Stop:
    """Tells a worker thread that its caller was cancelled, and ends its blocking read."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._wake: Callable[[], None] | None = None

    def is_set(self) -> bool:
        """Whether the thread must stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask the thread to stop."""
        with self._lock:
            self._event.set()
            if self._wake is not None:
                self._wake()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the thread must stop; return whether it must."""
        return self._event.wait(seconds)

    @contextlib.contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Make ``set`` also call ``wake``, from another thread, while the block runs."""
        with self._lock:
            self._wake = wake
            if self._event.is_set():
                wake()
        try:
            yield
        finally:
            with self._lock:
                self._wake = None


class Stopped(Exception):
    """Ends a worker thread whose caller was cancelled. It never leaves this package."""


def from_thread(report: Callable[[T], None]) -> Callable[[T], None]:
    """Make ``report`` callable from a worker thread: the running loop calls it, in order."""
    loop = asyncio.get_running_loop()

    def hand_over(value: T) -> None:
        loop.call_soon_threadsafe(report, value)

    return hand_over


async def in_thread(
    work: Callable[Concatenate[Stop, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run ``work(stop, …)`` in a thread. When cancelled, set ``stop`` and wait for its end.

    So no thread writes into a directory that the caller then removes.
    """
    stop = Stop()
    call = functools.partial(work, stop, *args, **kwargs)
    future = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        stop.set()
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # mark it as seen: the caller gets the cancellation
        raise


def sha256(stop: Stop, path: Path, count: Count | None = None) -> str:
    """Return the SHA-256 (hex) of a file; call ``count`` with the size of each chunk."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    with files.open_regular(path) as file:
        while read := file.readinto(buffer):
            if stop.is_set():
                raise Stopped
            digest.update(buffer[:read])
            if count is not None:
                count(read)
    return digest.hexdigest()


def verify(
    stop: Stop,
    directory: Path,
    *,
    full: bool,
    digest: str | None = None,
    count: Count | None = None,
) -> None:
    """Check all artefacts of the image in ``directory``.

    Its name is the image's digest unless ``digest`` is given. The check records what it has read,
    so that the next one that is not ``full`` only looks at sizes and times.

    Raises: ImageCorrupt; the message has the file, what was expected and what was found.
    """
    artefacts = manifest.load(directory, digest).identity.artefacts.values()
    record = {} if full else _read_record(directory)
    fresh: dict[str, list[int]] = {}
    for artefact in artefacts:
        path = directory / artefact.file
        try:
            look = _look(path)
        except OSError as exc:
            found = exc.strerror or "nothing"
            raise manifest.corrupt(path, f"sha256:{artefact.sha256}", found) from exc
        if look[0] != artefact.size:
            raise manifest.corrupt(path, f"{artefact.size} bytes", f"{look[0]} bytes")
        if record.get(artefact.file) != look:
            found = sha256(stop, path, count)
            if found != artefact.sha256:
                raise manifest.corrupt(path, f"sha256:{artefact.sha256}", f"sha256:{found}")
        fresh[artefact.file] = look
    if fresh != record:
        _write_record(directory, fresh)


def bring(stop: Stop, source: Path, target: Path, count: Count | None = None) -> str:
    """Make ``target`` a reflink of ``source``, else a hard link, else a copy; return which it is.

    Raises: DiskFull.
    """
    if _reflink(source, target):
        return "reflink"
    try:
        os.link(source, target)
    except OSError:
        _copy(stop, source, target, count)
        return "copy"
    return "hard link"


def _reflink(source: Path, target: Path) -> bool:
    try:
        with files.open_regular(source) as src, target.open("xb") as dst:
            fcntl.ioctl(dst.fileno(), _FICLONE, src.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


def _copy(stop: Stop, source: Path, target: Path, count: Count | None) -> None:
    """Copy a file; make blocks of zeros holes."""
    zeros = bytes(_CHUNK)
    try:
        with files.open_regular(source) as src, target.open("xb") as dst:
            while chunk := src.read(_CHUNK):
                if stop.is_set():
                    raise Stopped
                if chunk == zeros[: len(chunk)]:
                    dst.seek(len(chunk), os.SEEK_CUR)
                else:
                    dst.write(chunk)
                if count is not None:
                    count(len(chunk))
            dst.truncate()
            dst.flush()
            os.fsync(dst.fileno())
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        needed, free = source.stat().st_size, shutil.disk_usage(target.parent).free
        raise errors.DiskFull(
            f"no space to copy {source.name} into {target.parent.parent}:"
            f" {needed >> 20} MiB needed, {free >> 20} MiB free",
            remedy="free some space there",
            details={"needed_bytes": needed, "free_bytes": free},
        ) from exc


def _look(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _read_record(directory: Path) -> dict[str, list[int]]:
    try:
        return msgspec.json.decode(
            (directory / RECORD_FILE).read_bytes(), type=dict[str, list[int]]
        )
    except (OSError, msgspec.MsgspecError):
        return {}  # the next check reads all files


def _write_record(directory: Path, record: dict[str, list[int]]) -> None:
    """Write the record without fsync: a lost record only makes the next check slower."""
    temporary = directory / f".{RECORD_FILE}.{os.getpid()}.{threading.get_ident()}"
    temporary.write_bytes(msgspec.json.encode(record))
    temporary.replace(directory / RECORD_FILE)
