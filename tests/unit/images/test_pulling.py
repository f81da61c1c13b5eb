"""A pull checks digest, size and format, and a failed pull leaves no files."""

from __future__ import annotations

import asyncio
import ftplib
import hashlib
import http.server
import os
import shutil
import struct
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.images import progress, pulling, store

DISK = b"\0" * 510 + b"\x55\xaa" + b"data" * 100_000
Usage = namedtuple("Usage", "total used free")


def sha256(data: bytes) -> str:
    """Return the digest as a request has it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def qcow2(backing: int = 0, features: int = 0) -> bytes:
    """Return a version 3 header."""
    head = b"QFI\xfb" + struct.pack(">IQ", 3, backing)
    return head.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(1000)


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content``; a request ends only when ``held`` is set, if there is one."""

    daemon_threads = True
    content = DISK
    announce: int | None = None
    held: threading.Event | None = None
    hits = 0


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves GET only; 404 for ``/missing``."""

    server: Server

    def do_GET(self) -> None:
        self.server.hits += 1
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(200)
        size = self.server.announce
        if size != 0:
            self.send_header("Content-Length", str(size or len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)
        if self.server.held is not None:
            self.wfile.flush()
            self.server.held.wait(60)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Run a server on a free port."""
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        if running.held is not None:
            running.held.set()
        running.shutdown()
        thread.join()


def url(server: Server, path: str = "/disk.img") -> str:
    """Return a URL on the server."""
    return f"http://127.0.0.1:{server.server_port}{path}"


async def test_a_disk_from_http(images: store.ImageStore, server: Server) -> None:
    heard: list[progress.Progress] = []
    request = pulling.Request(location=url(server), digest=sha256(DISK))
    image = await images.pull(request, heard.append)
    assert image.disk.read_bytes() == DISK
    assert image.disk_format == "raw"
    assert image.kernel_path is None
    assert image.name == request.location
    assert (heard[-1].done_bytes, heard[-1].percent) == (len(DISK), 100.0)
    await images.check(image)
    assert await images.pull(request) == image
    assert server.hits == 1


@pytest.mark.parametrize("form", ["path", "url"])
async def test_a_disk_from_a_file(images: store.ImageStore, tmp_path: Path, form: str) -> None:
    file = tmp_path / "a disk.qcow2"
    file.write_bytes(qcow2())
    location = str(file) if form == "path" else file.as_uri()
    image = await images.pull(pulling.Request(location=location, digest=sha256(qcow2())))
    assert image.disk_format == "qcow2"
    assert image.disk.name == "disk.qcow2"


