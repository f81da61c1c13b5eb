"""A URL without a digest keeps that of its first download."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from tests.unit.images.test_pulling import DISK, Handler, Server, url

from gaovm import errors
from gaovm.images import pulling, store
from gaovm.images.transfer import pins


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def server() -> Iterator[Server]:
    """Run a server on a free port."""
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


async def test_a_url_without_a_digest_is_downloaded_once(
    images: store.ImageStore, server: Server
) -> None:
    request = pulling.Request(location=url(server))
    image = await images.pull(request)
    assert image.downloaded == sha256(DISK)
    server.content = b"changed" * 1000
    assert await images.pull(request) == image
    assert server.hits == 1


async def test_a_later_change_is_an_error_that_names_both(
    images: store.ImageStore, server: Server
) -> None:
    request = pulling.Request(location=url(server))
    await images.pull(request)
    await images.prune(())
    server.content = b"changed" * 1000
    with pytest.raises(errors.DigestMismatch, match="has changed") as caught:
        await images.pull(request)
    assert sha256(DISK) in caught.value.message
    assert sha256(server.content) in caught.value.message
    server.content = DISK
    assert (await images.pull(request)).downloaded == sha256(DISK)


async def test_removing_the_image_takes_the_new_file(
    images: store.ImageStore, server: Server
) -> None:
    request = pulling.Request(location=url(server))
    await images.pull(request)
    await images.remove(request.location, ())
    server.content = b"changed" * 1000
    assert (await images.pull(request)).downloaded == sha256(server.content)


async def test_a_pruned_image_can_be_unpinned(images: store.ImageStore, server: Server) -> None:
    request = pulling.Request(location=url(server))
    await images.pull(request)
    await images.prune(())
    await images.remove(request.location, ())
    server.content = b"changed" * 1000
    await images.pull(request)
    with pytest.raises(errors.NotFound):
        await images.remove("http://e.org/never-seen", ())


async def test_a_kernel_is_pinned_too(images: store.ImageStore, server: Server) -> None:
    kernel = pulling.Boot(location=url(server, "/kernel"))
    request = pulling.Request(location=url(server), kernel=kernel)
    image = await images.pull(request)
    assert await images.pull(request) == image
    await images.prune(())
    server.content = b"changed" * 1000
    with pytest.raises(errors.DigestMismatch, match="/kernel has changed"):
        await images.pull(request)


async def test_a_given_digest_pins_nothing(images: store.ImageStore, server: Server) -> None:
    await images.pull(pulling.Request(location=url(server), digest=sha256(DISK)))
    await images.prune(())
    server.content = b"changed" * 1000
    await images.pull(pulling.Request(location=url(server)))


async def test_a_file_of_this_host_may_change(images: store.ImageStore, tmp_path: Path) -> None:
    file = tmp_path / "d.img"
    file.write_bytes(DISK)
    request = pulling.Request(location=str(file))
    first = await images.pull(request)
    assert await images.pull(request) == first
    file.write_bytes(DISK + b"more")
    second = await images.pull(request)
    assert second.disk.read_bytes() == DISK + b"more"


async def test_pins_that_cannot_be_read_stop_a_download(
    images: store.ImageStore, server: Server, tmp_path: Path
) -> None:
    request = pulling.Request(location=url(server))
    await images.pull(request)
    (found,) = tmp_path.rglob(pins.FILE)
    found.write_text("{")
    with pytest.raises(errors.StateCorrupt, match=r"pins\.json cannot be read"):
        await images.pull(request)
