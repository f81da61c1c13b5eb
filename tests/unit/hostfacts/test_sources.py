"""Files that a config names are read from this host, and those outside the project are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.hostfacts import sources
from gaovm.project.lima import embedding


@pytest.fixture
def files(tmp_path: Path) -> sources.Files:
    (tmp_path / "web").mkdir()
    (tmp_path / "home" / "templates" / "_more").mkdir(parents=True)
    (tmp_path / "home" / "_config").mkdir()
    return sources.Files(tmp_path / "home", str(tmp_path / "web"))


def test_what_lies_outside_the_project_is_told(files: sources.Files, tmp_path: Path) -> None:
    inside, outside, link = tmp_path / "web" / "a", tmp_path / "b", tmp_path / "web" / "link"
    inside.write_text("a")
    outside.write_text("b")
    link.symlink_to(outside)
    assert files.file(str(inside)) == b"a"
    assert files.outside == []
    assert files.file(str(link)) == b"b"
    assert files.file(str(outside)) == b"b"
    assert files.outside == [str(outside)]


def test_gaovms_own_directory_is_closed_but_for_the_templates(tmp_path: Path) -> None:
    home = tmp_path / "web" / ".gaovm"
    for name in ("vms/other/config.json", "_config/default.yaml", "templates/x.yaml"):
        (home / name).parent.mkdir(parents=True)
        (home / name).write_text("cpus: 1\n")
    (tmp_path / "web" / "link").symlink_to(home / "vms" / "other" / "config.json")
    files = sources.Files(home, str(tmp_path / "web"))
    for path in (
        home / "vms/other/config.json",
        home / "_config/default.yaml",
        home.parent / "link",
    ):
        with pytest.raises(embedding.Unavailable, match="GaoVM's own directory"):
            files.file(str(path))
    assert files.file(str(home / "templates" / "x.yaml")) == b"cpus: 1\n"


def test_what_is_no_file_of_a_person_is_refused(files: sources.Files, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in ("/dev/zero", tmp_path, tmp_path / "fifo", "/proc/self/mem/x", "/a\0b", "/none"):
        with pytest.raises(embedding.Unavailable) as info:
            files.file(str(path))
        assert info.value.reason and info.value.remedy


def test_no_more_than_a_byte_too_much_is_read(files: sources.Files, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    assert len(files.file(str(large))) == embedding.MAX_BYTES + 1


def test_the_user_s_templates_come_before_ours(files: sources.Files, tmp_path: Path) -> None:
    assert b'PROJECT_NAME: "web"' in files.template("dev.yaml")
    (tmp_path / "home" / "templates" / "dev.yaml").write_text("cpus: 1\n")
    (tmp_path / "home" / "templates" / "_more" / "x.sh").write_text("true\n")
    assert files.template("dev.yaml") == b"cpus: 1\n"
    assert files.template("_more/x.sh") == b"true\n"
    with pytest.raises(embedding.Unavailable, match="there is no template 'none'") as info:
        files.template("none.yaml")
    assert str(tmp_path / "home" / "templates") in info.value.remedy
    assert files.outside == []


def test_a_file_of_the_user_s_own_is_there_or_not(files: sources.Files, tmp_path: Path) -> None:
    assert files.config("default.yaml") is None
    path = tmp_path / "home" / "_config" / "default.yaml"
    path.write_text("cpus: 1\n")
    assert files.config("default.yaml") == b"cpus: 1\n"
    path.unlink()
    path.mkdir()
    with pytest.raises(errors.ConfigError, match="not a regular file"):
        files.config("default.yaml")


def test_a_file_is_fetched_once_and_then_known(files: sources.Files, tmp_path: Path) -> None:
    path = tmp_path / "web" / "a"
    path.write_text("a")
    gathered = sources.Gathered(files)
    assert gathered.file(str(path)) == b""
    assert gathered.file("/none") == b""
    assert gathered.lacking == [str(path), "/none"]
    gathered.fetch()
    assert gathered.lacking == []
    assert gathered.file(str(path)) == b"a"
    with pytest.raises(embedding.Unavailable):
        gathered.file("/none")
