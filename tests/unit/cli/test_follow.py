from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.cli import entries, follow, logfiles

#: So long that only what never comes exceeds it, however busy the machine is.
LIMIT_S = 60


class Reader:
    """Follows a file in a thread; ``expect`` blocks until the bytes were read."""

    def __init__(self, path: Path, lines: int) -> None:
        self.data = b""
        self._news = threading.Condition()
        self._path, self._lines = path, lines
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for block in follow.raw(self._path, self._lines):
            with self._news:
                self.data += block
                self._news.notify()

    def expect(self, data: bytes) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.data) >= len(data), LIMIT_S), self.data
            assert self.data == data


def test_follow_continues_across_rotation_truncation_and_removal(tmp_path: Path) -> None:
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
    reader.thread.join(LIMIT_S)
    assert not reader.thread.is_alive()


def test_follow_waits_for_a_file_that_does_not_exist_yet(tmp_path: Path) -> None:
    directory = tmp_path / "vm"
    directory.mkdir()
    reader = Reader(directory / "serial.log", 10)
    (directory / "other.log").write_bytes(b"no\n")
    (directory / "serial.log").write_bytes(b"yes\n")
    reader.expect(b"yes\n")
    shutil.rmtree(directory)
    reader.thread.join(LIMIT_S)


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(errors.HostError, match="cannot be watched: No such file"):
        next(follow.raw(tmp_path / "no" / "serial.log", 1))


def test_several_rotations_between_two_reads_lose_nothing(tmp_path: Path) -> None:
    log = tmp_path / "serial.log"
    log.write_bytes(b"0\n")
    with logfiles.LogFile(log) as file:
        tail = file.tail()
    for number in range(1, 4):
        for older in (2, 1):
            if (path := logfiles.generation(log, older)).exists():
                path.rename(logfiles.generation(log, older + 1))
        with log.open("ab") as open_log:
            open_log.write(b"%d, late\n" % (number - 1))
        log.rename(logfiles.generation(log, 1))
        log.write_bytes(b"%d\n" % number)
    assert b"".join(data for data, _, _ in tail.blocks()) == (
        b"0, late\n1\n1, late\n2\n2, late\n3\n"
    )
    assert list(tail.blocks()) == []
    tail.close()


class Merged:
    """Follows several logs in a thread."""

    def __init__(self, sources: list[entries.Source], count: int) -> None:
        self.texts: list[str] = []
        self._news = threading.Condition()
        self._sources, self._count = sources, count
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for came in follow.merged(self._sources, entries.Choice(), self._count):
            with self._news:
                self.texts += [f"{entry.source} {entry.message}" for entry in came]
                self._news.notify()

    def expect(self, *texts: str) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.texts) >= len(texts), LIMIT_S), self.texts
            assert self.texts == list(texts)


def line(second: int, message: str) -> bytes:
    stamp = f"2026-01-01T00:00:{second:02}.000Z"
    return json.dumps({"ts": stamp, "level": "info", "message": message}).encode() + b"\n"


def test_several_logs_are_followed_as_one(tmp_path: Path) -> None:
    vm, other = tmp_path / "vm", tmp_path / "logs"
    vm.mkdir()
    other.mkdir()
    (vm / "driver.log").write_bytes(line(1, "one") + line(3, "three"))
    (other / "gaovmd.log").write_bytes(line(2, "two"))
    sources = [
        entries.Source("driver", vm / "driver.log", plain=False),
        entries.Source("serial", vm / "serial.log", plain=True),
        entries.Source("daemon", other / "gaovmd.log", plain=False),
    ]
    reader = Merged(sources, 2)
    seen = ["daemon two", "driver three"]
    reader.expect(*seen)
    with (other / "gaovmd.log").open("ab") as file:
        file.write(line(4, "four"))
    reader.expect(*seen, "daemon four")
    (vm / "driver.log").rename(vm / "driver.log.1")
    (vm / "driver.log").write_bytes(line(5, "five"))
    reader.expect(*seen, "daemon four", "driver five")
    (vm / "serial.log").write_bytes(b"a prompt without an end: ")
    reader.expect(*seen, "daemon four", "driver five", "serial a prompt without an end: ")
    for path in vm.iterdir():
        path.unlink()
    vm.rmdir()
    reader.thread.join(LIMIT_S)
    assert not reader.thread.is_alive()
