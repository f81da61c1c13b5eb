"""The VM's disk: there before a start, large enough, growing while it is used, never smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gaovm import errors
from gaovm.aio import steps
from gaovm.builder import packages
from gaovm.guestmanager import disks as guest_disks
from gaovm.guestmanager.connection import Connection
from gaovm.vmmanager.qemu import disks
from gaovm.wire.driver.launch import LaunchRequest

GIB = 1 << 30


@steps.step
async def prepare(request: LaunchRequest, qemu_img: str | None) -> None:
    """Make the overlay if it is missing, grow it if the spec is larger. Idempotent.

    Raises:
        errors.ImageCorrupt: the image's file, or the one the overlay refers to, is missing.
        errors.DiskShrink: the spec is smaller than the disk or the image.
        errors.ProgramMissing: the disk has to grow, and ``qemu-img`` is not installed.
        errors.DiskFull, errors.HypervisorFailed: ``qemu-img`` failed.
    """
    path, wanted = Path(request.disk), request.spec.disk.size_bytes
    base = Path(request.artefacts.disk)
    try:
        overlay = disks.read_overlay(path)
    except FileNotFoundError:
        _create(request, base)
        return
    if overlay.backing is not None and not Path(overlay.backing).is_file():
        raise errors.ImageCorrupt(
            f"the VM's disk is based on {overlay.backing}, which is missing",
            remedy="bring the file back, or begin anew",
            actions=disks.ANEW,
        )
    if wanted < overlay.size_bytes:
        raise _shrink(wanted, overlay.size_bytes, "the disk has")
    if wanted > overlay.size_bytes:
        if overlay.backing not in (None, str(base)):
            # the tool, with our rights, would open what the header names; it may not be our word
            raise errors.StateCorrupt(
                f"the VM's disk refers to {overlay.backing}, and not to its image {base}",
                actions=disks.ANEW,
            )
        await disks.grow(_program(qemu_img), path, wanted)


class Resizer(Protocol):
    """A hypervisor that can give the disk it uses another size."""

    async def resize_disk(self, size_bytes: int) -> None:
        """Resize the root disk."""
        ...


@steps.step
async def grow_live(
    path: Path, hypervisor: Resizer, connection: Connection, size_bytes: int
) -> str | None:
    """Grow the disk of a VM that runs, then the guest's file system on it. May be repeated.

    Returns why the file system did not grow, or None: the disk has its size in either case, and a
    file system that is smaller grows at the next boot.

    Raises:
        errors.DiskShrink: the disk is larger than that.
        errors.HypervisorFailed: the disk could not be resized; nothing changed.
    """
    now = disks.read_overlay(path).size_bytes
    if size_bytes < now:
        raise _shrink(size_bytes, now, "the disk has")
    if size_bytes > now:
        await hypervisor.resize_disk(size_bytes)
    try:
        await guest_disks.grow(connection, size_bytes)
    except errors.GaoError as exc:
        return exc.message
    return None


@steps.step
def _create(request: LaunchRequest, base: Path) -> None:
    wanted, kind = request.spec.disk.size_bytes, request.artefacts.disk_format
    try:
        size = disks.read_overlay(base).size_bytes if kind == "qcow2" else base.stat().st_size
    except FileNotFoundError as exc:
        raise errors.ImageCorrupt(
            f"the image's disk {base} is missing",
            remedy="build or pull the image again",
            actions=(errors.Action("build_image", image=request.spec.image.location),),
        ) from exc
    if wanted < size:
        raise _shrink(wanted, size, "the image has")
    disks.create_overlay(Path(request.disk), base, kind, wanted)


def _shrink(wanted: int, size: int, who: str) -> errors.DiskShrink:
    return errors.DiskShrink(
        f"disk: {wanted / GIB:g} GiB is less than the {size / GIB:g} GiB that {who}",
        field="disk",
        remedy=f"set disk to {-(-size // GIB)}GiB or more",
    )


def _program(qemu_img: str | None) -> str:
    if qemu_img is None:
        raise packages.missing("qemu-img")
    return qemu_img
