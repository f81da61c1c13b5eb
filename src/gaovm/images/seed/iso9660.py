"""Write an ISO 9660 file system with the names of Rock Ridge and of Joliet. Pure.

cloud-init takes a seed from ISO 9660 or FAT; images made for Lima mount it with options that only
ISO 9660 has. The file system has one directory. The same files always give the same bytes.

Sources: ECMA-119 (ISO 9660), IEEE P1281 and P1282 (System Use Sharing, Rock Ridge 1991A), the
Joliet specification of 1995.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

SECTOR = 2048
#: The longest file name; each record with its Rock Ridge fields must fit into 255 bytes.
MAX_NAME = 64
_PRIMARY, _JOLIET, _END = 1, 2, 255
_DESCRIPTORS_AT = 16
_DIRECTORY_FLAG = 2
_DIRECTORY_MODE, _FILE_MODE = 0o040755, 0o100000
# A fixed time (2000-01-01 00:00:00 UTC), in the forms of a record and of a descriptor.
_SHORT_TIME = bytes((100, 1, 1, 0, 0, 0, 0))
_LONG_TIME = b"2000010100000000\0"
_NO_TIME = b"0" * 16 + b"\0"
#: Escape sequence of UCS-2 level 3, which marks the supplementary descriptor as Joliet's.
_UCS2 = b"%/E"


class File(NamedTuple):
    """A file: its name, its bytes and its permissions."""

    name: str
    data: bytes
    mode: int = 0o644


class _Placed(NamedTuple):
    """A file with the number of its first sector."""

    file: File
    sector: int


Records = Callable[[int, int], list[bytes]]


def image(label: str, files: Sequence[File]) -> bytes:
    """Return a file system with these files, in whole sectors. Files with one object share sectors.

    Raises:
        ValueError: a name is too long, not a plain name or there twice; the caller has a defect.
    """
    _check(files)
    ordered = sorted(files, key=lambda file: file.name.encode("utf-16-be"))
    tables_at = _DESCRIPTORS_AT + 3
    primary_at = tables_at + 4
    lengths = [_sectors(b"".join(_packed(_rock_ridge(_unplaced(ordered), 0, 0))))]
    lengths.append(_sectors(b"".join(_packed(_joliet(_unplaced(ordered), 0, 0)))))
    joliet_at = primary_at + lengths[0]
    placed, end = _place(ordered, joliet_at + lengths[1])
    sizes = [length * SECTOR for length in lengths]
    parts = [
        bytes(_DESCRIPTORS_AT * SECTOR),
        _descriptor(_PRIMARY, label, end, tables_at, primary_at, sizes[0]),
        _descriptor(_JOLIET, label, end, tables_at + 2, joliet_at, sizes[1]),
        struct.pack("<B5sB", _END, b"CD001", 1).ljust(SECTOR, b"\0"),
        *_path_tables(primary_at),
        *_path_tables(joliet_at),
        b"".join(_packed(_rock_ridge(placed, primary_at, sizes[0]))),
        b"".join(_packed(_joliet(placed, joliet_at, sizes[1]))),
        *_contents(placed),
    ]
    return b"".join(parts)


def _check(files: Sequence[File]) -> None:
    names = [file.name for file in files]
    for name in names:
        plain = name.isascii() and name.isprintable() and not set(name) & set(' */:;?\\"')
        if not 0 < len(name) <= MAX_NAME or not plain or name in (".", ".."):
            raise ValueError(f"bad file name {name!r}")
    if len(set(names)) != len(names):
        raise ValueError("two files have one name")


def _unplaced(files: Sequence[File]) -> list[_Placed]:
    return [_Placed(file, 0) for file in files]


def _place(files: Sequence[File], first: int) -> tuple[list[_Placed], int]:
    """Give each file its sectors from ``first`` on; return the number behind the last one."""
    placed: list[_Placed] = []
    known: dict[int, int] = {}
    for file in files:
        if id(file.data) not in known:
            known[id(file.data)] = first
            first += _sectors(file.data)
        placed.append(_Placed(file, known[id(file.data)]))
    return placed, first


def _contents(placed: Sequence[_Placed]) -> Iterator[bytes]:
    written = set()
    for file, sector in placed:
        if sector not in written and file.data:
            written.add(sector)
            yield file.data
            yield bytes(-len(file.data) % SECTOR)


def _sectors(data: bytes) -> int:
    return -(-len(data) // SECTOR)


def _both(value: int) -> bytes:
    """Return a 32-bit number in both byte orders."""
    return struct.pack("<I", value) + struct.pack(">I", value)


def _both_short(value: int) -> bytes:
    return struct.pack("<H", value) + struct.pack(">H", value)


def _record(name: bytes, sector: int, size: int, flags: int, use: bytes = b"") -> bytes:
    """Return a directory record; ``use`` are its System Use fields."""
    body = b"\0" + _both(sector) + _both(size) + _SHORT_TIME + bytes((flags, 0, 0))
    body += _both_short(1) + bytes((len(name),)) + name
    if len(name) % 2 == 0:
        body += b"\0"
    body += use
    body += bytes((len(body) + 1) % 2)
    return bytes((len(body) + 1,)) + body


def _packed(records: Sequence[bytes]) -> Iterator[bytes]:
    """Yield a directory in whole sectors: no record crosses the end of one."""
    used = 0
    for record in records:
        if used + len(record) > SECTOR:
            yield bytes(SECTOR - used)
            used = 0
        yield record
        used += len(record)
    yield bytes(SECTOR - used)


def _rock_ridge(files: Sequence[_Placed], at: int, size: int) -> list[bytes]:
    """Return the records of the primary directory: plain names, and the true ones in Rock Ridge."""
    sharing = b"SP\x07\x01\xbe\xef\0"
    name = b"RRIP_1991A"
    extension = b"ER" + bytes((8 + len(name), 1, len(name), 0, 0, 1)) + name
    own = _mode(_DIRECTORY_MODE, 2)
    records = [
        _record(b"\0", at, size, _DIRECTORY_FLAG, sharing + own + extension),
        _record(b"\1", at, size, _DIRECTORY_FLAG, own),
    ]
    for number, (file, sector) in enumerate(files):
        true = file.name.encode("ascii")
        use = _mode(_FILE_MODE | file.mode, 1) + b"NM" + bytes((5 + len(true), 1, 0)) + true
        records.append(_record(b"F%07d.;1" % number, sector, len(file.data), 0, use))
    return records


def _mode(mode: int, links: int) -> bytes:
    """Return Rock Ridge's PX field: mode, links, and root as the owner."""
    return b"PX\x24\x01" + _both(mode) + _both(links) + _both(0) + _both(0)


