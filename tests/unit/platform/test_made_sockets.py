"""Sockets that a killed driver left are removed, and nothing else is."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaovm.platform import made_sockets as host_sockets


@pytest.fixture
def base() -> Iterator[Path]:
    """Make a directory with a path that is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="hs", dir="/tmp"))
    yield path
    shutil.rmtree(path)


def dead(path: Path) -> Path:
    """Leave a socket as a killed server does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    return path


def test_only_dead_sockets_of_the_vm_are_removed(base: Path) -> None:
    vm = base / "vm"
    own, below = dead(vm / "sock" / "a"), dead(vm / "sock" / "deep" / "b")
    noted, foreign = dead(base / "c"), dead(base / "d")
    text = base / "text"
    text.write_text("kept")
    (base / "link").symlink_to(foreign)
    served = base / "served"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(served))
        server.listen()
        every = [noted, text, served, base / "link", base / "gone"]
        (vm / host_sockets.LIST).write_bytes(host_sockets.encode(every))
        host_sockets.sweep(vm)
        assert not (own.exists() or below.exists() or noted.exists())
        assert foreign.exists() and served.exists() and (base / "link").is_symlink()
        assert text.read_text() == "kept"


@pytest.mark.parametrize("content", [b"", b"{}", b'["relative", 5, null]', b"\xff"])
def test_a_damaged_list_names_nothing(base: Path, content: bytes) -> None:
    (base / host_sockets.LIST).write_bytes(content)
    assert host_sockets.noted(base) == []
    host_sockets.sweep(base)
