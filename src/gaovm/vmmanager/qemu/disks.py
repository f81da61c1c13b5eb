"""The VM's disk: it exists before a start, is large enough, and never shrinks.

Beside it are the variables of a VM that boots by UEFI, which the firmware writes.
"""

from __future__ import annotations

from pathlib import Path

from gaovm import errors
from gaovm.aio import files, steps
from gaovm.builder import packages
from gaovm.vmmanager.qemu import overlay
from gaovm.wire.driver.launch import LaunchRequest

TOOL = "qemu-img"
GIB = 1 << 30
_MAX_VARIABLES = 64 << 20


@steps.step
async def prepare(request: LaunchRequest, tool: str | None) -> None:
    """Make the overlay if it is missing; grow it if the spec asks for more. Idempotent.

    Raises:
        errors.ImageCorrupt: the image's file, or the file that the overlay refers to, is missing.
        errors.DiskShrink: the spec asks for less than the disk or the image has.
        errors.ProgramMissing: the disk has to grow, and ``qemu-img`` is not installed.
        errors.DiskFull, errors.HypervisorFailed: ``qemu-img`` failed.
    """
    _check_additional(request)
    path, wanted = Path(request.disk), request.spec.disk.size_bytes
    base = Path(request.artefacts.disk)
    try:
        found = overlay.read_overlay(path)
    except FileNotFoundError:
        _create(request, base)
        return
    if found.backing is not None and not Path(found.backing).is_file():
        raise errors.ImageCorrupt(
            f"the VM's disk is based on {found.backing}, which is missing",
            remedy="restore that file, or make the VM again without its data",
            actions=overlay.ANEW,
        )
    if wanted < found.size_bytes:
        raise _shrink(wanted, found.size_bytes, "the disk has")
    if wanted > found.size_bytes:
        if found.backing not in (None, str(base)):
            # qemu-img would open the file that the header names with our rights; do not trust it
            raise errors.StateCorrupt(
                f"the VM's disk refers to {found.backing} instead of its image {base}",
                actions=overlay.ANEW,
            )
        await overlay.grow(_program(tool), path, wanted)


def _check_additional(request: LaunchRequest) -> None:
    """Check that no additional disk names another file, whatever has written to it meanwhile.

    Raises:
        errors.StateCorrupt: one does, or is no longer qcow2.
    """
    for disk in request.additional_disks:
        if disk.format == "qcow2":
            overlay.check_alone(Path(disk.path))


@steps.step
def prepare_variables(variables: str, template: str) -> None:
    """Make the UEFI variables of a VM that has none, as the firmware's package delivers them.

    A file of another size is that of another firmware, which could not read it: a new one takes its
    place. The firmware finds the image's boot loader without variables too.

    Raises:
        errors.DiskFull, errors.HostError: the file cannot be written, or the template not read.
    """
    path = Path(variables)
    with files.open_regular(template) as file:
        content = file.read(_MAX_VARIABLES + 1)
    if len(content) > _MAX_VARIABLES:
        raise errors.HostError(f"{template} is too large for UEFI variables")
    if path.is_file() and path.stat().st_size == len(content):
        return
    files.write_atomic(path, content)


def check_growth(path: Path, size_bytes: int) -> bool:
    """Whether a disk has to grow to have this size.

    Raises:
        errors.DiskShrink: the disk is larger.
    """
    now = overlay.read_overlay(path).size_bytes
    if size_bytes < now:
        raise _shrink(size_bytes, now, "the disk has")
    return size_bytes > now


@steps.step
def _create(request: LaunchRequest, base: Path) -> None:
    wanted, kind = request.spec.disk.size_bytes, request.artefacts.disk_format
    try:
        size = overlay.read_overlay(base).size_bytes if kind == "qcow2" else base.stat().st_size
    except FileNotFoundError as exc:
        raise errors.ImageCorrupt(
            f"the image's disk {base} is missing",
            remedy="build or pull the image again",
            actions=(errors.Action("build_image", image=request.spec.image.location),),
        ) from exc
    if wanted < size:
        raise _shrink(wanted, size, "the image has")
    overlay.create_overlay(Path(request.disk), base, kind, wanted)


def _shrink(wanted: int, size: int, who: str) -> errors.DiskShrink:
    return errors.DiskShrink(
        f"disk: {wanted / GIB:g} GiB is less than the {size / GIB:g} GiB that {who}; "
        "shrinking is currently unavailable",
        field="disk",
        remedy=f"set disk to {-(-size // GIB)}GiB or more",
    )


def _program(tool: str | None) -> str:
    if tool is None:
        raise packages.missing(TOOL)
    return tool
