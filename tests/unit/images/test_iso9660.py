"""The seed's file system: a small reader finds every file by each kind of name."""

from __future__ import annotations

import struct

import pytest

from gaovm.images.seed import iso9660

AGENT = b"\x7fELF" * 50_000
FILES = [
    iso9660.File("user-data", b"#cloud-config\n"),
    iso9660.File("meta-data", b"instance-id: x\n"),
    iso9660.File("empty", b""),
    iso9660.File("gaovm-agent", AGENT, 0o755),
    iso9660.File("lima-guestagent", AGENT, 0o755),
]


def records(image: bytes, descriptor: int) -> list[tuple[bytes, bytes, int]]:
    """Return name, content and place of each file of the directory of a volume descriptor."""
    head = image[descriptor * 2048 : descriptor * 2048 + 2048]
    at, size = struct.unpack_from("<I4xI", head, 156 + 2)
    directory = image[at * 2048 : at * 2048 + size]
    assert size % 2048 == 0
    found, place = [], 0
    while place < size:
        length = directory[place]
        if length == 0:
            place += 2048 - place % 2048
            continue
        record = directory[place : place + length]
        assert place // 2048 == (place + length - 1) // 2048, "a record crosses a sector"
        sector, count = struct.unpack_from("<I4xI", record, 2)
        assert struct.unpack_from(">I4xI", record, 6) == (sector, count)
        found.append((record, image[sector * 2048 : sector * 2048 + count], sector))
        place += length
    return found


def rock_ridge(record: bytes) -> tuple[bytes, int]:
    """Return the name and the mode of a record's Rock Ridge fields."""
    at = 33 + record[32] + (record[32] + 1) % 2
    name, mode = b"", 0
    while at + 4 <= len(record):
        kind, length = record[at : at + 2], record[at + 2]
        if kind == b"NM":
            name = record[at + 5 : at + length]
        elif kind == b"PX":
            (mode,) = struct.unpack_from("<I", record, at + 4)
        if length == 0:
            break
        at += length
    return name, mode


def test_rock_ridge_has_every_name_with_its_mode() -> None:
    own, parent, *found = records(iso9660.image("cidata", FILES), 16)
    assert b"SP\x07\x01\xbe\xef" in own[0] and b"RRIP_1991A" in own[0]
    assert rock_ridge(parent[0])[1] == 0o040755
    have = {rock_ridge(record): content for record, content, _ in found}
    assert have == {(f.name.encode(), 0o100000 | f.mode): f.data for f in FILES}


def test_joliet_has_every_name() -> None:
    image = iso9660.image("cidata", FILES)
    assert image[17 * 2048 + 88 :][:3] == b"%/E"
    found = records(image, 17)[2:]
    names = [record[33 : 33 + record[32]].decode("utf-16-be") for record, _, _ in found]
    assert names == sorted(file.name for file in FILES)
    assert {content for _, content, _ in found} == {file.data for file in FILES}


def test_the_label_is_in_both_descriptors() -> None:
    image = iso9660.image("cidata", FILES)
    assert image[16 * 2048 + 40 :][:32] == b"cidata".ljust(32)
    assert image[17 * 2048 + 40 :][:32].decode("utf-16-be").rstrip() == "cidata"
    assert struct.unpack_from("<I", image, 16 * 2048 + 80) == (len(image) // 2048,)


def test_files_with_one_object_share_their_sectors() -> None:
    image = iso9660.image("cidata", FILES)
    places = {rock_ridge(record)[0]: sector for record, _, sector in records(image, 16)}
    assert places[b"gaovm-agent"] == places[b"lima-guestagent"]
    assert len(image) < 2 * len(AGENT)


def test_many_files_fill_several_sectors() -> None:
    files = [iso9660.File(f"file-{n:03}", str(n).encode()) for n in range(200)]
    image = iso9660.image("cidata", files)
    assert len(records(image, 16)) == len(records(image, 17)) == 202


def test_the_same_files_give_the_same_bytes_in_any_order() -> None:
    assert iso9660.image("cidata", FILES) == iso9660.image("cidata", FILES[::-1])


@pytest.mark.parametrize("name", ["", "a/b", "..", "ä", "a b", "a;1", "x" * 65, "a\0b"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="bad file name"):
        iso9660.image("cidata", [iso9660.File(name, b"")])


def test_the_longest_name_fits() -> None:
    name = "n" * iso9660.MAX_NAME
    found = records(iso9660.image("cidata", [iso9660.File(name, b"x")]), 16)
    assert rock_ridge(found[-1][0])[0] == name.encode()


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two files"):
        iso9660.image("cidata", [FILES[0], FILES[0]])
