"""Fetches a disk image from a URL or a path into a working directory, and hashes it meanwhile.

A digest says nothing about the file's content, so this module limits the size, detects the format
by content, and refuses a qcow2 that would make the hypervisor open other files of the host.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import io
import os
import re
import shutil
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gaovm import errors
from gaovm.aio import clock, files, steps
from gaovm.builder import qcow2
from gaovm.images import digests, manifest, progress

MAX_BYTES = 64 << 30
_MAX_BOOT_BYTES = 1 << 30  # a kernel or an initrd
_CHUNK = 1 << 20
_SOCKET_TIMEOUT_S = 30.0
_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z")
_FOREIGN = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"KDMV": "VMDK",
    b"<!DO": "HTML",
    b"<htm": "HTML",
}


@dataclass(frozen=True, kw_only=True)
class Boot:
    """A kernel or an initrd for a disk."""

    location: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """The files to pull: a disk, and the kernel and initrd that boot it.

    A location is an http, https or file URL, or a path.
    """

    location: str
    digest: str
    arch: str = "x86_64"
    kernel: Boot | None = None
    initrd: Boot | None = None
    max_bytes: int = MAX_BYTES


def check(request: Request) -> None:
    """Check the form of all locations and digests. Raises: UsageError."""
    for part in (request, request.kernel, request.initrd):
        if part is None:
            continue
        if not _DIGEST.match(part.digest):
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


def same_boot(request: Request, artefacts: Mapping[manifest.Role, manifest.Artefact]) -> bool:
    """Whether an image with the same disk has the wanted kernel and initrd."""
    wanted: dict[manifest.Role, Boot | None] = {"kernel": request.kernel, "initrd": request.initrd}
    for role, boot in wanted.items():
        have = f"sha256:{artefacts[role].sha256}" if role in artefacts else None
        if (boot.digest if boot else None) != have:
            return False
    return True


@steps.step
async def fetch(request: Request, work: Path, report: progress.Report) -> dict[manifest.Role, str]:
    """Download all parts into ``work``; return the file names by role.

    No unchecked file stays under a final name.

    Raises: DigestMismatch, PullFailed, DiskFull, NotFound.
    """
    names: dict[manifest.Role, str] = {}
    report = digests.from_thread(report)
    for role, boot in (("kernel", request.kernel), ("initrd", request.initrd)):
        if boot is not None:
            await digests.in_thread(
                _download, boot, work / role, min(_MAX_BOOT_BYTES, request.max_bytes), report
            )
            names["kernel" if role == "kernel" else "initrd"] = role
    disk = work / "disk"
    wanted = Boot(location=request.location, digest=request.digest)
    await digests.in_thread(_download, wanted, disk, request.max_bytes, report)
    kind = recognise(disk)
    disk.rename(work / f"disk.{kind}")
    return {"disk": f"disk.{kind}", **names}


def recognise(path: Path) -> str:
    """Tell ``raw`` from ``qcow2`` by content.

    Raises: PullFailed for a file that cannot be a disk, or that refers to other files.
    """
    with files.open_regular(path) as file:
        head = file.read(104)
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
    if header.backing_at or header.features & qcow2.EXTERNAL_DATA:
        raise errors.PullFailed(
            "the qcow2 refers to another file: refused",
            remedy="flatten it: qemu-img convert -O qcow2 SOURCE TARGET",
        )
    return "qcow2"


def _download(
    stop: digests.Stop, part: Boot, target: Path, max_bytes: int, report: progress.Report
) -> None:
    """Download one part into ``target``; check its digest and length. ``stop`` ends it at once."""
    algorithm, _, expected = part.digest.partition(":")
    digest = hashlib.new(algorithm)
    try:
        with _opened(part.location, stop) as (source, total):
            _admit(part, target, total, max_bytes)
            name = part.location.rpartition("/")[2]
            counter = progress.ByteProgress(
                report, clock.monotonic, "download", f"downloading {name}", total
            )
            with target.open("xb") as out:
                while chunk := source.read1(_CHUNK):
                    if counter.done_bytes + len(chunk) > max_bytes:
                        raise _too_large(part, max_bytes)
                    digest.update(chunk)
                    out.write(chunk)
                    counter.add(len(chunk))
                    if stop.is_set():
                        raise digests.Stopped
            counter.add(0, final=True)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as exc:
        raise errors.PullFailed(
            f"{part.location}: {exc}", remedy="check the location and the network"
        ) from exc
    except OSError as exc:
        raise _translated(exc, part, target) from exc
    if total is not None and counter.done_bytes < total:
        raise errors.PullFailed(
            f"{part.location}: ended after {counter.done_bytes} of {total} bytes"
        )
    if digest.hexdigest() != expected:
        raise errors.DigestMismatch(
            f"{part.location}: expected {part.digest}, found {algorithm}:{digest.hexdigest()}",
            field="digest",
            remedy="the file has changed, or the digest is not this file's; nothing was kept",
        )


@contextlib.contextmanager
def _opened(
    location: str, stop: digests.Stop
) -> Iterator[tuple[io.BufferedReader | http.client.HTTPResponse, int | None]]:
    """Open a location for reading; yield its file and its size if that is known."""
    parts = urllib.parse.urlsplit(location)
    if parts.scheme not in ("http", "https"):
        path = Path(urllib.parse.unquote(parts.path) if parts.scheme == "file" else location)
        with files.open_regular(path) as file:
            yield file, os.fstat(file.fileno()).st_size
        return
    request = urllib.request.Request(location, headers={"User-Agent": "gaovm"})
    try:
        response = _opener().open(request, timeout=_SOCKET_TIMEOUT_S)
    except urllib.error.HTTPError as exc:
        exc.close()
        raise
    with response, socket.socket(fileno=os.dup(response.fileno())) as connection:
        length = response.headers.get("Content-Length", "")
        with stop.waking(lambda: _hang_up(connection)):
            yield response, int(length) if length.isdigit() else None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only; urllib would also follow one to ftp."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            fp.close()
            raise urllib.error.URLError(f"redirected to {newurl}: only http and https are followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Make an opener for HTTP and HTTPS, with the proxies of the environment, and nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _hang_up(connection: socket.socket) -> None:
    """Shut a connection down, so that another thread's read returns."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _admit(part: Boot, target: Path, total: int | None, max_bytes: int) -> None:
    if total is None:
        return
    if total > max_bytes:
        raise _too_large(part, max_bytes)
    free = shutil.disk_usage(target.parent).free
    if total > free:
        raise _no_space(target, total, free)


def _too_large(part: Boot, max_bytes: int) -> errors.PullFailed:
    return errors.PullFailed(f"{part.location} is larger than the {max_bytes} bytes allowed")


def _no_space(target: Path, needed: int | None, free: int) -> errors.DiskFull:
    wanted = f"{needed >> 20} MiB needed, " if needed is not None else ""
    return errors.DiskFull(
        f"not enough space for {target.parent.parent}: {wanted}{free >> 20} MiB free",
        remedy="free some space, or point GAOVM_HOME at another file system",
        details={"needed_bytes": needed, "free_bytes": free},
    )


def _translated(exc: OSError, part: Boot, target: Path) -> errors.GaoError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return _no_space(target, None, shutil.disk_usage(target.parent).free)
    if exc.errno in (errno.ENOENT, errno.EISDIR, errno.EACCES):
        return errors.NotFound(f"{part.location}: {exc.strerror}", field="location")
    return errors.PullFailed(f"{part.location}: {exc}")
