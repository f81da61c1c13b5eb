"""The filter between QEMU and passt: which frames it drops, and that it changes nothing else."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading

import pytest

from gaovm.vmmanager.qemu.network import netfilter

MACS = b"\x02" * 12


def ipv4(target: str, body: bytes = b"x" * 30, first: int = 0x45) -> bytes:
    """Return an Ethernet frame with an IPv4 packet to an address."""
    header = bytes([first]) + bytes(11) + bytes([10, 0, 2, 15])
    return MACS + b"\x08\x00" + header + ipaddress.ip_address(target).packed + body


def framed(*frames: bytes) -> bytes:
    return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)


ARP = MACS + b"\x08\x06" + bytes(28)
GOOD = (ipv4("10.0.2.2"), ipv4("192.0.2.7"), ipv4("255.255.255.255"), ipv4("8.8.8.8"), ARP)
BAD = (
    ipv4("127.0.0.1"),
    ipv4("127.255.255.254"),
    ipv4("0.0.0.0"),
    ipv4("0.1.2.3"),
    ipv4("127.0.0.1", first=0x4F),  # with options: the address is at the same place
    ipv4("10.0.2.2")[:33],  # cut off inside the address
    MACS + b"\x86\xdd" + bytes(60),  # IPv6
    MACS + b"\x81\x00\x00\x01" + ipv4("127.0.0.1")[12:],  # in a VLAN
    b"",
)


@pytest.mark.parametrize("frame", GOOD)
def test_frames_to_others_pass(frame: bytes) -> None:
    assert netfilter.sift(bytearray(framed(frame))) == framed(frame)


@pytest.mark.parametrize("frame", BAD)
def test_frames_to_the_host_itself_and_unknown_ones_are_dropped(frame: bytes) -> None:
    assert netfilter.sift(bytearray(framed(frame, GOOD[0]))) == framed(GOOD[0])


def test_frames_may_come_in_any_pieces() -> None:
    whole, data, passed = framed(*GOOD, *BAD, *GOOD), bytearray(), b""
    for byte in whole:
        data.append(byte)
        passed += netfilter.sift(data)
    assert (passed, bytes(data)) == (framed(*GOOD, *GOOD), b"")


def test_a_malformed_frame_ends_the_filter() -> None:
    with pytest.raises(netfilter.Malformed):
        netfilter.sift(bytearray(b"\xff\xff\xff\xff"))
    longest = ipv4("10.0.2.2", bytes(netfilter.MAX_FRAME - 34))
    assert netfilter.sift(bytearray(framed(longest))) == framed(longest)


@pytest.fixture
def ends() -> tuple[socket.socket, socket.socket, threading.Thread]:
    """Return QEMU's end and passt's end, with a relay between them."""
    (qemu, left), (passt, right) = socket.socketpair(), socket.socketpair()

    def work() -> None:
        with left, right:
            netfilter.relay(left.fileno(), right.fileno())

    thread = threading.Thread(target=work)
    thread.start()
    for end in (qemu, passt):
        end.settimeout(20)
    return qemu, passt, thread


def test_a_lot_of_data_goes_both_ways_at_once(
    ends: tuple[socket.socket, socket.socket, threading.Thread],
) -> None:
    qemu, passt, thread = ends
    frame = framed(ipv4("10.0.2.2", os.urandom(60_000)))
    count = 200

    def send(end: socket.socket) -> None:
        for _ in range(count):
            end.sendall(frame + framed(BAD[0]) if end is qemu else frame)

    senders = [threading.Thread(target=send, args=(end,)) for end in (qemu, passt)]
    got: dict[socket.socket, int] = {}

    def read(end: socket.socket) -> None:
        with end.makefile("rb") as stream:
            for _ in range(count):
                assert stream.read(len(frame)) == frame
                got[end] = got.get(end, 0) + 1

    readers = [threading.Thread(target=read, args=(end,)) for end in (qemu, passt)]
    for each in (*senders, *readers):
        each.start()
    for each in (*senders, *readers):
        each.join()
    assert got == {qemu: count, passt: count}
    qemu.close()
    thread.join(20)
    assert not thread.is_alive()
    passt.close()


def test_space_to_write_is_not_taken_for_data_to_read(
    ends: tuple[socket.socket, socket.socket, threading.Thread],
) -> None:
    qemu, passt, thread = ends
    frame = framed(ipv4("10.0.2.2", bytes(60_000)))
    many = 100
    sender = threading.Thread(target=lambda: qemu.sendall(frame * many))
    sender.start()  # more than the sockets hold: it blocks until passt reads
    with passt.makefile("rb") as stream:
        for _ in range(many):
            assert stream.read(len(frame)) == frame
    sender.join()
    passt.sendall(b"still there")
    assert qemu.recv(100) == b"still there"
    qemu.close()
    thread.join(20)
    passt.close()


@pytest.mark.parametrize("which", [0, 1])
def test_the_relay_ends_with_either_end(
    ends: tuple[socket.socket, socket.socket, threading.Thread], which: int
) -> None:
    thread = ends[2]
    first, second = (ends[0], ends[1]) if which == 0 else (ends[1], ends[0])
    first.close()
    thread.join(20)
    assert not thread.is_alive()
    second.close()


def test_the_filter_exits_with_the_programs_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    ours, theirs = socket.socketpair()
    with ours:
        words = [str(theirs.detach()), sys.executable, "-c", "raise SystemExit(7)"]
        assert netfilter.main(words) == 7
