"""Fetches a disk image from a URL or a path into a working directory, hashes and unpacks it.

A digest says nothing about the file's content, so this module limits the size, detects the format
by content, and refuses a qcow2 that would make the hypervisor open other files of the host.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gaovm import errors
from gaovm.aio import clock, files, steps
from gaovm.builder import qcow2
from gaovm.images import digests, manifest, progress
from gaovm.images.transfer import http, partial, unpacking

MAX_BYTES = 64 << 30
_MAX_BOOT_BYTES = 1 << 30  # a kernel or an initrd
_CHUNK = 1 << 20
_DEFAULT = "sha256"
_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z")
_FOREIGN = {
    b"PK\x03\x04": "zip",
    b"KDMV": "VMDK",
    b"<!DO": "HTML",
    b"<htm": "HTML",
}


@dataclass(frozen=True, kw_only=True)
class Boot:
    """A file and its digest; None: any content will do.

    ``pinned``: the digest is that of an earlier download, which nobody has given.
    """

    location: str
    digest: str | None = None
    pinned: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """The files to pull: a disk, and the kernel and initrd that boot it.

    A location is an http, https or file URL, or a path.
    """

    location: str
    digest: str | None = None
    pinned: bool = False
    arch: str = "x86_64"
    kernel: Boot | None = None
    initrd: Boot | None = None
    max_bytes: int = MAX_BYTES

    @property
    def disk(self) -> Boot:
        """The disk alone."""
        return Boot(location=self.location, digest=self.digest, pinned=self.pinned)

    @property
    def parts(self) -> tuple[Boot, ...]:
        """The disk, and what boots it."""
        return tuple(part for part in (self.disk, self.kernel, self.initrd) if part is not None)


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The file names by role, and the digest of each location as it was downloaded."""

    names: dict[manifest.Role, str]
    digests: dict[str, str]


def check(request: Request) -> None:
    """Check the form of all locations and digests. Raises: UsageError."""
    for part in request.parts:
        if part.digest is not None and not _DIGEST.match(part.digest):
            raise errors.UsageError(
                f"digest {part.digest!r} is not sha256:HEX or sha512:HEX",
                field="digest",
                remedy="give the digest that the image's publisher lists beside it",
            )
        scheme = urllib.parse.urlsplit(part.location).scheme
        if scheme not in ("", "file", "http", "https"):
            raise errors.UsageError(
                f"{part.location}: only http, https, file and paths can be pulled"
            )


def remote(location: str) -> bool:
    """Whether a location is not a file of this host."""
    return urllib.parse.urlsplit(location).scheme in ("http", "https")


def local(location: str) -> Path:
    """Return the path of a location on this host: a path, or a file URL."""
    parts = urllib.parse.urlsplit(location)
    return Path(urllib.parse.unquote(parts.path) if parts.scheme == "file" else location)


def identity(request: Request, names: Mapping[manifest.Role, str]) -> manifest.Identity:
    """Make the identity of the image that ``fetch`` has brought, without its artefacts."""
    return manifest.Identity(
        name=request.location,
        arch=request.arch,
        kernel=None,
        kernel_release=None,
        recipe_key=None,
        disk_format="qcow2" if names["disk"].endswith(".qcow2") else "raw",
        artefacts={},
    )


@steps.step
async def fetch(request: Request, work: Path, downloads: Path, report: progress.Report) -> Fetched:
    """Bring all parts into ``work``; keep what is not complete in ``downloads``.

    No unchecked file stays under a final name.

    Raises: DigestMismatch, PullFailed, DiskFull, NotFound.
    """
    names: dict[manifest.Role, str] = {}
    found: dict[str, str] = {}
    report = digests.from_thread(report)
    for role, boot in (("kernel", request.kernel), ("initrd", request.initrd)):
        if boot is not None:
            limit = min(_MAX_BOOT_BYTES, request.max_bytes)
            found[boot.location] = await digests.in_thread(
                _bring, boot, work / role, downloads, limit, report
            )
            names["kernel" if role == "kernel" else "initrd"] = role
    disk = work / "disk"
    found[request.location] = await digests.in_thread(
        _bring, request.disk, disk, downloads, request.max_bytes, report
    )
    kind = await digests.in_thread(_unpacked, disk, request.max_bytes, report)
    disk.rename(work / f"disk.{kind}")
    return Fetched(names={"disk": f"disk.{kind}", **names}, digests=found)


