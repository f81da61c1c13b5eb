"""The client follows no link that a guest made below a share, and follows other links."""

from __future__ import annotations

import fcntl
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.client.test_tar import ROOT, entry, stream

from gaovm import errors
from gaovm.client import below, copy, tar_read, tar_write


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A directory that a guest can write, beside one that the guest must not reach."""
    (tmp_path / "share").mkdir()
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text("secret")
    return tmp_path / "share"


def opened(path: Path | str, *shared: Path) -> Path:
    fd = below.open_directory(path, map(str, shared))
    try:
        return Path(f"/proc/self/fd/{fd}").readlink()
    finally:
        os.close(fd)


def test_links_of_the_host_are_followed_even_into_a_share(share: Path, tmp_path: Path) -> None:
    (share / "out").mkdir()
    (tmp_path / "to").symlink_to("share")
    (tmp_path / "absolute").symlink_to(tmp_path / "to" / "out")
    assert opened(tmp_path / "to" / "out", share) == share / "out"
    assert opened(tmp_path / "absolute" / ".." / ".." / "private", share) == tmp_path / "private"
    assert opened(share / ".." / "private", share) == tmp_path / "private"


@pytest.mark.parametrize(
    "path",
    ["share/link", "share/link/sub", "share/deep/../link", "to/link", "into/sub", "share/link/.."],
)
def test_a_link_below_a_share_is_not_followed(share: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "private" / "sub").mkdir()
    (share / "deep").mkdir()
    (share / "link").symlink_to("../private")
    (tmp_path / "to").symlink_to(share)
    (tmp_path / "into").symlink_to("share/link")
    with pytest.raises(errors.LinkBelowShare, match="link"):
        opened(tmp_path / path, share)
    assert opened(tmp_path / path).is_dir()  # without a share, links are followed


def test_a_relative_path_counts_from_here(
    share: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(share)
    (share / "link").symlink_to(tmp_path / "private")
    with pytest.raises(errors.LinkBelowShare):
        opened("link", share)
    assert opened(".", share) == share
    assert opened("../private", share) == tmp_path / "private"


def test_an_unreadable_directory_can_be_opened(tmp_path: Path) -> None:
    fd = below.open_directory(tmp_path, ())
    assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_PATH  # O_PATH needs no read permission
    os.close(fd)


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        opened(tmp_path / "a")


def copy_out(destination: Path | str, *shared: Path, name: str | None = "key") -> None:
    """Do what ``gaovm cp vm:key DESTINATION`` does with a stream of one file."""
    target, at = copy._target(str(destination), name, [str(path) for path in shared])
    try:
        tar_read.extract(stream((entry("FILE"), b"theirs")), target, at)
    finally:
        os.close(at.parent)


def test_a_copy_to_the_host_follows_no_link_of_a_guest(share: Path, tmp_path: Path) -> None:
    (share / "dir").symlink_to(tmp_path / "private")
    (share / "file").symlink_to(tmp_path / "private" / "key")
    for path in (share / "dir", f"{share / 'dir'}/", share / "dir" / "key", share / "dir" / "new"):
        with pytest.raises(errors.LinkBelowShare):
            copy_out(path, share)
    copy_out(share / "file", share)  # it replaces the link and leaves the link's target alone
    assert (share / "file").read_text() == "theirs" and not (share / "file").is_symlink()
    assert os.listdir(tmp_path / "private") == ["key"]
    assert (tmp_path / "private" / "key").read_text() == "secret"


def test_a_directory_that_becomes_a_link_before_the_copy_is_not_followed(
    share: Path, tmp_path: Path
) -> None:
    (share / "dir").mkdir()
    target, at = copy._target(str(share / "dir"), "key", [str(share)])
    (share / "dir").rename(share / "old")
    (share / "dir").symlink_to(tmp_path / "private")
    try:
        tar_read.extract(stream(ROOT, (entry("f"), b"theirs")), target, at)
    finally:
        os.close(at.parent)
    assert (share / "old" / "key" / "f").read_text() == "theirs"
    assert os.listdir(tmp_path / "private") == ["key"]


def tree_of(source: Path, shared: Path, output: io.BytesIO) -> None:
    at = below.place(source, [str(shared)])
    try:
        tar_write.write(output, source, at)
    finally:
        os.close(at.parent)


def test_a_copy_to_the_guest_follows_no_link_of_a_guest(share: Path, tmp_path: Path) -> None:
    (share / "dir").symlink_to(tmp_path / "private")
    with pytest.raises(errors.LinkBelowShare):
        tree_of(share / "dir" / "key", share, io.BytesIO())
    out = io.BytesIO()
    tree_of(share / "dir", share, out)  # copies the link itself, as cp -a does
    assert b"secret" not in out.getvalue()


class Swapped(io.BytesIO):
    """An output that lets a guest replace directories by links at the first write."""

    def __init__(self, swap: Callable[[], None]) -> None:
        super().__init__()
        self._swap: Callable[[], None] | None = swap

    def write(self, data: object, /) -> int:
        swap, self._swap = self._swap, None
        if swap is not None:
            swap()
        return super().write(data)  # type: ignore[arg-type]


def test_a_directory_that_becomes_a_link_during_the_copy_is_not_read(
    share: Path, tmp_path: Path
) -> None:
    tree = share / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "large").write_bytes(bytes(1 << 20))
    (tree / "b").mkdir()

    def swap() -> None:
        (tree / "b").rmdir()
        (tree / "b").symlink_to(tmp_path / "private")

    out = Swapped(swap)
    with pytest.raises(errors.GaoError, match=str(tree / "b")):
        tree_of(tree, share, out)
    assert b"secret" not in out.getvalue()


def test_a_guest_that_keeps_swapping_never_wins(share: Path, tmp_path: Path) -> None:
    """A guest swaps a directory and a link all the time while a copy is written there."""
    (share / "dir").mkdir()
    (share / "link").symlink_to(tmp_path / "private")
    ended = threading.Event()

    def swap() -> None:
        names = [share / name for name in ("dir", "spare", "link")]
        while not ended.is_set():
            names[0].rename(names[1])
            names[2].rename(names[0])
            names[0].rename(names[2])
            names[1].rename(names[0])

    guest = threading.Thread(target=swap)
    guest.start()
    try:
        for number in range(200):
            try:
                copy_out(share / "dir" / f"f{number}", share)
            except errors.HostError:
                continue
            except errors.NotFound:
                continue
    finally:
        ended.set()
        guest.join()
    assert os.listdir(tmp_path / "private") == ["key"]


def test_writing_a_single_file_follows_no_link_of_a_guest(share: Path, tmp_path: Path) -> None:
    """As for a screenshot, or the file that ``gaovm init`` writes."""
    key = tmp_path / "private" / "key"
    (share / "shot.png").symlink_to(key)
    below.write(share / "shot.png", b"picture", [str(share)])
    assert ((share / "shot.png").read_bytes(), key.read_text()) == (b"picture", "secret")
    (share / "out").symlink_to(tmp_path / "private")
    with pytest.raises(errors.LinkBelowShare):
        below.write(share / "out" / "key", b"picture", [str(share)])
    os.mkfifo(share / "fifo")
    with pytest.raises(errors.HostError, match="not a regular file"):
        below.write(share / "fifo", b"picture", [str(share)])
    assert (key.read_text(), sorted(os.listdir(share))) == ("secret", ["fifo", "out", "shot.png"])
