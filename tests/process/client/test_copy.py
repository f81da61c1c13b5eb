"""``copy_in`` and ``copy_out`` over a session's socket."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.cli import fakes

from gaovm import errors
from gaovm.client import copy, tar_write


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[fakes.FakeDriver]:
    fake = fakes.FakeDriver(tmp_path / "driver.sock")
    with fakes.closing(fake):
        yield fake


def ticket(driver: fakes.FakeDriver) -> dict[str, Any]:
    return {"socket": str(driver.path), "ticket": "ab" * 32}


def test_a_tree_goes_in_and_comes_out(driver: fakes.FakeDriver, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "big").write_bytes(os.urandom(3_000_000))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tree / "sock"))
    counts: list[int] = []
    left_out = copy.copy_in(ticket(driver), tree, "/tmp/", user="ann", on_bytes=counts.append)
    assert left_out == [f"{tree / 'sock'}: a socket or a device"]
    ((kind, start, data),) = driver.copies
    assert kind == "copy-in"
    assert start == {"path": "/tmp/", "user": "ann", "name": "tree", "mkdirs": False}
    assert sum(counts) == len(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == [".", "big"]
    out = io.BytesIO()
    tar_write.write(out, tree / "big")
    driver.tar = out.getvalue()[: 1 << 20]
    with pytest.raises(errors.GuestProtocolError, match=r"cut off|unexpected end"):
        copy.copy_out(ticket(driver), "/x/big", str(tmp_path / "back"))
    assert not (tmp_path / "back").exists()


def test_a_file_comes_out_under_its_name(driver: fakes.FakeDriver, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    (tmp_path / "d").mkdir()
    out = io.BytesIO()
    tar_write.write(out, tmp_path / "f")
    driver.tar = out.getvalue()
    counts: list[int] = []
    copy.copy_out(ticket(driver), "~/x/name", str(tmp_path / "d"), on_bytes=counts.append)
    assert (tmp_path / "d" / "name").read_bytes() == b"data"
    assert sum(counts) == len(driver.tar)
    assert driver.copies[0][1] == {"path": "~/x/name", "user": ""}


def test_a_guest_that_refuses_is_heard_at_once(driver: fakes.FakeDriver, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 20_000_000)
    driver.refuse = {"code": "permission", "message": "permission denied"}
    with pytest.raises(errors.GuestCallFailed, match="permission denied") as caught:
        copy.copy_in(ticket(driver), tmp_path / "f", "/root/f")
    assert caught.value.details["agent_code"] == "permission"
    with pytest.raises(errors.GuestCallFailed, match="permission denied"):
        copy.copy_out(ticket(driver), "/root/f", str(tmp_path / "g"))
    assert not (tmp_path / "g").exists()


def test_a_missing_source_opens_no_session(driver: fakes.FakeDriver, tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound):
        copy.copy_in(ticket(driver), tmp_path / "no", "/tmp")
    with pytest.raises(errors.NotFound):
        copy.copy_out(ticket(driver), "/x", str(tmp_path / "no" / "y"))
    assert driver.started == []


def serve(path: Path, script: Callable[[socket.socket], None]) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def run() -> None:
        with listener, listener.accept()[0] as stream:
            script(stream)

    threading.Thread(target=run, daemon=True).start()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"error": {"code": "auth_failed", "message": "used"}}, errors.AuthError),
        ({"error": {"code": "guest_unavailable", "message": "no"}}, errors.GuestUnavailable),
        ({"ok": False}, errors.InvalidReply),
        ({}, errors.InvalidReply),
    ],
)
def test_a_ticket_that_is_refused(
    tmp_path: Path, reply: dict[str, Any], kind: type[errors.GaoError]
) -> None:
    def script(stream: socket.socket) -> None:
        assert fakes.read_json(stream) == {"ticket": "x", "stream": "copy-out"}
        fakes.write_json(stream, reply)

    path = tmp_path / "s"
    serve(path, script)
    with pytest.raises(kind):
        copy.copy_out({"socket": str(path), "ticket": "x"}, "/x", str(tmp_path / "y"))


def test_a_driver_that_answers_nonsense(tmp_path: Path) -> None:
    def script(stream: socket.socket) -> None:
        fakes.read_json(stream)
        stream.sendall(b"\xff\xff\xff\xff")

    serve(tmp_path / "s", script)
    with pytest.raises(errors.InvalidReply):
        copy.copy_out({"socket": str(tmp_path / "s"), "ticket": "x"}, "/x", str(tmp_path / "y"))
