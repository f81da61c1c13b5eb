"""``vmlinux`` extracts the ELF from a bzImage and cuts it to what a loader reads."""

from __future__ import annotations

import gzip
import lzma
import struct

import pytest

from gaovm.images import vmlinux

NOTE = struct.pack("<III", 4, 8, 18) + b"Xen\0" + struct.pack("<Q", 0x1000000)
OTHER = struct.pack("<III", 4, 5, 1) + b"GNU\0" + b"hello\0\0\0"


def elf(notes: bytes = OTHER + NOTE) -> bytes:
    """Return two loaded segments, the second ending in zeros, then a note, then garbage."""
    code, data = b"C" * 4096, b"D" * 100 + bytes(8092)
    start = 64 + 3 * 56
    offsets = (start, start + 4096, start + 4096 + 8192)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x1000000, 64, 99999, 0, 64, 56, 3, 64, 7, 6)
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, 5, offset, 0, 0, size, size, 1)
        for kind, offset, size in (
            (1, offsets[0], 4096),
            (1, offsets[1], 8192),
            (4, offsets[2], len(notes)),
        )
    )
    return header + table + code + data + notes + b"relocations" * 500


def bzimage(payload: bytes, setup: int = 1) -> bytes:
    """Return a boot sector, one setup sector and a payload at offset 16."""
    head = bytearray((setup + 1) * 512)
    head[0x1F1] = setup
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 16, len(payload))
    return bytes(head) + bytes(16) + payload


@pytest.mark.parametrize("compress", [lzma.compress, gzip.compress, bytes])
def test_extract(compress: object) -> None:
    found = vmlinux.extract(bzimage(compress(elf())))  # type: ignore[operator]
    assert found is not None
    assert found.endswith(OTHER + NOTE)
    sizes = [struct.unpack_from("<Q", found, 64 + 56 * i + 32)[0] for i in range(3)]
    assert sizes == [4096, 4096, len(OTHER + NOTE)]
    memory = [struct.unpack_from("<Q", found, 64 + 56 * i + 40)[0] for i in range(2)]
    assert memory == [4096, 8192]
    assert struct.unpack_from("<Q", found, 40) == (0,)
    assert vmlinux.trim(found) == found


@pytest.mark.parametrize(
    "image",
    [
        b"",
        bytes(4096),
        bzimage(lzma.compress(elf(OTHER))),
        bzimage(lzma.compress(b"no elf")),
        bzimage(b"\xfd7zXZ\0broken"),
        bzimage(b"\x28\xb5\x2f\xfdzstd"),
    ],
)
def test_an_image_without_an_elf_gives_none(image: bytes) -> None:
    assert vmlinux.extract(image) is None
