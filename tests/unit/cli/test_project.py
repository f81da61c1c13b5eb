"""Reading the project file: at most 256 KiB, without blocking; each error names the place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.cli import project_dir


def project(directory: Path, content: bytes) -> project_dir.Project:
    (directory / ".lima").mkdir()
    (directory / ".lima" / "config.yaml").write_bytes(content)
    return project_dir.Project(str(directory))


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    found = project(tmp_path, b"cpus: 1\nmessage: caf\xe9\n")
    with pytest.raises(
        errors.ConfigError, match=r"config.yaml:2: not UTF-8: the byte 0xe9"
    ) as info:
        found.text()
    assert info.value.remedy == "save the file as UTF-8"


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    found = project(tmp_path, b"#" * (256 << 10) + b"\n")
    with pytest.raises(errors.ConfigError, match="larger than 256 KiB"):
        found.text()


def test_reading_a_fifo_does_not_block(tmp_path: Path) -> None:
    (tmp_path / ".lima").mkdir()
    fifo = tmp_path / ".lima" / "config.yaml"
    os.mkfifo(fifo)
    assert project_dir.Project(str(tmp_path)).text() == ""
    with os.fdopen(os.open(fifo, os.O_RDWR)):  # the fifo has a writer
        assert project_dir.Project(str(tmp_path)).text() == ""
