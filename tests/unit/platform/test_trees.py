"""Changes below a directory, on a real file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.platform import system, trees
from gaovm.platform.changes import Kind, Taken

pytestmark = pytest.mark.skipif(not system.LINUX, reason="only Linux has inotify")
MADE, CHANGED, GONE = Kind.MADE, Kind.CHANGED, Kind.GONE


def watch(root: Path, limit: int = 100) -> trees.Tree:
    tree = trees.below(str(root), limit)
    while tree.walk(1):
        pass
    return tree


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[trees.Tree]:
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "a").write_text("1")
    tree = watch(tmp_path)
    yield tree
    tree.close()


def seen(taken: Taken) -> dict[str, Kind]:
    assert not taken.lost
    return {change.path: change.kind for change in taken.changes}


def take(tree: trees.Tree) -> dict[str, Kind]:
    """Take what has changed, also in directories that are new."""
    found = seen(tree.take())
    while tree.walk(1):
        pass
    return {**found, **seen(tree.take())}


def test_a_file_is_written_made_and_removed(tree: trees.Tree, tmp_path: Path) -> None:
    (tmp_path / "src" / "a").write_text("2")
    (tmp_path / "src" / "deep" / "b").write_text("1")
    assert take(tree) == {"src/a": CHANGED, "src/deep/b": MADE}
    (tmp_path / "src" / "a").unlink()
    assert take(tree) == {"src/a": GONE}
    assert take(tree) == {}


def test_a_file_is_told_when_it_is_closed_or_stays_open(
    tree: trees.Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "src" / "a").open("w", buffering=1) as file:
        file.write("half\n")
        assert take(tree) == {}
        assert tree.waits_s is not None
        file.write("whole\n")
    assert take(tree) == {"src/a": CHANGED}
    assert tree.waits_s is None
    monkeypatch.setattr("gaovm.platform.linux.tree.OPEN_LIMIT_S", 0.0)
    with (tmp_path / "src" / "log").open("w", buffering=1) as file:
        file.write("line\n")
        assert take(tree) == {"src/log": MADE}


def test_touch_counts(tree: trees.Tree, tmp_path: Path) -> None:
    os.utime(tmp_path / "src" / "a")
    assert take(tree) == {"src/a": CHANGED}


def test_an_opening_for_writing_alone_does_not(tree: trees.Tree, tmp_path: Path) -> None:
    os.close(os.open(tmp_path / "src" / "a", os.O_WRONLY))
    assert take(tree) == {}


def test_what_is_in_a_new_directory(tree: trees.Tree, tmp_path: Path) -> None:
    (tmp_path / "new" / "inner").mkdir(parents=True)
    (tmp_path / "new" / "inner" / "c").write_text("1")
    assert take(tree) == {"new": MADE, "new/inner": MADE, "new/inner/c": MADE}
    (tmp_path / "new" / "inner" / "c").write_text("2")
    assert take(tree) == {"new/inner/c": CHANGED}


def test_a_renamed_directory_is_followed(tree: trees.Tree, tmp_path: Path) -> None:
    (tmp_path / "src").rename(tmp_path / "lib")
    assert take(tree)["src"] == GONE
    (tmp_path / "lib" / "deep" / "d").write_text("1")
    assert take(tree) == {"lib/deep/d": MADE}
    assert set(tree.directories()) == {"", "lib", "lib/deep"}


def test_links_are_not_followed(
    tree: trees.Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaovm.platform.linux.tree.OPEN_LIMIT_S", 0.0)  # a link is never closed
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "src" / "link").symlink_to(outside)
    assert take(tree) == {"src/link": MADE}
    (outside / "secret").write_text("1")
    assert take(tree) == {}


def test_the_limit_counts_what_it_leaves_out(tmp_path: Path) -> None:
    for name in ("node_modules", "b", "c"):
        (tmp_path / name).mkdir()
    tree = watch(tmp_path, 3)
    try:
        assert set(tree.directories()) == {"", "b", "c"}  # what nobody edits comes last
        assert (tree.watched, tree.unwatched) == (3, 1)
    finally:
        tree.close()


def test_more_than_the_kernel_keeps_is_told(tree: trees.Tree, tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 1 << 16:
        pytest.skip("the kernel keeps very many")
    names = [tmp_path / "src" / name for name in "xy"]
    for number in range(limit // 2 + 10):
        os.close(os.open(names[number % 2], os.O_CREAT))
        names[number % 2].unlink()
    lost = False
    while (taken := tree.take()).changes or taken.lost:
        lost = lost or taken.lost
    assert lost
    (tmp_path / "src" / "a").write_text("3")
    assert "src/a" in take(tree)


def test_a_name_that_is_no_text_stands_for_its_directory(tree: trees.Tree, tmp_path: Path) -> None:
    (tmp_path / "src" / os.fsdecode(b"\xff")).write_text("1")
    assert take(tree) == {"src": CHANGED}


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(errors.HostError, match="cannot be watched"):
        trees.below(str(tmp_path / "none"), 1)
