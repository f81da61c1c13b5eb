"""What the portable half does where Linux has its own way; these tests force it here."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gaovm.platform import blobs, hangups, parent, space, system, unix_sockets


@pytest.fixture
def portable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "LINUX", False)


def test_the_variable_chooses_the_half() -> None:
    code = "from gaovm.platform import system; print(system.LINUX, system.describe())"
    for value, expected in (
        ("portable", "False Linux, with the portable half"),
        ("", "True Linux"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "GAOVM_PLATFORM": value},
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().startswith(expected)


def test_the_name_of_the_system_is_the_kernel_s(portable: None) -> None:
    assert system.name() == os.uname().sysname


@pytest.mark.parametrize("linux", [True, False])
def test_a_blob_has_no_name(linux: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "LINUX", linux)
    fd = blobs.create("gaovm-test")
    os.write(fd, b"text")
    assert os.pread(fd, 10, 0) == b"text"
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)
    reading, writing = blobs.create_split("gaovm-test")
    os.write(writing, b"more")
    assert os.pread(reading, 10, 0) == b"more"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.read(writing, 1)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("linux", [True, False])
def test_a_half_close_is_no_hang_up(linux: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "LINUX", linux)
    ours, theirs = socket.socketpair()
    with ours:
        theirs.shutdown(socket.SHUT_WR)
        assert ours.recv(1) == b""
        watched = hangups.watch(ours)
        assert not select.select([watched.fileno()], [], [], 0.05)[0]
        theirs.close()
        assert select.select([watched.fileno()], [], [], 20)[0]
        watched.close()


def test_a_watch_for_a_hang_up_can_be_closed(portable: None) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watched = hangups.watch(ours)
        watched.close()
        watched.close()
        assert watched.fileno() == -1


def test_space_is_reserved_by_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    with (tmp_path / "room").open("wb") as file:
        space.reserve(file.fileno(), (1 << 20) + 5)
    assert (tmp_path / "room").stat().st_size == (1 << 20) + 5


def test_descriptors_are_not_inherited_without_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix_sockets, "_CLOEXEC", 0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        unix_sockets.send(theirs, b"x", [theirs.fileno()])
        _, (fd,) = unix_sockets.receive(ours, 10, 1)
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_no_death_signal_without_support(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "SUPPORTED", False)
    assert parent.death_signal(9) is None