def recognise(path: Path) -> str:
    """Tell ``raw`` from ``qcow2`` by content.

    Raises: PullFailed for a file that cannot be a disk, or that refers to other files.
    """
    with files.open_regular(path) as file:
        head = file.read(qcow2.HEADER_BYTES)
    if not head:
        raise errors.PullFailed("the file is empty")
    for magic, kind in _FOREIGN.items():
        if head.startswith(magic):
            raise errors.PullFailed(
                f"the file is {kind}, not a raw or qcow2 disk", remedy="unpack or convert it first"
            )
    if not head.startswith(qcow2.MAGIC):
        return "raw"
    header = qcow2.parse(head)
    if header is None or len(head) < qcow2.HEADER_BYTES:
        raise errors.PullFailed("the qcow2 header is cut short")
    if header.names_other_files:
        raise errors.PullFailed(
            "the qcow2 refers to another file: refused",
            remedy="flatten it: qemu-img convert -O qcow2 SOURCE TARGET",
        )
    if header.size_bytes > MAX_DISK_BYTES:
        raise errors.PullFailed(f"the disk's size is {header.size_bytes} bytes: refused")
    return "qcow2"


#: The largest size that the guest may see: what ``disk`` in a config file may be.
MAX_DISK_BYTES = 1 << 46


def _unpacked(stop: digests.Stop, disk: Path, max_bytes: int, report: progress.Report) -> str:
    """Unpack a compressed disk in place; return the format of the disk."""
    with files.open_regular(disk) as file:
        compression = unpacking.kind(file.read(8))
    if compression is not None:
        packed = disk.with_name("packed")
        disk.rename(packed)
        counter = progress.ByteProgress(
            report, clock.monotonic, "unpack", f"unpacking ({compression})", packed.stat().st_size
        )
        try:
            unpacking.unpack(stop, packed, compression, disk, max_bytes, counter.add)
        except OSError as exc:
            raise _translated(exc, str(disk), disk) from exc
        counter.add(0, final=True)
        packed.unlink()
        with files.open_regular(disk) as file:
            if unpacking.kind(file.read(8)) is not None:
                raise errors.PullFailed("the file is compressed twice: refused")
    return recognise(disk)


def _bring(
    stop: digests.Stop,
    part: Boot,
    target: Path,
    downloads: Path,
    max_bytes: int,
    report: progress.Report,
) -> str:
    """Bring one part to ``target``; check its length and digest; return that.

    ``stop`` ends it at once.
    """
    algorithm = (part.digest or _DEFAULT).partition(":")[0]
    if not remote(part.location):
        try:
            watch = _Watch(part, target, max_bytes, report)
            found = f"{algorithm}:{_copy(stop, part, target, algorithm, watch)}"
        except OSError as exc:
            raise _translated(exc, part.location, target) from exc
        _check_digest(part, found)
        return found
    with partial.opened(downloads, part.location) as kept:
        try:
            watch = _Watch(part, kept.path, max_bytes, report)
            digest = http.download(stop, part.location, kept, algorithm, watch)
            watch.end()
        except OSError as exc:
            raise _translated(exc, part.location, kept.path) from exc
        found = f"{algorithm}:{digest}"
        try:
            _check_digest(part, found)
            digests.bring(stop, kept.path, target)
        finally:
            kept.discard()
    return found


def _check_digest(part: Boot, found: str) -> None:
    if part.digest is not None and part.digest != found:
        raise _mismatch(part, found)


