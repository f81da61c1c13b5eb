"""Logs with their rotated generations, read forwards and backwards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm.cli import logfiles
from gaovm.driver import logs


def write(path: Path, parts: list[bytes]) -> None:
    """Write the generations of a log, oldest first."""
    for number, part in enumerate(reversed(parts)):
        logfiles.generation(path, number).write_bytes(part)


@given(st.lists(st.text("ab\n\r", max_size=30), min_size=1, max_size=4), st.integers(1, 7))
def test_lines_are_the_same_in_both_directions_and_for_any_block_size(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], chunk: int
) -> None:
    path = tmp_path_factory.mktemp("logs") / "a.log"
    parts = [text.encode() for text in texts]
    write(path, parts)
    kept, logfiles.CHUNK = logfiles.CHUNK, chunk
    try:
        with logfiles.LogFile(path) as file:
            forwards = list(file.lines())
            backwards = list(file.lines_back())
            whole = b"".join(file.blocks())
            assert file.last(2) == [data for data, _, _ in forwards[-2:]]
    finally:
        logfiles.CHUNK = kept
    assert whole == b"".join(parts)
    assert [data for data, _, _ in forwards] == re.findall(rb"[^\n]*\n|[^\n]+", whole)
    assert b"".join(data for data, _, _ in forwards) == whole
    assert backwards == forwards[::-1]
    inodes = {logfiles.generation(path, n).stat().st_ino: n for n in range(len(parts))}
    for data, inode, offset in forwards:
        there = logfiles.generation(path, inodes[inode]).read_bytes()[offset:]
        assert data.startswith(there[: len(data)]) and there


def test_an_endless_line_is_returned_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 3_000_000 + b"\nlast\n")
    with logfiles.LogFile(path) as file:
        for lines in (list(file.lines()), list(file.lines_back())[::-1]):
            assert b"".join(data for data, _, _ in lines) == path.read_bytes()
            assert max(len(data) for data, _, _ in lines) <= logfiles.MAX_LINE + logfiles.CHUNK
            assert lines[-1][0] == b"last\n"


def test_the_index_has_the_time_of_each_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("gaovm.aio.clock.now", lambda: now[0])
    path = tmp_path / "serial.log"
    log = logs.StampedLog(path, max_bytes=24)
    times = logfiles.Times(path)
    for number in range(9):
        now[0] = 1000.0 + number
        log.write(b"line %d\n" % number)
        with logfiles.LogFile(path) as file:
            data, inode, offset = next(iter(file.lines_back()))
        assert data == b"line %d\n" % number
        assert times.find(inode, offset) == now[0]
    log.close()
    with logfiles.LogFile(path) as file:
        found = [(data, times.find(inode, offset)) for data, inode, offset in file.lines()]
    assert found == [(b"line %d\n" % number, 1000.0 + number) for number in range(9)]


def test_a_log_without_an_index_has_no_times(tmp_path: Path) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(b"old\n")
    assert logfiles.Times(path).find(path.stat().st_ino, 0) is None
    (tmp_path / "serial.times").write_bytes(b"\0" * 31)
    assert logfiles.Times(path).find(path.stat().st_ino, 0) is None
