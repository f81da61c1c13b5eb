"""Disk images: make overlays and read their headers without a program; ``qemu-img`` grows them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from gaovm import errors
from gaovm.aio import commands, files
from gaovm.builder import qcow2

#: The user's actions after the loss of a disk: make the VM again.
ANEW = (errors.Action("destroy_vm"), errors.Action("make_vm"))
LIMIT_S = 60.0


class Overlay(NamedTuple):
    """The contents of the header: the virtual size in bytes and the backing file, if any."""

    size_bytes: int
    backing: str | None


def read_overlay(path: Path) -> Overlay:
    """Read the header of a qcow2 file.

    Raises:
        errors.StateCorrupt: the file is not qcow2.
        FileNotFoundError: the file does not exist.
    """
    with path.open("rb", buffering=0) as file:
        header = qcow2.parse(file.read(qcow2.HEADER_BYTES))
        if header is None:
            raise errors.StateCorrupt(f"{path} is not a qcow2 disk", actions=ANEW)
        if header.features & ~qcow2.MENDABLE:
            raise errors.StateCorrupt(
                f"{path} has features that no disk of GaoVM's has: its header was changed",
                actions=ANEW,
            )
        backing = None
        if header.backing_at and 0 < header.backing_bytes <= qcow2.MAX_BACKING:
            file.seek(header.backing_at)
            backing = file.read(header.backing_bytes).decode("utf-8", "surrogateescape")
    return Overlay(header.size_bytes, backing)


def check_alone(path: Path) -> None:
    """Check that a qcow2 file needs no other file.

    Raises:
        errors.StateCorrupt: it is no qcow2 file, or names another one.
        FileNotFoundError: the file does not exist.
    """
    with path.open("rb", buffering=0) as file:
        header = qcow2.parse(file.read(qcow2.HEADER_BYTES))
    if header is None or header.names_other_files:
        raise errors.StateCorrupt(
            f"{path} is no qcow2 disk, or refers to another file: its header was changed"
        )


def create_overlay(path: Path, base: Path, base_format: str, size_bytes: int) -> None:
    """Make a qcow2 overlay at ``path``; it appears whole and durable, or not at all.

    Raises:
        errors.StateConflict: something exists at ``path``.
        errors.DiskFull, errors.HostError: the overlay cannot be written, or the path of ``base``
            is longer than the format allows.
    """
    backing = os.fsencode(base)
    if len(backing) > qcow2.MAX_BACKING:
        raise errors.HostError(
            f"the path of the image is {len(backing)} bytes long; "
            f"a disk can refer to {qcow2.MAX_BACKING}"
        )
    made = qcow2.new(size_bytes, backing=backing, backing_format=base_format)
    files.create_atomic(path, made.head, size_bytes=made.file_bytes)


async def grow(tool: str, path: Path, size_bytes: int) -> None:
    """Make the virtual size larger; the content stays as it is.

    Raises:
        errors.DiskFull, errors.HypervisorFailed: qemu-img failed.
    """
    await _run([tool, "resize", "-q", "-f", "qcow2", str(path), str(size_bytes)])


async def _run(argv: list[str]) -> None:
    done = await commands.run(argv, timeout_s=LIMIT_S)
    if done.returncode == 0:
        return
    words = done.stderr.decode(errors="replace").strip()[-1000:]
    if "No space left" in words:
        raise errors.DiskFull(f"no space for the VM's disk: {words}")
    raise errors.HypervisorFailed(f"{' '.join(argv[:2])} failed: {words}")
