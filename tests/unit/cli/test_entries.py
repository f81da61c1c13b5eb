"""Log entries: parsing lines, selecting them, and ordering them by time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gaovm.cli import entries, logfiles


def line(second: float, message: str, **more: Any) -> bytes:
    data = {"ts": entries.stamp(second), "level": "info", "logger": "gaovm.driver.vm", **more}
    return json.dumps({**data, "message": message}).encode() + b"\n"


def make(tmp_path: Path, data: bytes, name: str = "driver") -> entries.Source:
    path = tmp_path / f"{name}.log"
    path.write_bytes(data)
    return entries.Source(name, path, plain=name == "serial", vm="web")


def forwards(*sources: entries.Source) -> list[entries.Entry]:
    files = [logfiles.LogFile(source.path) for source in sources]
    pairs = zip(sources, files, strict=True)
    return list(entries.merged([entries.forwards(*pair) for pair in pairs]))


def last(source: entries.Source, count: int, **choice: Any) -> list[str]:
    with logfiles.LogFile(source.path) as file:
        found = entries.last(source, file, entries.Choice(**choice), count)
    return [entry.message for entry in found]


def test_an_entry_for_people_and_for_programs(tmp_path: Path) -> None:
    error = "Traceback:\n  boom"
    source = make(tmp_path, line(1.5, "bad\x1b[2Jnews", level="error", error=error))
    entry = forwards(source)[0]
    assert entry.text(with_source=True) == (
        "1970-01-01T00:00:01.500Z driver    error vm: bad[2Jnews\n    Traceback:\n      boom\n"
    )
    assert entry.text(with_source=False).startswith("1970-01-01T00:00:01.500Z error vm: bad")
    assert json.loads(entry.json()) == {
        "ts": "1970-01-01T00:00:01.500Z",
        "source": "driver",
        "level": "error",
        "logger": "gaovm.driver.vm",
        "vm": "web",
        "error": error,
        "message": "bad\x1b[2Jnews",
    }
    assert "\x1b" not in entry.json()


def test_sources_are_merged_by_time(tmp_path: Path) -> None:
    one = make(tmp_path, line(1, "a") + line(5, "d"))
    two = make(tmp_path, line(2, "b") + line(2, "c"), "agent")
    assert [entry.message for entry in forwards(one, two)] == ["a", "b", "c", "d"]


def test_output_that_bypasses_the_logger_gets_the_time_of_the_line_before(
    tmp_path: Path,
) -> None:
    stray = b"Fatal Python error\n" + b'{"message": 1}\n' + b"\xff[[[[\n"
    source = make(tmp_path, line(1, "a") + stray + line(2, "b"))
    found = forwards(source)
    assert [entry.when for entry in found] == [1, 1, 1, 1, 2]
    assert [entry.level for entry in found] == ["info", "error", "error", "error", "info"]
    with logfiles.LogFile(source.path) as file:
        backwards = list(entries.backwards(source, file))
    assert [(e.when, e.message) for e in backwards[::-1]] == [(e.when, e.message) for e in found]
    assert {entry.vm for entry in found} == {"web"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, ["4"]),
        ({"level": "warn"}, ["3"]),
        ({"level": "error"}, ["1"]),
        ({"level": "debug", "since": 2}, ["4"]),
        ({"level": "error", "since": 2}, []),
    ],
)
def test_the_last_matching_entries_are_chosen(
    tmp_path: Path, choice: dict[str, Any], expected: list[str]
) -> None:
    levels = ["error", "debug", "warn", "info"]
    data = b"".join(line(n, str(n), level=level) for n, level in enumerate(levels, 1))
    assert last(make(tmp_path, data), 1, **choice) == expected
    assert last(make(tmp_path, data), 0, **choice) == []


def test_the_daemons_lines_of_another_vm_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "gaovmd.log"
    path.write_bytes(line(1, "a", vm="web") + line(2, "b", vm="db") + line(3, "c"))
    source = entries.Source("daemon", path, plain=False)
    assert last(source, 9, vm="web") == ["a"]
    assert last(source, 9) == ["a", "b", "c"]


def test_plain_output_counts_as_info_and_empty_lines_as_nothing(tmp_path: Path) -> None:
    source = make(tmp_path, b"one\r\n\r\ntwo", "serial")
    assert last(source, 9) == ["one", "two"]
    assert last(source, 9, level="info") == ["one", "two"]
    assert last(source, 9, level="warn") == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-01T00:01:00Z", 60), ("1970-01-01T01:01:00.5+01:00", 60.5), ("soon", None)],
)
def test_times(text: str, seconds: float | None) -> None:
    assert entries.parse_time(text) == seconds


def test_a_time_out_of_range_is_still_shown() -> None:
    assert entries.stamp(1e30) == "9999-12-31T23:59:59.000Z"
