"""Tell what boots a disk, by its first sectors: GaoVM's kernel, UEFI, or a BIOS.

A disk that holds a file system has no boot loader of its own. A partitioned one has: with an EFI
system partition UEFI finds it, else a BIOS does. Pure: the caller reads.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from gaovm.builder import qcow2
from gaovm.builder.document import Loader

_SECTOR = 512
# The first sectors: the boot sector, the GPT's header, and its usual 128 entries.
_HEAD_BYTES = 34 * _SECTOR
_GPT_MAGIC = b"EFI PART"
_BOOT_MAGIC = b"\x55\xaa"
#: The type of an EFI system partition, as the GPT writes it (C12A7328-F81F-11D2-BA4B-00A0C93EC93B).
_EFI_SYSTEM = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
_MBR_EFI_SYSTEM = 0xEF
_EXT_MAGIC_AT, _EXT_MAGIC = 1024 + 56, b"\x53\xef"


class Layout(NamedTuple):
    """What boots the disk, and why GaoVM thinks so, in words for the user."""

    loader: Loader
    reason: str


#: Returns the bytes from an offset on, at most so many; fewer at the end of the file.
Read = Callable[[int, int], bytes]


def find(read: Read, disk_format: str) -> Layout:
    """Tell what boots a disk of this format (``raw`` or ``qcow2``). Reads at most 4 MiB.

    Raises what ``read`` raises: a hostile disk may name a place that no file can have.
    """
    head = _guest_head(read) if disk_format == "qcow2" else read(0, _HEAD_BYTES)
    if head is None:
        return Layout("uefi", "its first sectors could not be read, so it boots as most images do")
    return judge(head)


def judge(head: bytes) -> Layout:
    """Tell what boots a disk that begins with ``head``."""
    if head[_EXT_MAGIC_AT : _EXT_MAGIC_AT + 2] == _EXT_MAGIC:
        return Layout("kernel", "it is a file system without partitions, so it has no boot loader")
    if head[_SECTOR : _SECTOR + 8] == _GPT_MAGIC:
        if _EFI_SYSTEM in _gpt_types(head):
            return Layout("uefi", "it has an EFI system partition")
        return Layout("bios", "it has a GPT without an EFI system partition")
    if head[510:512] == _BOOT_MAGIC:
        if _MBR_EFI_SYSTEM in (head[446 + 16 * n + 4] for n in range(4)):
            return Layout("uefi", "it has an EFI system partition")
        return Layout("bios", "it has a boot sector and no EFI system partition")
    return Layout("kernel", "it has neither a partition table nor a boot sector")


def _gpt_types(head: bytes) -> set[bytes]:
    """Return the types of the partitions of a GPT whose entries are in their usual place."""
    header = head[_SECTOR : 2 * _SECTOR]
    if len(header) < 92:
        return set()
    at, count, size = struct.unpack_from("<QII", header, 72)
    if not 128 <= size <= 4096:
        return set()
    places = range(at * _SECTOR, min(at * _SECTOR + count * size, len(head) - 15), size)
    return {head[place : place + 16] for place in places}


# The masks of an entry of an L1 or L2 table (QEMU's docs/interop/qcow2.txt).
_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_EXTENDED_L2 = 1 << 4
_ZERO = 1
_INFLATE_BITS = -12


def _guest_head(read: Read) -> bytes | None:
    """Return the first bytes that a guest sees of a qcow2 disk; None if that takes more than zlib.

    Every read is bounded, whatever the file says.
    """
    header = read(0, qcow2.HEADER_BYTES + 8)
    if len(header) < 72:
        return None
    version, bits = struct.unpack_from(">I", header, 4)[0], struct.unpack_from(">I", header, 20)[0]
    if not 9 <= bits <= 21:
        return None
    compression = 0
    if version >= 3 and len(header) > qcow2.HEADER_BYTES:
        features, length = struct.unpack_from(">Q", header, 72)[0], header[100:104]
        compression = header[104] if int.from_bytes(length, "big") > 104 else 0
        if features & _EXTENDED_L2:
            return None
    table = _entry(read, struct.unpack_from(">Q", header, 40)[0], 0) & _OFFSET
    parts = []
    for cluster in range(-(-_HEAD_BYTES // (1 << bits))):
        entry = _entry(read, table, cluster) if table else 0
        part = _cluster(read, entry, bits, compression)
        if part is None:
            return None
        parts.append(part)
    return b"".join(parts)[:_HEAD_BYTES]


def _entry(read: Read, table: int, index: int) -> int:
    return int.from_bytes(read(table + 8 * index, 8), "big")


def _cluster(read: Read, entry: int, bits: int, compression: int) -> bytes | None:
    size = 1 << bits
    if entry & _COMPRESSED:
        shift = 62 - (bits - 8)
        at, sectors = entry & ((1 << shift) - 1), (entry & (_COMPRESSED - 1)) >> shift
        if compression != 0:
            return None
        packed = read(at, (sectors + 1) * _SECTOR)
        try:
            return zlib.decompressobj(_INFLATE_BITS).decompress(packed, size).ljust(size, b"\0")
        except zlib.error:
            return None
    if entry & _ZERO or not entry & _OFFSET:
        return bytes(size)
    return read(entry & _OFFSET, size).ljust(size, b"\0")
