"""Prepare what a VM boots from, and answer ``image.*``, with the image store.

The daemon loads the store at its first use: a daemon that only answers questions does not pay for
it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.resources
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gaovm import errors
from gaovm.aio import steps
from gaovm.daemon import operations, paths, timestamps
from gaovm.daemon.lifecycle.strategies import cold_boot
from gaovm.daemon.storage import records
from gaovm.daemon.vms import machine
from gaovm.hostfacts import boot_files, facts
from gaovm.spec import disks
from gaovm.wire.control import images as wire
from gaovm.wire.control.progress import Progress
from gaovm.wire.driver import launch

if TYPE_CHECKING:
    from gaovm.images import manifest, progress, pulling, store

logger = logging.getLogger(__name__)
_GO_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


class ImageService:
    """Implements ``cold_boot.Preparer`` and ``context.Images`` over one ``ImageStore``."""

    def __init__(self, where: paths.Paths) -> None:
        self._paths = where
        self._opened: store.ImageStore | None = None
        self._preparing: set[str] = set()

    async def prepare(
        self, vm: machine.Machine, progress: operations.Listener, *, fresh_disk: bool
    ) -> cold_boot.PreparedBoot:
        """Check the image, make the initramfs, and remove the disk of a VM that never ran.

        Raises:
            errors.StateCorrupt: the disk of a VM that ran is gone; an empty one in its place would
                hide that.
        """
        vm_dir = self._paths.vm_dir(vm.name)
        vm_dir.mkdir(mode=0o700, exist_ok=True)
        disk = vm_dir / "disk.qcow2"
        if fresh_disk:
            disk.unlink(missing_ok=True)
            disk.with_name(boot_files.VARIABLES).unlink(missing_ok=True)
        elif not disk.exists():
            raise errors.StateCorrupt(
                f"the disk of VM {vm.name} is gone: {disk}",
                remedy="restore that file, or make the VM again without its data",
                actions=(errors.Action("destroy_vm", name=vm.name), errors.Action("make_vm")),
            )
        self._preparing.add(vm.name)
        try:
            image = await self._image(vm, progress, kept=not fresh_disk)
            reference = records.ImageRef(
                name=image.name,
                digest=image.digest,
                kernel=image.kernel or "",
                downloaded=image.downloaded or "",
            )
            # From here on prune sees that the image is in use.
            await vm.update(image=reference)
        finally:
            self._preparing.discard(vm.name)
        await self._store().check(image)
        # The first call runs code in the accelerator, which takes seconds if that hangs.
        host = await asyncio.to_thread(facts.collect, self._paths.home)
        return cold_boot.PreparedBoot(
            image=reference,
            files=await self._files(vm, image),
            facts=host,
        )

    @steps.step
    async def _image(
        self, vm: machine.Machine, progress: operations.Listener, *, kept: bool
    ) -> manifest.ImageInfo:
        known = vm.record.image
        if kept and known is not None:
            return self._store().get(known.digest)
        wanted = vm.record.spec.image.choices
        for at, image in enumerate(wanted):
            try:
                return await self._obtain(vm, image, progress)
            except (errors.PullFailed, errors.NotFound) as exc:
                if at + 1 == len(wanted):
                    raise
                following = wanted[at + 1].location
                message = f"{exc.message}; trying the next image, {following}"
                logger.warning("VM %s: %s", vm.name, message)
                progress(Progress(phase="image", message=message))
        raise errors.InternalError(f"VM {vm.name} has no image")

    async def _obtain(
        self, vm: machine.Machine, image: disks.Image, progress: operations.Listener
    ) -> manifest.ImageInfo:
        """Build one image, or bring it in."""
        boot, known = vm.record.spec.boot, vm.record.image
        if not _is_location(image.location):
            return await self._ensure(image.location, boot.arch, boot.kernel, progress)
        request = _pull_request(image, boot.arch)
        if request.digest is None and known is not None and known.name == image.location:
            request = dataclasses.replace(request, digest=known.downloaded or None, pinned=True)
        return await self._store().pull(request, _relay(progress))

    async def _ensure(
        self, name: str, arch: str, kernel: str, progress: operations.Listener
    ) -> manifest.ImageInfo:
        from gaovm.images import store

        request = store.BuildRequest(name=name, arch=arch, kernel=kernel)
        return await self._store().ensure(request, _relay(progress))

    @steps.step
    async def _files(self, vm: machine.Machine, image: manifest.ImageInfo) -> launch.Image:
        arch = vm.record.spec.boot.arch
        booted = image
        if image.kernel_path is None:
            found = await asyncio.to_thread(boot_files.disk_loader, image.disk, image.disk_format)
            if found.loader != "kernel":
                return launch.Image(
                    disk=str(image.disk),
                    disk_format=image.disk_format,
                    loader=found.loader,
                    loader_reason=found.reason,
                    seed=await self._seed(vm, image),
                    image_digest=image.digest,
                )
            # A file system without a kernel boots with the one of our own image.
            booted = await self._ensure(
                "debian:12", arch, vm.record.spec.boot.kernel, lambda _: None
            )
        initrd = await self._store().initrd(booted, agent_program(arch))
        return launch.Image(
            disk=str(image.disk),
            disk_format=image.disk_format,
            kernel=str(booted.kernel_path),
            initrd=str(initrd),
            # A distribution's own initramfs knows nothing of the agent.
            seed=await self._seed(vm, image) if image.initrd_path is not None else None,
            image_digest=image.digest,
        )

    async def _seed(self, vm: machine.Machine, image: manifest.ImageInfo) -> str:
        """Write the seed of a VM and return its path."""
        from gaovm.images.seed import writing

        path = self._paths.vm_dir(vm.name) / boot_files.SEED
        agent = agent_program(vm.record.spec.boot.arch)
        # A clone has another name: cloud-init makes new host keys and the like for it.
        instance = f"gaovm-{vm.name}-{image.digest[:12]}"
        await asyncio.to_thread(writing.write, path, vm.record.spec, agent, instance)
        return str(path)

    async def all(self) -> list[wire.ImageInfo]:
        """Every image, newest first."""
        return [_image_data(image) for image in self._store().list()]

    async def build(self, wanted: wire.Build, progress: operations.Listener) -> wire.ImageInfo:
        """Build, or with ``force`` build again."""
        from gaovm.images import store

        request = store.BuildRequest(
            name=wanted.name,
            arch=wanted.arch or os.uname().machine,
            kernel=wanted.kernel or "generic",
            mirror=wanted.mirror,
        )
        make = self._store().build if wanted.force else self._store().ensure
        return _image_data(await make(request, _relay(progress)))

    async def pull(
        self, location: str, digest: str | None, progress: operations.Listener
    ) -> wire.ImageInfo:
        """Fetch by location; without a digest it must be that of the first download."""
        image = disks.Image(location=location, digest=digest)
        request = _pull_request(image, os.uname().machine)
        return _image_data(await self._store().pull(request, _relay(progress)))

    async def remove(self, ref: str, used: dict[str, list[str]]) -> wire.Pruned:
        """Remove by name or digest."""
        self._refuse_while_preparing()
        try:
            pruned = await self._store().remove(ref, used)
        except errors.ImageInUse as exc:
            digests = exc.details.get("digests", ())
            users = sorted({name for digest in digests for name in used.get(digest, ())})
            exc.details["used_by"] = users
            if users:
                exc.message += f": {', '.join(users)}"
                exc.remedy = None
                exc.actions = (errors.Action("destroy_vm", name=users[0]),)
            raise
        return _pruned(pruned)

    async def prune(self, used: dict[str, list[str]]) -> wire.Pruned:
        """Remove what no VM uses."""
        self._refuse_while_preparing()
        return _pruned(await self._store().prune(used))

    async def clear_cache(self) -> int:
        """Remove what can be made again; returns the bytes freed."""
        self._refuse_while_preparing()
        return await self._store().clear_cache()

    async def sweep(self) -> None:
        """Remove what dead builds and pulls left."""
        await self._store().sweep()

    async def close(self) -> None:
        """End all running work."""
        if self._opened is not None:
            await self._opened.close()

    def _store(self) -> store.ImageStore:
        if self._opened is None:
            from gaovm.images import store

            self._opened = store.ImageStore(self._paths.home, paths.cache_directory())
        return self._opened

    def _refuse_while_preparing(self) -> None:
        # It is not known yet which image a VM that is being made will use.
        if self._preparing:
            names = ", ".join(sorted(self._preparing))
            raise errors.StateConflict(
                f"an image is being prepared for {names}", remedy="try again when it is up"
            )


def agent_program(arch: str) -> Path:
    """Find the guest agent's program for an architecture in this package.

    Raises:
        errors.ProgramMissing: the package has none.
    """
    folder = importlib.resources.files("gaovm.images") / "agent"
    path = Path(str(folder)) / f"gaovm-agent-linux-{_GO_ARCH[arch]}"
    if not path.is_file():
        raise errors.ProgramMissing(
            f"the guest agent for {arch} is missing: {path}",
            remedy="install GaoVM again: ./scripts/setup",
        )
    return path


def _is_location(text: str) -> bool:
    return "/" in text


def _pull_request(image: disks.Image, arch: str) -> pulling.Request:
    from gaovm.images import pulling

    return pulling.Request(
        location=image.location,
        digest=image.digest,
        arch=arch,
        kernel=_boot(image.kernel),
        initrd=_boot(image.initrd),
    )


def _boot(file: disks.ImageFile | None) -> pulling.Boot | None:
    from gaovm.images import pulling

    if file is None:
        return None
    return pulling.Boot(location=file.location, digest=file.digest)


def _relay(listener: operations.Listener) -> Callable[[progress.Progress], None]:
    def relay(moment: progress.Progress) -> None:
        told = Progress(
            phase=moment.phase,
            message=moment.message,
            percent=moment.percent,
            done_bytes=moment.done_bytes,
            total_bytes=moment.total_bytes,
            rate_bytes_s=moment.rate_bytes_s,
            eta_s=moment.eta_s,
        )
        listener(told)

    return relay


def _image_data(image: manifest.ImageInfo) -> wire.ImageInfo:
    return wire.ImageInfo(
        name=image.name,
        arch=image.arch,
        kernel=image.kernel,
        digest=image.digest,
        size_bytes=image.size_bytes,
        created_at=timestamps.of(image.created),
    )


def _pruned(pruned: store.Pruned) -> wire.Pruned:
    removed = tuple(map(_image_data, pruned.removed))
    return wire.Pruned(removed=removed, freed_bytes=pruned.freed_bytes)
