"""Sockets carry descriptors; those are not inherited, and surplus ones are closed."""

from __future__ import annotations

import os
import socket

import pytest

from gaovm import errors
from gaovm.platform import unix_sockets


def test_descriptors_travel_and_are_not_inherited() -> None:
    left, right = socket.socketpair()
    read, write = os.pipe()
    with left, right:
        unix_sockets.send(left, b"hello", [read])
        data, fds = unix_sockets.receive(right, 100, 4)
        assert data == b"hello"
        os.write(write, b"x")
        assert os.read(fds[0], 1) == b"x"
        assert not os.get_inheritable(fds[0])
        os.close(fds[0])
        left.close()
        assert unix_sockets.receive(right, 100, 4) == (b"", [])
    os.close(read)
    os.close(write)


def test_too_many_descriptors_are_closed() -> None:
    left, right = socket.socketpair()
    with left, right:
        before = len(os.listdir("/proc/self/fd"))
        unix_sockets.send(left, b"x", [0] * 8)
        with pytest.raises(errors.ProtocolError):
            unix_sockets.receive(right, 100, 2)
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_lost_peer_is_a_typed_error() -> None:
    left, right = socket.socketpair()
    right.close()
    with left, pytest.raises(errors.ConnectionLost):
        unix_sockets.send(left, b"x", [0])
