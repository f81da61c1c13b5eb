"""The RFB client: any chunking gives the same picture; a hostile server only loses its client."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaovm import errors
from gaovm.display import rfb
from gaovm.display.screen import MAX_SIDE, Screen
from gaovm.testing.fake_vnc import FakeVnc


def talk(client: rfb.Client, server: FakeVnc, data: bytes) -> list[rfb.Event]:
    """Give the client these bytes, then carry what client and server answer each other."""
    events: list[rfb.Event] = []
    while data:
        events += client.feed(data)
        data = server.feed(client.take())
    return events


def connected(width: int = 320, height: int = 200) -> tuple[rfb.Client, FakeVnc]:
    client, server = rfb.Client(), FakeVnc(width, height, name="a VM")
    talk(client, server, server.hello())
    return client, server


def rect(x: int, y: int, width: int, height: int, encoding: int) -> bytes:
    return struct.pack(">BxHHHHHi", 0, 1, x, y, width, height, encoding)


def test_the_picture_arrives() -> None:
    client, server = rfb.Client(), FakeVnc(name="a VM")
    events = talk(client, server, server.hello())
    assert events == [
        rfb.Resized(320, 200),
        rfb.Finished(),
        rfb.Changed(0, 0, 320, 200),
        rfb.Finished(),
    ]
    assert client.name == "a VM"
    assert bytes(client.screen.pixels) == server.picture()
    # the client first asks for everything, then after each update for what changed
    assert server.requests == [False, True, True]
    assert set(server.encodings) == {0, 1, -239, -224, -223, -308, -258}


@settings(max_examples=60)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=40))
def test_any_chunking_gives_the_same_picture(sizes: list[int]) -> None:
    server = FakeVnc(40, 30)
    server.shade = 9
    stream = server.hello() + b"\x01\x01" + bytes(4)
    stream += struct.pack(">HH16xI", 40, 30, 1) + b"x"
    stream += server.update() + server.update(3, 4, 5, 6) + server.resize(20, 50)
    stream += struct.pack(">BxxxI", 3, 5) + b"hello" + b"\x02" + server.update()
    whole = rfb.Client()
    expected = whole.feed(stream)
    parts, rest = rfb.Client(), stream
    events: list[rfb.Event] = []
    for size in itertools.cycle(sizes):
        if not rest:
            break
        events += parts.feed(rest[:size])
        rest = rest[size:]
    assert events == expected
    assert parts.screen.pixels == whole.screen.pixels == bytearray(server.picture())
    assert parts.take() == whole.take()


def test_a_part_is_drawn_in_its_place() -> None:
    client, server = connected(64, 48)
    server.shade = 77
    events = talk(client, server, server.update(10, 20, 8, 4))
    assert events == [rfb.Changed(10, 20, 8, 4), rfb.Finished()]
    at = 20 * client.screen.stride + 10 * 4
    assert client.screen.pixels[at : at + 32] == server.picture(10, 20, 8, 1)
    assert client.screen.pixels[0:4] == struct.pack("=I", 0)


@pytest.mark.parametrize(
    ("source", "target"), [((0, 0), (4, 6)), ((4, 6), (0, 0)), ((0, 3), (2, 3))]
)
def test_copies_may_overlap(source: tuple[int, int], target: tuple[int, int]) -> None:
    client, _ = connected(32, 32)
    before = client.screen.resized(32, 32)
    client.feed(rect(*target, 20, 20, 1) + struct.pack(">HH", *source))
    for row in range(20):
        old = (source[1] + row) * before.stride + source[0] * 4
        new = (target[1] + row) * before.stride + target[0] * 4
        assert client.screen.pixels[new : new + 80] == before.pixels[old : old + 80]


@pytest.mark.parametrize("encoding", [-223, -308])
def test_the_guest_changes_its_size_while_it_is_watched(encoding: int) -> None:
    client, server = connected(64, 48)
    server.resize(100, 30)
    more = struct.pack(">B3x16x", 1) if encoding == -308 else b""
    events = talk(client, server, rect(0, 0, 100, 30, encoding) + more)
    assert rfb.Resized(100, 30) in events
    assert (client.screen.width, client.screen.height) == (100, 30)
    # the client asks for the whole new picture without being told
    assert server.requests[-2:] == [False, True]
    assert bytes(client.screen.pixels) == server.picture()


def test_a_refused_size_changes_nothing() -> None:
    client, server = connected(64, 48)
    events = talk(client, server, rect(1, 3, 100, 30, -308) + struct.pack(">B3x", 0))
    assert events == [rfb.Finished()]
    assert client.screen.width == 64


def test_a_new_size_keeps_the_part_that_fits() -> None:
    screen = Screen(3, 2)
    screen.put_row(0, 0, b"aaaabbbbcccc")
    screen.put_row(0, 1, b"ddddeeeeffff")
    assert bytes(screen.resized(2, 3).pixels) == b"aaaabbbbddddeeee" + bytes(8)


def test_the_pointer_has_a_shape() -> None:
    client, _ = connected()
    body = bytes(9 * 2 * 4) + b"\xff\x80\x00\x80"
    (shape, _finished) = client.feed(rect(1, 1, 9, 2, -239) + body)
    assert shape == rfb.Pointer(9, 2, 1, 1, bytes(72), b"\xff\x80\x00\x80")
    (hidden, _finished) = client.feed(rect(0, 0, 0, 0, -239))
    assert isinstance(hidden, rfb.Pointer)
    assert hidden.width == 0


def test_last_rect_ends_an_update() -> None:
    client, server = connected(64, 48)
    many = struct.pack(">BxH", 0, 0xFFFF) + server.update(0, 0, 2, 2)[4:]
    end = struct.pack(">HHHHi", 0, 0, 0, 0, -224)
    assert client.feed(many + end) == [rfb.Changed(0, 0, 2, 2), rfb.Finished()]


def test_keys_go_as_places_once_the_server_knows_them() -> None:
    client, server = connected()
    client.key(ord("a"), 0x1E, down=True)
    client.key(ord("a"), 0x1E, down=False)
    client.key(0x20AC, 0, down=True)
    server.feed(client.take())
    assert server.keys == [(True, 97, 0x1E), (False, 97, 0x1E), (True, 0x20AC, 0)]


def test_keys_go_as_symbols_if_the_server_knows_no_places() -> None:
    client = rfb.Client()
    client.feed(b"RFB 003.008\n\x01\x01" + bytes(4) + struct.pack(">HH16xI", 8, 8, 0))
    client.take()
    client.key(ord("a"), 0x1E, down=True)
    assert client.take() == b"\x04\x01\0\0\0\0\0a"


def test_the_pointer_stays_inside_the_picture() -> None:
    client, server = connected(64, 48)
    client.pointer(-5, 1000, 0xFFFF)
    client.pointer(63, 0, 0)
    server.feed(client.take())
    assert server.pointers == [(0, 47, 0x7F), (63, 0, 0)]


def test_the_client_sends_no_input_before_the_server_is_ready() -> None:
    client = rfb.Client()
    client.key(97, 30, down=True)
    client.pointer(1, 1, 1)
    assert client.take() == b""


START = b"RFB 003.008\n\x01\x01" + bytes(4)
READY = START + struct.pack(">HH16xI", 64, 48, 0)


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"RFB 003.003\n", "no RFB 3.8"),
        (b"HTTP/1.1 200", "no RFB 3.8"),
        (b"RFB 003.008\n\x00" + struct.pack(">I", 4) + b"no!\n", "refused: no!"),
        (b"RFB 003.008\n\x00" + struct.pack(">I", 1 << 31), "a text of 2147483648 bytes"),
        (b"RFB 003.008\n\x02\x02\x10", "wants a password"),
        (b"RFB 003.008\n\x01\x01\0\0\0\1" + struct.pack(">I", 4) + b"off\n", "refused: off"),
        (START + struct.pack(">HH16xI", 0, 48, 0), "a picture of 0 x 48"),
        (START + struct.pack(">HH16xI", 64, MAX_SIDE + 1, 0), "a picture of 64 x 8193"),
        (START + struct.pack(">HH16xI", 64, 48, 4097), "a text of 4097 bytes"),
        (READY + b"\x01", "message 1 was not asked for"),
        (READY + b"\xff", "message 255 was not asked for"),
        (READY + struct.pack(">BxxxI", 3, 0xFFFFFFFF), "a clipboard of 4294967295 bytes"),
        (READY + rect(0, 0, 65, 1, 0), "65 x 1 at 0,0 outside"),
        (READY + rect(60, 47, 4, 2, 0), "outside"),
        (READY + rect(0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0), "outside"),
        (READY + rect(0, 0, 8, 8, 1) + struct.pack(">HH", 60, 0), "outside"),
        (READY + rect(60, 0, 8, 8, 1) + struct.pack(">HH", 0, 0), "outside"),
        (READY + rect(0, 0, 8, 8, 16), "encoding 16 was not asked for"),
        (READY + rect(0, 0, 0, 48, -223), "a picture of 0 x 48"),
        (READY + rect(0, 0, 0xFFFF, 1, -308) + bytes(4), "a picture of 65535 x 1"),
        (READY + rect(0, 0, 513, 1, -239), "a pointer of 513 x 1"),
    ],
)
def test_the_client_leaves_a_server_that_breaks_the_protocol(stream: bytes, words: str) -> None:
    client = rfb.Client()
    with pytest.raises(errors.ProtocolError, match=words):
        client.feed(stream)
    with pytest.raises(errors.ProtocolError, match="failed already"):
        client.feed(b"x")


@settings(max_examples=300)
@given(st.binary(max_size=400), st.sampled_from([b"", START, READY]))
def test_any_bytes_are_parsed_or_refused(noise: bytes, before: bytes) -> None:
    client = rfb.Client()
    try:
        client.feed(before + noise)
    except errors.ProtocolError:
        return
    assert len(client.screen.pixels) <= MAX_SIDE * MAX_SIDE * 4
