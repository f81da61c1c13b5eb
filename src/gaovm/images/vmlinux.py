"""Extracts the uncompressed kernel of a bzImage, to boot it by its PVH entry. Pure.

A bzImage unpacks itself in the guest, which takes seconds on an emulated processor and tenths of a
second on others. The ELF in it starts at once. It loads at its link address: the kernel does not
randomise its addresses.
"""

from __future__ import annotations

import lzma
import struct
import zlib

_HEADER_MAGIC = b"HdrS"
_ELF_MAGIC = b"\x7fELF\x02\x01"
_MAX_BYTES = 512 << 20
_PT_LOAD, _PT_NOTE = 1, 4
_PHYS32_ENTRY = 18  # type of the Xen ELF note that holds the PVH entry point
_PAGE = 4096


def extract(image: bytes) -> bytes | None:
    """Return the bootable ELF in a bzImage, without what the loader does not need.

    Returns None when there is none, when the standard library cannot decompress it, and for a
    kernel without a PVH entry.
    """
    if len(image) < 0x250 or image[0x202:0x206] != _HEADER_MAGIC:
        return None
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    elf = _decompress(image[start : start + length])
    if elf is None or not elf.startswith(_ELF_MAGIC) or not has_pvh_entry(elf):
        return None
    return trim(elf)


def has_pvh_entry(elf: bytes) -> bool:
    """Whether an ELF has a note with the PVH entry point."""
    for kind, offset, size in ((h[0], h[2], h[5]) for h in _headers(elf)):
        if kind == _PT_NOTE and _has_note(elf[offset : offset + size]):
            return True
    return False


def trim(elf: bytes) -> bytes:
    """Cut an ELF to its loaded segments: no sections, relocations, or zeros at a segment's end."""
    out = bytearray(elf)
    end = 0
    table, count = _table(elf)
    for index, header in enumerate(_headers(elf)):
        kind, offset, size = header[0], header[2], header[5]
        if kind == _PT_LOAD:
            used = len(elf[offset : offset + size].rstrip(b"\0"))
            size = min(size, -(-used // _PAGE) * _PAGE)
            struct.pack_into("<Q", out, table + 56 * index + 32, size)
        end = max(end, offset + size)
    struct.pack_into("<Q", out, 40, 0)
    struct.pack_into("<HHH", out, 58, 0, 0, 0)
    return bytes(out[: max(end, table + 56 * count)])


def _table(elf: bytes) -> tuple[int, int]:
    return struct.unpack_from("<Q", elf, 32)[0], struct.unpack_from("<H", elf, 56)[0]


def _headers(elf: bytes) -> list[tuple[int, ...]]:
    """Return the program headers: type, flags, offset, 2 addresses, 2 sizes, alignment."""
    table, count = _table(elf)
    return [struct.unpack_from("<IIQQQQQQ", elf, table + 56 * index) for index in range(count)]


def _has_note(notes: bytes) -> bool:
    position = 0
    while position + 12 <= len(notes):
        name_size, data_size, kind = struct.unpack_from("<III", notes, position)
        name = notes[position + 12 : position + 12 + name_size].rstrip(b"\0")
        if name == b"Xen" and kind == _PHYS32_ENTRY:
            return True
        position += 12 + (name_size + 3) // 4 * 4 + (data_size + 3) // 4 * 4
    return False


def _decompress(payload: bytes) -> bytes | None:
    try:
        if payload.startswith(b"\xfd7zXZ\0"):
            return lzma.LZMADecompressor().decompress(payload, _MAX_BYTES)
        if payload.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(wbits=31).decompress(payload, _MAX_BYTES)
    except (lzma.LZMAError, zlib.error):
        return None
    return payload if payload.startswith(_ELF_MAGIC) else None
