"""What boots a disk, told by its first sectors."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Callable

import pytest

from gaovm.builder import layout

EFI = uuid.UUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B").bytes_le
LINUX = uuid.UUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4").bytes_le
CLUSTER = 1 << 16


def mbr(kind: int = 0x83) -> bytes:
    """Return a boot sector with one partition of a type."""
    entry = struct.pack("<B3xB3xII", 0, kind, 2048, 1000)
    return (bytes(446) + entry).ljust(510, b"\0") + b"\x55\xaa"


def gpt(*kinds: bytes, size: int = 128) -> bytes:
    """Return a disk with a GPT whose partitions have these types."""
    header = b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", 2, 128, size)
    entries = b"".join(kind.ljust(size, b"\0") for kind in kinds)
    return mbr(0xEE) + header.ljust(512, b"\0") + entries.ljust(128 * 128, b"\0")


def ext4() -> bytes:
    """Return the beginning of an ext4 file system."""
    return bytes(1024 + 56) + b"\x53\xef" + bytes(30000)


def reader(data: bytes) -> Callable[[int, int], bytes]:
    """Return what reads from ``data``."""
    return lambda offset, count: data[offset : offset + count]


@pytest.mark.parametrize(
    ("disk", "loader"),
    [
        (gpt(LINUX, EFI), "uefi"),
        (gpt(LINUX), "bios"),
        (gpt(LINUX, LINUX, EFI, size=256), "uefi"),
        (mbr(), "bios"),
        (mbr(0xEF), "uefi"),
        (ext4(), "kernel"),
        (bytes(40000), "kernel"),
        (b"", "kernel"),
    ],
)
def test_a_raw_disk(disk: bytes, loader: str) -> None:
    found = layout.find(reader(disk), "raw")
    assert found.loader == loader
    assert found.reason.startswith("it ")


def qcow2(head: bytes, *, packed: bool = False, kind: int = 0, features: int = 0) -> bytes:
    """Return a qcow2 disk whose first cluster is ``head``."""
    header = struct.pack(">4sIQIIQIIQ", b"QFI\xfb", 3, 0, 0, 16, 1 << 30, 0, 1, CLUSTER)
    header = header.ljust(72, b"\0") + struct.pack(">Q", features)
    header = header.ljust(100, b"\0") + struct.pack(">I", 112) + bytes((kind,))
    data = head.ljust(CLUSTER, b"\0")
    at, entry = 3 * CLUSTER, 3 * CLUSTER | 1 << 63
    if packed:
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -12)
        data = squeeze.compress(data) + squeeze.flush()
        entry = 1 << 62 | (-(-len(data) // 512)) << 54 | at
    tables = struct.pack(">Q", 2 * CLUSTER | 1 << 63).ljust(CLUSTER, b"\0")
    tables += struct.pack(">Q", entry).ljust(CLUSTER, b"\0")
    return header.ljust(CLUSTER, b"\0") + tables + data


@pytest.mark.parametrize("packed", [False, True])
def test_a_qcow2_disk(packed: bool) -> None:
    assert layout.find(reader(qcow2(gpt(EFI), packed=packed)), "qcow2").loader == "uefi"
    assert layout.find(reader(qcow2(ext4(), packed=packed)), "qcow2").loader == "kernel"


def test_an_empty_qcow2_disk_holds_zeros() -> None:
    empty = qcow2(b"")[: 3 * CLUSTER].replace(struct.pack(">Q", 3 * CLUSTER | 1 << 63), bytes(8))
    assert layout.find(reader(empty), "qcow2").loader == "kernel"


@pytest.mark.parametrize(
    "disk",
    [
        qcow2(gpt(EFI), packed=True, kind=1),  # zstd
        qcow2(gpt(EFI), features=1 << 4),  # entries of 128 bits
        qcow2(gpt(EFI), packed=True)[: 3 * CLUSTER] + b"\xff" * 4096,
        b"QFI\xfb",
        qcow2(gpt(EFI))[:20] + struct.pack(">I", 63) + bytes(100),
    ],
)
def test_a_qcow2_disk_that_cannot_be_read_boots_as_most_images(disk: bytes) -> None:
    found = layout.find(reader(disk), "qcow2")
    assert (found.loader, "could not be read" in found.reason) == ("uefi", True)


def test_a_disk_that_unpacks_without_end_is_bounded() -> None:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -12)
    bomb = squeeze.compress(bytes(64 << 20)) + squeeze.flush()
    disk = qcow2(b"", packed=True)[: 3 * CLUSTER] + bomb
    assert layout.find(reader(disk), "qcow2").loader == "kernel"
