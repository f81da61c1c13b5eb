"""Parsing the header of a qcow2 disk."""

from __future__ import annotations

import struct

from gaovm.builder import qcow2


def head(version: int, features: int = 0) -> bytes:
    begin = struct.pack(">4sIQIIQII", qcow2.MAGIC, version, 104, 7, 16, 1 << 30, 1, 4)
    return begin.ljust(72, b"\0") + struct.pack(">Q", features)


def test_a_header_is_parsed() -> None:
    assert qcow2.parse(head(3, 5)) == qcow2.Header(3, 104, 7, 1 << 30, 5, 1, 4 << 29)
    assert qcow2.parse(head(2, 5)) == qcow2.Header(2, 104, 7, 1 << 30, 0, 1, 4 << 29)


def test_other_or_short_data_is_no_header() -> None:
    assert qcow2.parse(b"raw".ljust(100)) is None
    assert qcow2.parse(head(3)[:39]) is None
    assert qcow2.parse(head(3)[:79]) is None


def test_a_new_disk_has_room_to_grow() -> None:
    made = qcow2.new(1 << 30, room_bytes=1 << 40)
    header = qcow2.parse(made.head)
    assert header is not None
    assert (header.size_bytes, header.room_bytes, header.backing_at) == (1 << 30, 1 << 40, 0)
    assert header.encryption == header.features == 0
    assert made.file_bytes == 3 * 65536 + (1 << 40 >> 29) * 8


def test_a_new_overlay_names_its_backing_file() -> None:
    made = qcow2.new(1 << 30, backing=b"/images/base", backing_format="raw")
    header = qcow2.parse(made.head)
    assert header is not None
    assert made.head[header.backing_at :][: header.backing_bytes] == b"/images/base"
