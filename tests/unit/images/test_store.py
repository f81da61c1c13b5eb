"""The image store: it checks what it takes, keeps images in use, and shares one build."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import msgspec
import pytest
from tests.unit.images.conftest import FakeBuilder

from gaovm import errors
from gaovm.images import digests, manifest, progress, store

REQUEST = store.BuildRequest(name="debian:12")


async def test_ensure_builds_once_and_finds_it_again(
    images: store.ImageStore, fake: FakeBuilder
) -> None:
    image = await images.ensure(REQUEST)
    assert image.disk.read_bytes() == fake.disk
    assert image.directory.name == image.digest
    assert image.kernel_path is not None
    assert image.kernel_path is not None
    assert sorted(p.name for p in image.directory.iterdir()) == [
        "disk.raw",
        "manifest.json",
        "modules.cpio",
        "verified.json",
        "vmlinuz",
    ]
    assert os.access(image.disk, os.R_OK)
    assert image.disk.stat().st_mode & 0o222 == 0
    assert await images.ensure(REQUEST) == image
    assert images.find("debian:12", "x86_64", "generic") == image
    assert images.find("debian:12", "x86_64", "cloud") is None
    assert images.get(image.digest) == image
    assert fake.started == 1


async def test_another_home_takes_the_image_from_the_cache(
    images: store.ImageStore, fake: FakeBuilder, tmp_path: Path
) -> None:
    image = await images.ensure(REQUEST)
    other = store.ImageStore(tmp_path / "other", tmp_path / "cache", build=fake)
    again = await other.ensure(REQUEST)
    assert again.digest == image.digest
    assert again.disk != image.disk
    assert fake.started == 1


async def test_a_corrupt_cached_image_is_built_again(
    images: store.ImageStore, fake: FakeBuilder, tmp_path: Path
) -> None:
    image = await images.ensure(REQUEST)
    await images.remove("debian:12", in_use=[])
    cached = tmp_path / "cache" / "images" / image.digest / "disk.raw"
    cached.chmod(0o644)
    cached.write_bytes(b"DISK" * 1000)
    again = await images.ensure(REQUEST)
    assert fake.started == 2
    assert again.disk.read_bytes() == fake.disk


async def test_a_build_replaces_the_cached_image(
    images: store.ImageStore, fake: FakeBuilder, tmp_path: Path
) -> None:
    first = await images.ensure(REQUEST)
    fake.disk = b"newer" * 1000
    second = await images.build(REQUEST)
    assert second.digest != first.digest
    assert {i.digest for i in images.list()} == {first.digest, second.digest}
    cached = [p.name for p in (tmp_path / "cache" / "images").iterdir() if len(p.name) == 64]
    assert cached == [second.digest]


async def test_check_is_cheap_until_a_file_changes(
    images: store.ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await images.ensure(REQUEST)
    read: list[Path] = []
    real = digests.sha256

    def counting(stop: object, path: Path, count: object = None) -> str:
        read.append(path)
        return real(stop, path, count)  # type: ignore[arg-type]

    monkeypatch.setattr(digests, "sha256", counting)
    await images.check(image)
    assert read == []
    os.utime(image.disk, ns=(1, 1))
    await images.check(image)
    assert read == [image.disk]
    await images.check(image)
    assert read == [image.disk]


@pytest.mark.parametrize("same_size", [True, False])
async def test_a_changed_file_is_found_and_named(
    images: store.ImageStore, fake: FakeBuilder, same_size: bool
) -> None:
    image = await images.ensure(REQUEST)
    image.disk.unlink()
    image.disk.write_bytes(b"DISK" * (1000 if same_size else 999))
    with pytest.raises(errors.ImageCorrupt) as caught:
        await images.check(image)
    assert str(image.disk) in caught.value.message
    assert caught.value.remedy is not None
    assert {"expected", "found"} <= set(caught.value.details)
    image.disk.unlink()
    with pytest.raises(errors.ImageCorrupt, match="No such file"):
        await images.check(image)


async def test_a_forged_manifest_is_refused(images: store.ImageStore) -> None:
    image = await images.ensure(REQUEST)
    path = image.directory / manifest.FILE
    content = msgspec.json.decode(path.read_bytes())
    content["identity"]["artefacts"]["disk"]["file"] = "../../../etc/passwd"
    path.chmod(0o644)
    path.write_bytes(msgspec.json.encode(content))
    assert list(images.list()) == []
    with pytest.raises(errors.ImageCorrupt):
        images.get(image.digest)
    assert (await images.remove(image.digest[:12], in_use=[])).freed_bytes >= 0
    assert not image.directory.exists()


async def test_concurrent_ensures_share_one_build(
    images: store.ImageStore, fake: FakeBuilder
) -> None:
    fake.gate = asyncio.Event()
    heard: list[list[progress.Progress]] = [[], []]
    first = asyncio.create_task(images.ensure(REQUEST, heard[0].append))
    await fake.entered.wait()
    second = asyncio.create_task(images.ensure(REQUEST, heard[1].append))
    await asyncio.sleep(0)
    fake.gate.set()
    assert await first == await second
    assert fake.started == 1
    assert [bool(h) for h in heard] == [True, True]
    assert heard[1][0].phase == "index"


async def test_cancelling_one_of_two_callers_keeps_the_build(
    images: store.ImageStore, fake: FakeBuilder
) -> None:
    fake.gate = asyncio.Event()
    tasks = [asyncio.create_task(images.ensure(REQUEST)) for _ in range(2)]
    await fake.entered.wait()
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    fake.gate.set()
    assert (await tasks[1]).digest
    assert fake.finished == 1


async def test_cancelling_all_callers_cancels_the_build_and_leaves_no_files(
    images: store.ImageStore, fake: FakeBuilder, tmp_path: Path
) -> None:
    fake.gate = asyncio.Event()
    tasks = [asyncio.create_task(images.ensure(REQUEST)) for _ in range(2)]
    await fake.entered.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert list(images.list()) == []
    assert not list((tmp_path / "cache").rglob("disk.raw"))
    fake.gate.set()
    assert (await images.ensure(REQUEST)).digest
    assert (fake.started, fake.finished) == (2, 1)


async def test_a_failed_build_leaves_no_files_and_can_be_tried_again(
    images: store.ImageStore, fake: FakeBuilder, tmp_path: Path
) -> None:
    fake.failure = errors.ImageBuildFailed("no")
    with pytest.raises(errors.ImageBuildFailed, match="no"):
        await images.ensure(REQUEST)
    assert not list(tmp_path.rglob("disk.raw"))
    fake.failure = None
    assert (await images.ensure(REQUEST)).digest


async def test_two_processes_make_one_build(
    images: store.ImageStore, fake: FakeBuilder, tmp_path: Path
) -> None:
    """A second store plays the second process: only the lock tells it about the first."""
    other = store.ImageStore(tmp_path / "home", tmp_path / "cache", build=fake)
    fake.gate = asyncio.Event()
    heard: list[progress.Progress] = []
    first = asyncio.create_task(images.ensure(REQUEST))
    await fake.entered.wait()
    waits = asyncio.Event()

    def hear(value: progress.Progress) -> None:
        heard.append(value)
        waits.set()

    second = asyncio.create_task(other.ensure(REQUEST, hear))
    await waits.wait()
    assert heard[0].phase == "wait"
    third = asyncio.create_task(other.ensure(REQUEST))
    await asyncio.sleep(0)
    third.cancel()
    fake.gate.set()
    assert await first == await second
    assert fake.started == 1


async def test_a_cancelled_wait_for_the_lock_frees_it(
    images: store.ImageStore, fake: FakeBuilder, tmp_path: Path
) -> None:
    other = store.ImageStore(tmp_path / "home", tmp_path / "cache", build=fake)
    fake.gate = asyncio.Event()
    first = asyncio.create_task(images.ensure(REQUEST))
    await fake.entered.wait()
    waits = asyncio.Event()
    second = asyncio.create_task(other.ensure(REQUEST, lambda _: waits.set()))
    await waits.wait()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    fake.gate.set()
    await first
    async with asyncio.timeout(60):
        assert (await other.build(REQUEST)).digest


async def test_remove_and_prune_keep_images_in_use(
    images: store.ImageStore, fake: FakeBuilder
) -> None:
    used = await images.ensure(REQUEST)
    fake.disk = b"other" * 1000
    unused = await images.build(REQUEST)
    with pytest.raises(errors.ImageInUse):
        await images.remove("debian:12", in_use={used.digest})
    assert len(images.list()) == 2
    with pytest.raises(errors.NotFound):
        await images.remove("nothing", in_use=())
    pruned = await images.prune({used.digest})
    assert [i.digest for i in pruned.removed] == [unused.digest]
    assert pruned.freed_bytes >= 0
    assert list(images.list()) == [used]
    await images.check(used)


async def test_prune_drops_cached_images_of_old_recipes(
    images: store.ImageStore, tmp_path: Path
) -> None:
    image = await images.ensure(REQUEST)
    cached = tmp_path / "cache" / "images" / image.digest
    content = manifest.load(cached)
    identity = msgspec.structs.replace(content.identity, recipe_key="old")
    old = msgspec.structs.replace(content, identity=identity)
    cached.rename(cached.with_name(old.digest))
    target = cached.with_name(old.digest) / manifest.FILE
    target.unlink()
    target.write_bytes(msgspec.json.encode(old))
    await images.prune({image.digest})
    assert not target.parent.exists()
    assert list(images.list()) == [image]


async def test_a_unique_prefix_of_its_digest_names_an_image(
    images: store.ImageStore, fake: FakeBuilder
) -> None:
    one = await images.ensure(REQUEST)
    fake.disk = b"other" * 1000
    two = await images.build(REQUEST)
    length = next(at for at in range(64) if one.digest[at] != two.digest[at])
    for short in ("", "d" * 64, "sha256:"):
        with pytest.raises(errors.NotFound):
            await images.remove(short, in_use=[])
    if length:
        with pytest.raises(errors.UsageError, match=one.digest[:12]):
            await images.remove(one.digest[:length], in_use=[])
    removed = await images.remove(f"sha256:{one.digest[: length + 1]}", in_use=[])
    assert [image.digest for image in removed.removed] == [one.digest]
    removed = await images.remove("debi", in_use=[])
    assert [image.digest for image in removed.removed] == [two.digest]


async def test_the_cache_is_cleared_but_not_during_a_build(
    images: store.ImageStore, fake: FakeBuilder, tmp_path: Path
) -> None:
    image = await images.ensure(REQUEST)
    cache = tmp_path / "cache"
    for name in ("packages", "agent"):
        (cache / name / "x").mkdir(parents=True)
    fake.entered.clear()
    fake.gate = asyncio.Event()
    building = asyncio.ensure_future(images.build(REQUEST))
    await fake.entered.wait()
    with pytest.raises(errors.StateConflict, match="being made"):
        await images.clear_cache()
    assert (cache / "packages" / "x").exists()
    fake.gate.set()
    await building
    await images.clear_cache()
    assert {path.name for path in cache.rglob("*") if ".lock." not in path.name} == {"images"}
    await images.check(image)


async def test_sweep_removes_only_what_dead_processes_left(
    images: store.ImageStore, tmp_path: Path
) -> None:
    place = tmp_path / "home" / "images"
    place.mkdir(parents=True)
    dead = place / f".tmp.{os.getpid()}.1.abcdef01"
    (dead / "root" / "etc").mkdir(parents=True)
    (dead / "root" / "etc" / "x").write_text("x")
    (place / ".tmp.notours").mkdir()
    start = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    living = place / f".tmp.{os.getpid()}.{start}.abcdef02"
    living.mkdir()
    assert await images.sweep() == 1
    assert not dead.exists()
    assert living.exists()
    living.rmdir()
    (place / ".tmp.notours").rmdir()


async def test_initrd_is_made_once_per_agent(images: store.ImageStore, tmp_path: Path) -> None:
    image = await images.ensure(REQUEST)
    agent = tmp_path / "agent"
    agent.write_bytes(b"\x7fELF one")
    first = await images.initrd(image, agent)
    made = first.stat().st_mtime_ns
    assert first.read_bytes().startswith(b"modules!")
    assert (await images.initrd(image, agent)).stat().st_mtime_ns == made
    agent.write_bytes(b"\x7fELF another")
    second = await images.initrd(image, agent)
    assert second != first
    assert not first.exists()


async def test_close_cancels_the_work(images: store.ImageStore, fake: FakeBuilder) -> None:
    fake.gate = asyncio.Event()
    task = asyncio.create_task(images.ensure(REQUEST))
    await fake.entered.wait()
    await images.close()
    with pytest.raises(errors.Cancelled):  # nobody cancelled the caller itself
        await task
    assert list(images.list()) == []


async def test_a_copy_where_no_link_is_possible_has_the_same_holes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(digests, "_reflink", lambda source, target: False)
    source, target, counts = tmp_path / "source", tmp_path / "target", list[int]()
    with source.open("wb") as file:
        file.write(b"head")
        file.truncate(3 << 20)
    how = await digests.in_thread(digests.bring, source, target, counts.append)
    assert (how, sum(counts)) == ("copy", 3 << 20)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks < 3 << 11  # the zeros take no room
    stop = digests.Stop()
    stop.set()
    with pytest.raises(digests.Stopped):
        digests.bring(stop, source, tmp_path / "other")