def _mismatch(part: Boot, found: str) -> errors.DigestMismatch:
    if part.pinned:
        return errors.DigestMismatch(
            f"{part.location} has changed: it had {part.digest} at its first download, and has "
            f"{found} now",
            field="digest",
            remedy="to take the new file, remove the image of the old one, or write `digest`",
            actions=(errors.Action("remove_image", image=part.location),),
            details={"expected": part.digest, "found": found},
        )
    return errors.DigestMismatch(
        f"{part.location}: expected {part.digest}, found {found}",
        field="digest",
        remedy="the file has changed, or the digest is not this file's; nothing was kept",
        details={"expected": part.digest, "found": found},
    )


class _Watch:
    """Bounds a transfer and reports on it."""

    def __init__(self, part: Boot, target: Path, max_bytes: int, report: progress.Report) -> None:
        self._part, self._target, self._max_bytes = part, target, max_bytes
        self._report = report
        self._counter = self._make(None, 0)

    def _make(self, total: int | None, before: int) -> progress.ByteProgress:
        name = self._part.location.rpartition("/")[2]
        return progress.ByteProgress(
            self._report, clock.monotonic, "download", f"downloading {name}", total, before
        )

    def admit(self, total: int | None) -> None:
        """Refuse a file that is too large, or for which there is no space."""
        if total is None:
            return
        if total > self._max_bytes:
            raise _too_large(self._part, self._max_bytes)
        have = self._target.stat().st_size if self._target.exists() else 0
        free = shutil.disk_usage(self._target.parent).free
        if total - have > free:
            raise _no_space(self._target, total, free)

    def began(self, before: int, total: int | None) -> None:
        """Note that ``before`` bytes are here already."""
        self._counter = self._make(total, before)

    def count(self, size: int) -> None:
        """Count a piece before it is written."""
        if self._counter.done_bytes + size > self._max_bytes:
            raise _too_large(self._part, self._max_bytes)
        self._counter.add(size)

    def end(self) -> None:
        """Report that all is here."""
        self._counter.add(0, final=True)


def _copy(stop: digests.Stop, part: Boot, target: Path, algorithm: str, watch: _Watch) -> str:
    """Copy a file of this host; return its digest (hex)."""
    digest = hashlib.new(algorithm)
    zeros = bytes(_CHUNK)
    with files.open_regular(local(part.location)) as file, target.open("xb") as out:
        total = os.fstat(file.fileno()).st_size
        watch.admit(total)
        watch.began(0, total)
        while chunk := file.read(_CHUNK):
            if stop.is_set():
                raise digests.Stopped
            watch.count(len(chunk))
            digest.update(chunk)
            if chunk == zeros[: len(chunk)]:
                out.seek(len(chunk), os.SEEK_CUR)
            else:
                out.write(chunk)
        out.truncate()
    watch.end()
    return digest.hexdigest()


def _too_large(part: Boot, max_bytes: int) -> errors.PullFailed:
    return errors.PullFailed(f"{part.location} is larger than the {max_bytes} bytes allowed")


def _no_space(target: Path, needed: int | None, free: int) -> errors.DiskFull:
    wanted = f"{needed >> 20} MiB needed, " if needed is not None else ""
    return errors.DiskFull(
        f"not enough space for {target.parent.parent}: {wanted}{free >> 20} MiB free",
        remedy="free some space, or point GAOVM_HOME and GAOVM_CACHE at another file system",
        details={"needed_bytes": needed, "free_bytes": free},
    )


def _translated(exc: OSError, location: str, target: Path) -> errors.GaoError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return _no_space(target, None, shutil.disk_usage(target.parent).free)
    if exc.errno in (errno.ENOENT, errno.EISDIR, errno.EACCES):
        return errors.NotFound(f"{location}: {exc.strerror}", field="location")
    return errors.PullFailed(f"{location}: {exc}")
