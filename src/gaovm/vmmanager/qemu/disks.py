"""Disk images: overlays made and grown with ``qemu-img``; headers read without it.

Starting ``qemu-img`` costs 20 ms and more, so what a start needs to know each time (virtual size,
backing file) is read from the qcow2 header directly.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from gaovm import errors
from gaovm.aio import process

_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQ")
MAX_BACKING = 1023
LIMIT_S = 60.0


class Overlay(NamedTuple):
    """What the header says: virtual size in bytes and the backing file, if any."""

    size_bytes: int
    backing: str | None


def read_overlay(path: Path) -> Overlay:
    """The header of a qcow2 file.

    Raises:
        errors.StateCorrupt: it is not qcow2.
        FileNotFoundError: it does not exist.
    """
    with path.open("rb", buffering=0) as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size or head[:4] != _MAGIC:
            raise errors.StateCorrupt(
                f"{path} is not a qcow2 disk", remedy="`gaovm destroy` and `gaovm up` make a new VM"
            )
        _, _, offset, length, _, size = _HEADER.unpack(head)
        backing = None
        if offset and 0 < length <= MAX_BACKING:
            file.seek(offset)
            backing = file.read(length).decode("utf-8", "surrogateescape")
    return Overlay(size, backing)


async def create_overlay(
    qemu_img: str, path: Path, base: Path, base_format: str, size_bytes: int
) -> None:
    """Make a qcow2 overlay at ``path``; it appears whole or not at all.

    Raises:
        errors.DiskFull, errors.HypervisorFailed: qemu-img failed.
    """
    new = path.with_name(path.name + ".new")
    argv = [qemu_img, "create", "-q", "-f", "qcow2", "-F", base_format, "-b", str(base)]
    try:
        await _run([*argv, str(new), str(size_bytes)])
        new.chmod(0o600)
        new.rename(path)
    finally:
        new.unlink(missing_ok=True)


async def grow(qemu_img: str, path: Path, size_bytes: int) -> None:
    """Make the virtual size larger; the content stays.

    Raises:
        errors.DiskFull, errors.HypervisorFailed: qemu-img failed.
    """
    await _run([qemu_img, "resize", "-q", "-f", "qcow2", str(path), str(size_bytes)])


async def _run(argv: list[str]) -> None:
    done = await process.run(argv, timeout_s=LIMIT_S)
    if done.returncode == 0:
        return
    words = done.stderr.decode(errors="replace").strip()[-1000:]
    if "No space left" in words:
        raise errors.DiskFull(f"no space for the VM's disk: {words}")
    raise errors.HypervisorFailed(f"{' '.join(argv[:2])} failed: {words}")