def _joliet(files: Sequence[_Placed], at: int, size: int) -> list[bytes]:
    """Return the records of Joliet's directory."""
    records = [_record(bytes((n,)), at, size, _DIRECTORY_FLAG) for n in (0, 1)]
    for file, sector in files:
        records.append(_record(file.name.encode("utf-16-be"), sector, len(file.data), 0))
    return records


def _path_tables(root: int) -> tuple[bytes, bytes]:
    """Return the path table, with the root alone, in both byte orders."""
    little = struct.pack("<BBIHBB", 1, 0, root, 1, 0, 0)
    big = struct.pack(">BBIHBB", 1, 0, root, 1, 0, 0)
    return little.ljust(SECTOR, b"\0"), big.ljust(SECTOR, b"\0")


def _descriptor(kind: int, label: str, sectors: int, tables: int, root: int, size: int) -> bytes:
    """Return a volume descriptor (ECMA-119, 8.4 and 8.5); all its texts but the label are empty."""
    joliet = kind == _JOLIET

    def text(value: str, length: int) -> bytes:
        if joliet:
            return value.ljust(length // 2).encode("utf-16-be").ljust(length, b"\0")
        return value.encode("ascii").ljust(length)

    path_table = struct.pack("<II", tables, 0) + struct.pack(">II", tables + 1, 0)
    parts = [
        struct.pack("<B5sBB", kind, b"CD001", 1, 0),
        text("", 32),
        text(label, 32),
        bytes(8),
        _both(sectors),
        (_UCS2 if joliet else b"").ljust(32, b"\0"),
        _both_short(1) + _both_short(1) + _both_short(SECTOR) + _both(10),
        path_table,
        _record(b"\0", root, size, _DIRECTORY_FLAG),
        *(text("", 128) for _ in range(4)),
        *(text("", 37) for _ in range(3)),
        _LONG_TIME * 2 + _NO_TIME * 2 + b"\1",
    ]
    return b"".join(parts).ljust(SECTOR, b"\0")
