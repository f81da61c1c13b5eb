"""What a VM boots from: the first image that can be had, by its own loader or by our kernel."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.unit.daemon.conftest import Daemon
from tests.unit.images.test_pins import server, sha256
from tests.unit.images.test_pulling import Server, url

from gaovm import errors
from gaovm.daemon import images, paths
from gaovm.daemon.lifecycle.strategies import cold_boot
from gaovm.daemon.vms import machine
from gaovm.spec.disks import Image
from gaovm.wire.control.progress import Progress

__all__ = ["server"]
PARTITIONED = bytes(446) + bytes((0, 0, 0, 0, 0xEF)) + bytes(59) + b"\x55\xaa" + b"data" * 1000


async def prepared(
    daemon: Daemon, *wanted: Image, seen: list[Progress] | None = None, fresh: bool = True
) -> cold_boot.PreparedBoot:
    """Prepare a VM whose file names these images."""
    vm = await machine_of(daemon)
    image = wanted[0]
    if len(wanted) > 1:
        image = msgspec.structs.replace(image, others=wanted[1:])
    vm.update(spec=msgspec.structs.replace(vm.record.spec, image=image))
    real = images.ImageService(daemon.fleet.paths)
    try:
        heard = (lambda _: None) if seen is None else seen.append
        return await real.prepare(vm, heard, fresh_disk=fresh)
    finally:
        await real.close()


async def machine_of(daemon: Daemon) -> machine.Machine:
    """Return the one VM."""
    if "web-dev" not in daemon.fleet.machines:
        await daemon.up()
    return daemon.fleet.machines["web-dev"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep downloads in a cache of the test's own."""
    monkeypatch.setenv("GAOVM_CACHE", str(tmp_path / "cache"))
    return paths.cache_directory()


async def test_a_partitioned_disk_boots_by_its_own_loader(daemon: Daemon, tmp_path: Path) -> None:
    disk = tmp_path / "cloud.img"
    disk.write_bytes(PARTITIONED)
    found = (await prepared(daemon, Image(location=str(disk)))).files
    assert (found.loader, found.kernel, found.initrd) == ("uefi", None, None)
    assert found.loader_reason == "it has an EFI system partition"
    assert found.seed is not None
    seed = Path(found.seed).read_bytes()
    assert b"instance-id: gaovm-web-dev-" in seed
    assert images.agent_program("x86_64").read_bytes()[:4096] in seed


async def test_uefi_variables_of_a_disk_that_begins_anew_go(daemon: Daemon, tmp_path: Path) -> None:
    disk = tmp_path / "cloud.img"
    disk.write_bytes(PARTITIONED)
    variables = daemon.fleet.paths.vm_dir("web-dev") / "uefi-variables.fd"
    await machine_of(daemon)
    variables.parent.mkdir(parents=True, exist_ok=True)
    variables.write_bytes(b"old")
    await prepared(daemon, Image(location=str(disk)))
    assert not variables.exists()


async def test_the_next_image_is_taken_when_one_cannot_be_had(
    daemon: Daemon, server: Server, tmp_path: Path
) -> None:
    server.content = PARTITIONED
    seen: list[Progress] = []
    wanted = (
        Image(location=url(server, "/missing")),
        Image(location=str(tmp_path / "nowhere")),
        Image(location=url(server)),
    )
    found = await prepared(daemon, *wanted, seen=seen)
    assert found.image.name == url(server)
    told = [each.message for each in seen if "trying the next image" in each.message]
    assert len(told) == 2 and "404" in told[0]


async def test_a_wrong_digest_takes_no_other_image(daemon: Daemon, server: Server) -> None:
    server.content = PARTITIONED
    wrong = Image(location=url(server), digest=sha256(b"other"))
    with pytest.raises(errors.DigestMismatch):
        await prepared(daemon, wrong, Image(location=url(server, "/other")))


async def test_the_last_failure_is_told(daemon: Daemon, server: Server) -> None:
    missing = (Image(location=url(server, "/missing")), Image(location=url(server, "/missing")))
    with pytest.raises(errors.PullFailed, match="404"):
        await prepared(daemon, *missing)


async def test_a_vm_keeps_the_digest_of_its_first_start(
    daemon: Daemon, server: Server, tmp_path: Path
) -> None:
    server.content = PARTITIONED
    image = Image(location=url(server))
    first = await prepared(daemon, image)
    assert first.image.downloaded == sha256(PARTITIONED)
    # all that the store knew is lost; the VM's own record is not
    for path in sorted((daemon.fleet.paths.home / "images").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    server.content = PARTITIONED + b"changed"
    with pytest.raises(errors.DigestMismatch, match="has changed") as caught:
        await prepared(daemon, image)
    assert sha256(PARTITIONED) in caught.value.message
    assert sha256(server.content) in caught.value.message
