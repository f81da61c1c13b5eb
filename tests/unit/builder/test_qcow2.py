"""Parsing the header of a qcow2 disk."""

from __future__ import annotations

import struct

from gaovm.builder import qcow2


def head(version: int, features: int = 0) -> bytes:
    begin = struct.pack(">4sIQIIQ", qcow2.MAGIC, version, 104, 7, 16, 1 << 30)
    return begin.ljust(72, b"\0") + struct.pack(">Q", features)


def test_a_header_is_parsed() -> None:
    assert qcow2.parse(head(3, 5)) == qcow2.Header(3, 104, 7, 1 << 30, 5)
    assert qcow2.parse(head(2, 5)) == qcow2.Header(2, 104, 7, 1 << 30, 0)


def test_other_or_short_data_is_no_header() -> None:
    assert qcow2.parse(b"raw".ljust(100)) is None
    assert qcow2.parse(head(3)[:31]) is None
    assert qcow2.parse(head(3)[:79]) is None
