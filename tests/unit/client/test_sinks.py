"""Sinks write everything without blocking and without changing flags that others share."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

import pytest

from gaovm.client import sinks


def test_a_pipe_takes_what_fits_now_and_the_rest_later() -> None:
    read, write = os.pipe()
    data = os.urandom(3_000_000)
    sink = sinks.Sink(write)
    sink.write(data)
    assert 0 < sink.waiting_bytes < len(data)
    assert fcntl.fcntl(write, fcntl.F_GETFL) & os.O_NONBLOCK == 0
    got = b""
    while len(got) < len(data):
        got += os.read(read, 65536)
        sink.flush()
    assert got == data
    assert sink.waiting_bytes == 0
    sink.close()
    sink.close()
    os.close(write)
    assert os.read(read, 1) == b""
    os.close(read)


def test_writing_to_a_socket_never_blocks() -> None:
    left, right = socket.socketpair()
    with left, right:
        sink = sinks.Sink(left.fileno())
        sink.write(b"x" * 5_000_000)
        assert sink.waiting_bytes > 0
        assert left.getblocking()
        got = 0
        while got < 5_000_000:
            got += len(right.recv(65536))
            sink.flush()
        sink.close()


def test_a_file_is_written_at_its_offset(tmp_path: Path) -> None:
    with open(tmp_path / "x", "wb", buffering=0) as file:
        file.write(b"before ")
        sink = sinks.Sink(file.fileno())
        sink.write(b"y" * 1_000_000)
        assert sink.waiting_bytes == 0
        sink.close()
    assert (tmp_path / "x").read_bytes() == b"before " + b"y" * 1_000_000


def test_a_pipe_that_cannot_be_reopened_gets_small_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    read, write = os.pipe()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        sink = sinks.Sink(write)
    sink.write(b"x" * 10_000)
    assert sink.waiting_bytes == 10_000
    sink.flush()
    assert sink.waiting_bytes == 10_000 - 4096
    sink.flush()
    sink.flush()
    assert (sink.waiting_bytes, os.read(read, 20_000)) == (0, b"x" * 10_000)
    sink.close()
    os.close(read)
    os.close(write)


def test_a_gone_reader_differs_from_a_full_disk() -> None:
    read, write = os.pipe()
    os.close(read)
    sink = sinks.Sink(write)
    sink.write(b"x")
    assert sink.broken
    sink.write(b"x")
    assert sink.waiting_bytes == 0
    sink.close()
    os.close(write)
    full = os.open("/dev/full", os.O_WRONLY)
    sink = sinks.Sink(full)
    sink.write(b"x")
    assert not sink.broken
    assert sink.error is not None
    sink.close()
    os.close(full)


def test_an_output_closed_from_the_start_discards_everything() -> None:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    sink = sinks.Sink(write)
    sink.write(b"x")
    assert (sink.broken, sink.error, sink.waiting_bytes) == (False, None, 0)
