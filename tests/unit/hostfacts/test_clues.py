"""Reading what a guest may have written: links, pipes, sizes."""

from __future__ import annotations

import os
from pathlib import Path

from gaovm.hostfacts import sources
from gaovm.project.detection import clues


def test_texts_and_marks(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n")
    (tmp_path / "Gemfile").write_bytes(b"\xef\xbb\xbfgem 'x'\n")
    (tmp_path / "manage.py").touch()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "base.txt").write_text("flask\n")
    found = sources.clues(tmp_path)
    texts = {"go.mod": "module x\n", "Gemfile": "gem 'x'\n", "requirements/base.txt": "flask\n"}
    assert found == sources.Clues(texts, frozenset({"manage.py"}))


def test_what_is_no_plain_file_of_the_project_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "base.txt").write_text("secret\n")
    project = tmp_path / "project"
    project.mkdir()
    (project / "requirements").symlink_to(secret)
    (project / "go.mod").symlink_to(secret / "base.txt")
    (project / "manage.py").symlink_to(secret / "base.txt")
    os.mkfifo(project / "Gemfile")
    (project / "Dockerfile").mkdir()
    (project / "Cargo.toml").write_bytes(b"\xff")
    (project / "package.json").write_text(" " * (clues.MAX_BYTES + 1))
    found = sources.clues(project)
    assert (found.texts, found.marks) == ({}, frozenset())
    assert set(found.unread) == {"go.mod", "Gemfile", "Dockerfile", "Cargo.toml", "package.json"}
    assert found.unread["package.json"] == "larger than 256 KiB"
    assert found.unread["Cargo.toml"] == "not UTF-8"


def test_a_file_in_the_place_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "requirements").touch()
    assert sources.clues(tmp_path) == sources.Clues()
