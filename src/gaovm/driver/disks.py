"""The VM's disk before a start: there, large enough, never smaller than before."""

from __future__ import annotations

from pathlib import Path

from gaovm import errors
from gaovm.aio import steps
from gaovm.driver.request import LaunchRequest
from gaovm.vmmanager.qemu import disks

GIB = 1 << 30


@steps.step
async def prepare(request: LaunchRequest, qemu_img: str | None) -> None:
    """Make the overlay if it is missing, grow it if the spec is larger. Idempotent.

    Raises:
        errors.ImageCorrupt: the image's file, or the one the overlay refers to, is missing.
        errors.DiskShrink: the spec is smaller than the disk or the image.
        errors.ProgramMissing: ``qemu-img`` is needed and not installed.
        errors.DiskFull, errors.HypervisorFailed: ``qemu-img`` failed.
    """
    path, wanted = request.disk, request.spec.disk.size_bytes
    base = Path(request.artefacts.disk)
    try:
        overlay = disks.read_overlay(path)
    except FileNotFoundError:
        await _create(request, base, _program(qemu_img))
        return
    if overlay.backing is not None and not Path(overlay.backing).is_file():
        raise errors.ImageCorrupt(
            f"the VM's disk is based on {overlay.backing}, which is missing",
            remedy="bring the file back, or `gaovm destroy` and `gaovm up` to begin anew",
        )
    if wanted < overlay.size_bytes:
        raise _shrink(wanted, overlay.size_bytes, "the disk has")
    if wanted > overlay.size_bytes:
        await disks.grow(_program(qemu_img), path, wanted)


@steps.step
async def _create(request: LaunchRequest, base: Path, qemu_img: str) -> None:
    wanted, kind = request.spec.disk.size_bytes, request.artefacts.disk_format
    try:
        size = disks.read_overlay(base).size_bytes if kind == "qcow2" else base.stat().st_size
    except FileNotFoundError as exc:
        raise errors.ImageCorrupt(
            f"the image's disk {base} is missing", remedy="`gaovm image build` makes it again"
        ) from exc
    if wanted < size:
        raise _shrink(wanted, size, "the image has")
    await disks.create_overlay(qemu_img, request.disk, base, kind, wanted)


def _shrink(wanted: int, size: int, who: str) -> errors.DiskShrink:
    return errors.DiskShrink(
        f"disk: {wanted / GIB:g} GiB is less than the {size / GIB:g} GiB that {who}",
        field="disk",
        remedy=f"set disk to {-(-size // GIB)}GiB or more",
    )


def _program(qemu_img: str | None) -> str:
    if qemu_img is None:
        raise errors.ProgramMissing(
            "qemu-img is not installed",
            remedy="apt-get install qemu-utils",
            details={"program": "qemu-img"},
        )
    return qemu_img
