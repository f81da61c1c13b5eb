from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.cli import follow


class Reader:
    """Follows a file in a thread; ``expect`` blocks until the bytes were read."""

    def __init__(self, path: Path, lines: int) -> None:
        self.data = b""
        self._news = threading.Condition()
        self._path, self._lines = path, lines
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for block in follow.follow(self._path, self._lines):
            with self._news:
                self.data += block
                self._news.notify()

    def expect(self, data: bytes) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.data) >= len(data), 5), self.data
            assert self.data == data


def test_follow_goes_on_across_rotation_truncation_and_removal(tmp_path: Path) -> None:
    directory = tmp_path / "vm"
    directory.mkdir()
    log = directory / "serial.log"
    log.write_bytes(b"1\n2\n3\n")
    reader = Reader(log, 2)
    reader.expect(b"2\n3\n")
    with log.open("ab") as file:
        file.write(b"4\n")
        file.flush()
        reader.expect(b"2\n3\n4\n")
        log.rename(directory / "serial.log.1")
        file.write(b"5\n")
        file.flush()
    reader.expect(b"2\n3\n4\n5\n")
    log.write_bytes(b"6\n7\n")
    reader.expect(b"2\n3\n4\n5\n6\n7\n")
    log.write_bytes(b"8\n")
    reader.expect(b"2\n3\n4\n5\n6\n7\n8\n")
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    reader.thread.join(5)
    assert not reader.thread.is_alive()


def test_a_file_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "serial.log", 10)
    (tmp_path / "other.log").write_bytes(b"no\n")
    (tmp_path / "serial.log").write_bytes(b"yes\n")
    reader.expect(b"yes\n")


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(errors.HostError, match="cannot be watched: No such file"):
        next(follow.follow(tmp_path / "no" / "serial.log", 1))


@pytest.mark.parametrize(
    ("content", "lines", "tail"),
    [
        (b"", 3, b""),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\n", 5, b"a\nb\n"),
        (b"a\nb\n", 0, b""),
        (b"x" * 200_000 + b"\n" + b"y" * 100_000 + b"\n", 1, b"y" * 100_000 + b"\n"),
    ],
)
def test_tail(tmp_path: Path, content: bytes, lines: int, tail: bytes) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(content)
    assert b"".join(follow.read(path, lines)) == tail
    assert b"".join(follow.read(path, None)) == content
