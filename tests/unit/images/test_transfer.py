"""Downloads go on where they were cut, use proxies, and unpack within bounds."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import hashlib
import http.server
import lzma
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backports import zstd

from gaovm import errors
from gaovm.images import progress, pulling, store
from gaovm.images.transfer import http as transfer
from gaovm.images.transfer import partial

DISK = random.Random(1).randbytes(400_000)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content`` with Range; each answer is cut after ``cut`` bytes, if that is set."""

    daemon_threads = True
    content = DISK
    tag: str | None = '"1"'
    cut: int | None = None
    wrong_range = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/disk.img"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves a part when the version is the one that ``If-Range`` names."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append((self.path, wanted))
        start = 0
        if wanted is not None and self.headers.get("If-Range") == server.tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(server.content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if server.tag is not None:
            self.send_header("ETag", server.tag)
        body = server.content[start:]
        if start:
            first = 0 if server.wrong_range else start
            total = len(server.content)
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[: server.cut])

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Run a server on a free port; tries follow each other without a pause."""
    monkeypatch.setattr(transfer, "_PAUSES_S", (0.0, 0.0))
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def left(tmp_path: Path) -> list[str]:
    """Return what is kept of downloads."""
    return sorted(path.suffix for path in tmp_path.rglob(f"{partial.FOLDER}/*"))


async def test_a_cut_download_goes_on_where_it_ended(
    images: store.ImageStore, server: Server
) -> None:
    server.cut = len(DISK) // 3 + 1
    image = await images.pull(pulling.Request(location=server.url, digest=sha256(DISK)))
    assert image.disk.read_bytes() == DISK
    assert [part for _, part in server.asked] == [
        None,
        f"bytes={server.cut}-",
        f"bytes={2 * server.cut}-",
    ]


async def test_the_next_pull_goes_on_too(
    images: store.ImageStore, server: Server, tmp_path: Path
) -> None:
    server.cut = 0
    server.content = DISK
    request = pulling.Request(location=server.url, digest=sha256(DISK))
    with pytest.raises(errors.PullFailed):
        await images.pull(request)
    server.cut = 1000

    def stopping(_: progress.Progress) -> None:
        if len(server.asked) > 3:
            server.content = b""  # from now on the server has nothing

    with pytest.raises(errors.PullFailed):
        await images.pull(request, stopping)
    assert ".part" in left(tmp_path) and ".json" in left(tmp_path)
    server.content, server.cut = DISK, None
    server.asked.clear()
    heard: list[progress.Progress] = []
    image = await images.pull(request, heard.append)
    assert image.disk.read_bytes() == DISK
    ((_, asked),) = server.asked
    assert asked is not None and asked != "bytes=0-"
    assert heard[-1].done_bytes == len(DISK)
    assert ".part" not in left(tmp_path)


async def test_a_changed_file_begins_again(images: store.ImageStore, server: Server) -> None:
    server.cut = 1000
    old = server.content

    def change(_: progress.Progress) -> None:
        server.tag, server.content, server.cut = '"2"', old[::-1], None

    request = pulling.Request(location=server.url, digest=sha256(old[::-1]))
    image = await images.pull(request, change)
    assert image.disk.read_bytes() == old[::-1]


async def test_a_file_without_a_version_is_not_kept(
    images: store.ImageStore, server: Server, tmp_path: Path
) -> None:
    server.tag, server.cut = None, 1000
    with pytest.raises(errors.PullFailed, match="ended after 1000 of"):
        await images.pull(pulling.Request(location=server.url, digest=sha256(DISK)))
    assert left(tmp_path) == [".lock"]


async def test_a_part_from_elsewhere_is_refused(images: store.ImageStore, server: Server) -> None:
    server.cut, server.wrong_range = 1000, True
    with pytest.raises(errors.PullFailed, match="another part"):
        await images.pull(pulling.Request(location=server.url, digest=sha256(DISK)))


async def test_a_server_without_progress_is_given_up(
    images: store.ImageStore, server: Server
) -> None:
    server.cut = 1000

    def empty(_: progress.Progress) -> None:
        server.cut = 0

    with pytest.raises(errors.PullFailed):
        await images.pull(pulling.Request(location=server.url, digest=sha256(DISK)), empty)
    assert len(server.asked) < 6


async def test_more_than_there_is_begins_again(
    images: store.ImageStore, server: Server, tmp_path: Path
) -> None:
    with partial.opened(tmp_path / "cache" / partial.FOLDER, server.url) as kept:
        kept.begin('"1"')
        kept.path.write_bytes(DISK + b"more")
    request = pulling.Request(location=server.url, digest=sha256(DISK))
    assert (await images.pull(request)).disk.read_bytes() == DISK
    assert [part for _, part in server.asked] == [f"bytes={len(DISK) + 4}-", None]


async def test_two_downloads_of_one_file_do_not_mix(
    images: store.ImageStore, server: Server, tmp_path: Path
) -> None:
    with partial.opened(tmp_path / "cache" / partial.FOLDER, server.url) as kept:
        kept.begin('"1"')
        kept.path.write_bytes(b"of another process")
        request = pulling.Request(location=server.url, digest=sha256(DISK))
        assert (await images.pull(request)).disk.read_bytes() == DISK
        assert kept.path.read_bytes() == b"of another process"


async def test_the_environment_names_a_proxy(
    images: store.ImageStore, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/disk.img"))
    monkeypatch.delenv("no_proxy", raising=False)
    location = "http://images.invalid/x.img"
    await images.pull(pulling.Request(location=location, digest=sha256(DISK)))
    assert server.asked == [(location, None)]
    monkeypatch.setenv("no_proxy", "images.invalid")
    with pytest.raises(errors.PullFailed):
        request = pulling.Request(location=location + "2", digest=sha256(DISK))
        await images.pull(request)
    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", PACKERS)
async def test_compressed_disks_are_unpacked(
    images: store.ImageStore, server: Server, kind: str
) -> None:
    data = DISK + bytes(5 << 20) + b"end"
    server.content = PACKERS[kind](data)
    request = pulling.Request(location=server.url, digest=sha256(server.content))
    image = await images.pull(request)
    assert image.disk.read_bytes() == data
    assert image.disk.stat().st_blocks * 512 < len(data)  # zeros are holes
    assert image.downloaded == request.digest
    assert await images.pull(request) == image
    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", PACKERS)
async def test_what_unpacks_to_too_much_is_refused(
    images: store.ImageStore, server: Server, kind: str
) -> None:
    server.content = PACKERS[kind](bytes(16 << 20))
    request = pulling.Request(location=server.url, digest=sha256(server.content), max_bytes=8 << 20)
    with pytest.raises(errors.PullFailed, match="unpacked, the file is larger"):
        await images.pull(request)
    assert list(images.list()) == []


@pytest.mark.parametrize("kind", PACKERS)
async def test_a_damaged_archive_is_refused(
    images: store.ImageStore, server: Server, kind: str
) -> None:
    packed = PACKERS[kind](DISK)
    for content in (packed[:-100], packed[:50] + b"\xff" * 50 + packed[100:]):
        server.content = content
        with pytest.raises(errors.PullFailed, match="damaged"):
            await images.pull(pulling.Request(location=server.url, digest=sha256(content)))


@pytest.mark.parametrize("kind", PACKERS)
async def test_several_streams_are_one_file(
    images: store.ImageStore, server: Server, kind: str
) -> None:
    server.content = PACKERS[kind](DISK) + PACKERS[kind](b"more")
    image = await images.pull(pulling.Request(location=server.url, digest=sha256(server.content)))
    assert image.disk.read_bytes() == DISK + b"more"


async def test_an_archive_of_an_archive_is_refused(
    images: store.ImageStore, server: Server
) -> None:
    server.content = gzip.compress(gzip.compress(DISK))
    with pytest.raises(errors.PullFailed, match="compressed twice"):
        await images.pull(pulling.Request(location=server.url, digest=sha256(server.content)))


async def test_a_decompressor_that_wants_gigabytes_is_refused(
    images: store.ImageStore, server: Server
) -> None:
    options = {int(zstd.CompressionParameter.window_log): 30}
    packer = zstd.ZstdCompressor(options=options)
    server.content = packer.compress(b"x" * 1000) + packer.flush()
    with pytest.raises(errors.PullFailed, match="damaged: zstd"):
        await images.pull(pulling.Request(location=server.url, digest=sha256(server.content)))


async def test_cancelling_keeps_what_can_go_on(
    images: store.ImageStore, server: Server, tmp_path: Path
) -> None:
    begun = asyncio.Event()
    server.content = DISK * 100
    request = pulling.Request(location=server.url, digest=sha256(server.content))
    task = asyncio.create_task(images.pull(request, lambda _: begun.set()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left(tmp_path) in ([".json", ".lock", ".part"], [".lock"])
    assert (await images.pull(request)).disk.read_bytes() == server.content


def test_versions() -> None:
    from email.message import Message

    def version(**headers: str) -> str | None:
        message = Message()
        for name, value in headers.items():
            message[name.replace("_", "-")] = value
        return partial.version_of(message)

    assert version(ETag='"a"', Last_Modified="Mon") == '"a"'
    assert version(ETag='W/"a"', Last_Modified="Mon") == "Mon"
    assert version(ETag='W/"a"') is None
    assert version() is None
