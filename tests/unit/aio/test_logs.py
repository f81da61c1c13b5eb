from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.aio import logs


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    kept = [(logging.getLogger(name), logging.getLogger(name).level) for name in ("", "gaovm")]
    yield
    for logger, level in kept:
        logger.setLevel(level)


def record(message: str, *args: Any, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("gaovm.x", level, __file__, 1, message, args, None)


def test_a_line_has_its_fields_and_the_vm() -> None:
    line = json.loads(logs.JsonLines().line(record("vm web-dev: %s", "stopped")))
    assert list(line) == ["ts", "level", "logger", "message", "vm"]
    assert line["level"] == "warn" and line["vm"] == "web-dev" and line["ts"].endswith("Z")
    assert "vm" not in json.loads(logs.JsonLines().line(record("the vm web: no")))
    assert json.loads(logs.JsonLines("mine").line(record("vm other: x")))["vm"] == "mine"
    given_vm = record("said")
    given_vm.vm = "extra"
    assert json.loads(logs.JsonLines().line(given_vm))["vm"] == "extra"


def test_an_exception_is_in_the_line() -> None:
    try:
        raise errors.InternalError("why")
    except errors.InternalError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()
    line = logs.JsonLines().line(failed)
    assert "InternalError: why" in json.loads(line)["error"] and b"\n" not in line


@given(st.text(st.characters(codec=None, categories=None), max_size=50))
def test_any_message_becomes_one_line_of_json(text: str) -> None:
    line = logs.JsonLines().line(record("%s", text))
    assert b"\n" not in line and b"\x1b" not in line
    json.loads(line)


def test_a_long_message_is_cut() -> None:
    assert len(logs.JsonLines().line(record("%s", "x" * 100_000))) < 10_000


def test_files_rotate_and_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = logs.RotatingFile(path, max_bytes=100, kept=2)
    for number in range(10):
        log.write(b"%d" % number * 60)
    log.close()
    log.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert path.read_bytes() == b"9" * 60
    assert path.with_name("a.log.2").read_bytes() == b"7" * 60
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_process_continues_the_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 60)
    log = logs.RotatingFile(path, max_bytes=100)
    log.write(b"y" * 60)
    log.close()
    assert path.read_bytes() == b"y" * 60
    assert path.with_name("a.log.1").read_bytes() == b"x" * 60


def test_a_full_disk_only_loses_lines(tmp_path: Path) -> None:
    full = tmp_path / "full.log"
    full.symlink_to("/dev/full")
    log = logs.RotatingFile(full)
    log.write(b"lost")
    log.close()


def test_stderr_goes_to_the_current_file_after_rotation(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from gaovm.aio import logs\n"
        "log = logs.RotatingFile(pathlib.Path(sys.argv[1]), max_bytes=20)\n"
        "logs.redirect(log)\n"
        "log.write(b'a' * 20)\n"
        "log.write(b'b' * 5)\n"
        "os.write(2, b'stray')\n"
        "os.system('echo child')\n"
    )
    path = tmp_path / "a.log"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=20)
    assert path.read_bytes() == b"bbbbbstraychild\n"
    assert path.with_name("a.log.1").read_bytes() == b"a" * 20


def test_a_new_level_applies_from_the_next_line(tmp_path: Path) -> None:
    log = logs.RotatingFile(tmp_path / "a.log")
    handler = logs.Handler(log)
    ours, other = logging.getLogger("gaovm.x"), logging.getLogger("library")
    for logger in (ours, other):
        logger.addHandler(handler)
    try:
        for level in ("info", "debug", "error"):
            logs.set_level(level)
            assert logs.level() == level
            for logger in (ours, other):
                logger.debug("debug at %s", level)
                logger.info("info at %s", level)
                logger.warning("warn at %s", level)
                logger.error("error at %s", level)
    finally:
        for logger in (ours, other):
            logger.removeHandler(handler)
        handler.close()
    lines = [json.loads(line) for line in (tmp_path / "a.log").read_bytes().splitlines()]
    own = [line["message"] for line in lines if line["logger"] == "gaovm.x"]
    assert own == [
        *("info at info", "warn at info", "error at info"),
        *("debug at debug", "info at debug", "warn at debug", "error at debug"),
        "error at error",
    ]
    theirs = [line["message"] for line in lines if line["logger"] == "library"]
    assert theirs == [
        *("warn at info", "error at info", "warn at debug", "error at debug", "error at error")
    ]


def test_an_unknown_level_changes_nothing() -> None:
    before = logs.level()
    with pytest.raises(errors.InvalidParams, match="'loud'") as caught:
        logs.set_level("loud")
    assert caught.value.remedy == "one of error, warn, info, debug"
    assert logs.level() == before


def test_the_environment_sets_the_initial_level(monkeypatch: pytest.MonkeyPatch) -> None:
    assert logs.initial_level() == "info"
    monkeypatch.setenv("GAOVM_LOG_LEVEL", "debug")
    assert logs.initial_level() == "debug"
    monkeypatch.setenv("GAOVM_LOG_LEVEL", "loud")
    assert logs.initial_level() == "info"


def test_a_wrong_log_call_does_not_raise(capsys: pytest.CaptureFixture[str]) -> None:
    with open(os.devnull, "wb") as nothing:
        logs.Handler(logs.Stream(nothing.fileno())).emit(record("%d", "no number"))
    assert "no number" in capsys.readouterr().err