@pytest.mark.parametrize("part", ["disk", "kernel"])
async def test_a_file_that_is_not_regular_is_refused_without_waiting(
    images: store.ImageStore, tmp_path: Path, part: str
) -> None:
    """Opening a FIFO waits for a writer: this once blocked a thread, and the daemon, for ever."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "d").write_bytes(DISK)
    wanted = str(tmp_path / "d"), sha256(DISK)
    for named, kind in ((fifo, "a FIFO"), (Path("/dev/zero"), "a device"), (tmp_path, "a dir")):
        request = pulling.Request(location=str(named), digest=sha256(b""))
        if part == "kernel":
            boot = pulling.Boot(location=str(named), digest=sha256(b""))
            request = pulling.Request(location=wanted[0], digest=wanted[1], kernel=boot)
        with pytest.raises(errors.NotFound, match=f"{named} is {kind}.*expected a regular file"):
            await images.pull(request)


async def test_only_redirects_to_http_are_followed(
    images: store.ImageStore, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(ftplib.FTP, "connect", lambda _, host, *rest: tried.append(host))
    image = await images.pull(
        pulling.Request(location=url(server, "/to/" + url(server)), digest=sha256(DISK))
    )
    assert image.disk.read_bytes() == DISK
    for target in ("ftp://127.0.0.1:9/disk.img", "file:///etc/hostname"):
        request = pulling.Request(location=url(server, "/to/" + target), digest=sha256(b"x"))
        with pytest.raises(errors.PullFailed, match=target):
            await images.pull(request)
    assert tried == []


async def test_sha512_and_a_kernel(images: store.ImageStore, tmp_path: Path) -> None:
    parts = {"d": DISK, "k": b"kernel", "i": b"initrd"}
    for name, data in parts.items():
        (tmp_path / name).write_bytes(data)
    image = await images.pull(
        pulling.Request(
            location=str(tmp_path / "d"),
            digest=f"sha512:{hashlib.sha512(DISK).hexdigest()}",
            kernel=pulling.Boot(location=str(tmp_path / "k"), digest=sha256(b"kernel")),
            initrd=pulling.Boot(location=str(tmp_path / "i"), digest=sha256(b"initrd")),
        )
    )
    assert image.kernel_path is not None
    assert image.kernel_path is not None
    assert image.kernel_path.read_bytes() == b"kernel"
    assert await images.initrd(image, tmp_path / "k") == image.initrd_path


async def test_a_wrong_digest_keeps_nothing(
    images: store.ImageStore, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(errors.DigestMismatch) as caught:
        await images.pull(pulling.Request(location=url(server), digest=sha256(b"other")))
    assert sha256(DISK) in caught.value.message
    assert list(images.list()) == []
    assert not list(tmp_path.rglob("disk*"))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\x1f\x8b" + bytes(600), "gzip"),
        (b"\xfd7zXZ\0" + bytes(600), "xz"),
        (b"<!DOCTYPE html>", "HTML"),
        (qcow2(backing=104), "another file"),
        (qcow2(features=4), "another file"),
        (qcow2()[:50], "cut short"),
        (b"", "empty"),
    ],
)
async def test_a_file_that_is_no_complete_disk_is_refused(
    images: store.ImageStore, server: Server, content: bytes, word: str
) -> None:
    server.content = content
    with pytest.raises(errors.PullFailed, match=word):
        await images.pull(pulling.Request(location=url(server), digest=sha256(content)))
    assert list(images.list()) == []


@pytest.mark.parametrize("announce", [None, 0])
async def test_size_is_bounded_whether_announced_or_not(
    images: store.ImageStore, server: Server, announce: int | None
) -> None:
    server.announce = announce
    request = pulling.Request(location=url(server), digest=sha256(DISK), max_bytes=len(DISK) - 1)
    with pytest.raises(errors.PullFailed, match="larger"):
        await images.pull(request)


async def test_a_cut_connection_fails_the_pull(images: store.ImageStore, server: Server) -> None:
    server.announce = len(DISK) + 1
    with pytest.raises(errors.PullFailed, match=r"ended after|IncompleteRead"):
        await images.pull(pulling.Request(location=url(server), digest=sha256(DISK)))


async def test_no_space(
    images: store.ImageStore, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 30, 1 << 30, 1000))
    with pytest.raises(errors.DiskFull) as caught:
        await images.pull(pulling.Request(location=url(server), digest=sha256(DISK)))
    assert caught.value.details["needed_bytes"] == len(DISK)


async def test_missing_and_unreachable(
    images: store.ImageStore, server: Server, tmp_path: Path
) -> None:
    digest = sha256(b"")
    with pytest.raises(errors.PullFailed, match="404"):
        await images.pull(pulling.Request(location=url(server, "/missing"), digest=digest))
    with pytest.raises(errors.PullFailed):
        await images.pull(pulling.Request(location="http://127.0.0.1:1/x", digest=digest))
    with pytest.raises(errors.NotFound):
        await images.pull(pulling.Request(location=str(tmp_path / "no"), digest=digest))


@pytest.mark.parametrize(
    ("location", "digest"),
    [
        ("x.img", "sha256:12"),
        ("x.img", ""),
        ("x.img", "md5:" + "0" * 32),
        ("ftp://x/y", sha256(b"")),
    ],
)
async def test_requests_are_checked(images: store.ImageStore, location: str, digest: str) -> None:
    with pytest.raises(errors.UsageError):
        await images.pull(pulling.Request(location=location, digest=digest))


async def test_cancelling_ends_the_download(
    images: store.ImageStore, server: Server, tmp_path: Path
) -> None:
    server.held = threading.Event()
    server.announce = len(DISK) * 2
    begun = asyncio.Event()
    request = pulling.Request(location=url(server), digest=sha256(DISK))

    def report(_: progress.Progress) -> None:
        begun.set()

    task = asyncio.create_task(images.pull(request, report))
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not list(tmp_path.rglob("disk*"))
