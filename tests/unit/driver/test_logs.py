"""Logs with an index that says when each byte was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaovm.aio import clock
from gaovm.driver import logs


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(clock, "now", lambda: self.seconds)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def pairs(path: Path) -> list[tuple[int, int]]:
    return list(logs.PAIR.iter_unpack(path.read_bytes()))


def test_the_index_has_each_moment(tmp_path: Path, at: Clock) -> None:
    path = tmp_path / "serial.log"
    log = logs.StampedLog(path)
    log.write(b"one\n")
    log.write(b"at once\n")
    at.seconds += 2.5
    log.write(b"later\n")
    at.seconds -= 1000  # somebody sets the host's clock back
    log.write(b"earlier\n")
    log.close()
    assert path.read_bytes() == b"one\nat once\nlater\nearlier\n"
    assert pairs(tmp_path / "serial.times") == [
        (path.stat().st_ino, 0),
        (0, 1000_000),
        (12, 1002_500),
        (18, 2_500),
    ]


def test_log_and_index_rotate_together_and_continue_after_a_restart(
    tmp_path: Path, at: Clock
) -> None:
    path = tmp_path / "serial.log"
    log = logs.StampedLog(path, max_bytes=10)
    log.write(b"12345678")
    at.seconds += 1
    log.write(b"9abc")
    log.close()
    at.seconds += 1
    log = logs.StampedLog(path, max_bytes=10)
    log.write(b"def")
    log.close()
    assert path.read_bytes() == b"9abcdef"
    assert pairs(tmp_path / "serial.times") == [
        (path.stat().st_ino, 0),
        (0, 1001_000),
        (4, 1002_000),
    ]
    assert pairs(tmp_path / "serial.times.1")[1:] == [(0, 1000_000)]


@pytest.mark.parametrize("index", [b"", b"torn", b"\1" * 16, b"\2" * 48])
def test_an_index_of_another_file_is_not_continued(tmp_path: Path, at: Clock, index: bytes) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(b"old\n")
    (tmp_path / "serial.times").write_bytes(index)
    log = logs.StampedLog(path)
    log.write(b"new\n")
    log.close()
    assert pairs(tmp_path / "serial.times") == [(path.stat().st_ino, 0), (4, 1000_000)]


def test_an_index_is_bounded(tmp_path: Path, at: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_INDEX_BYTES", 160)
    log = logs.StampedLog(tmp_path / "serial.log")
    for _ in range(100):
        at.seconds += 1
        log.write(b"x")
    log.close()
    sizes = [p.stat().st_size for p in tmp_path.glob("serial.times*")]
    assert len(sizes) == 4 and max(sizes) <= 176
