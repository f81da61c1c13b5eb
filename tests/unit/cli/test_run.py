from __future__ import annotations

from pathlib import Path

import pytest

from gaovm import errors
from gaovm.cli.commands import run

MOUNTS = [
    {"location": "/home/ann", "mount_point": "/home/ann"},
    {"location": "/home/ann/src/web/", "mount_point": "/srv/web/"},
]


@pytest.mark.parametrize(
    ("directory", "found"),
    [
        ("/home/ann", "/home/ann"),
        ("/home/ann/a b", "/home/ann/a b"),
        ("/home/ann/src/web", "/srv/web"),
        ("/home/ann/src/web/js", "/srv/web/js"),
        ("/home/ann/src/web2", "/home/ann/src/web2"),
        ("/home/anna", None),
        ("/tmp", None),
    ],
)
def test_the_deepest_mount_determines_the_directory(directory: str, found: str | None) -> None:
    assert run.guest_path(MOUNTS, [directory]) == found
    assert run.guest_path(list(reversed(MOUNTS)), [directory]) == found


def test_a_root_mount_and_the_second_name_of_a_directory() -> None:
    root = [{"location": "/", "mount_point": "/host"}]
    assert run.guest_path(root, ["/etc"]) == "/host/etc"
    assert run.guest_path([{"location": "/x", "mount_point": "/"}], ["/x"]) == "/"
    assert run.guest_path(MOUNTS, ["/real", "/home/ann/link"]) == "/home/ann/link"


def test_the_working_directory_falls_back_to_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    away = {"home": "/home/ann.guest", "mounts": []}
    assert run.working_directory(None, away) == ("/home/ann.guest", True)
    assert run.working_directory("/opt", away) == ("/opt", False)
    assert run.working_directory("src", away) == ("/home/ann.guest/src", False)
    here = {**away, "mounts": [{"location": str(tmp_path), "mount_point": "/p"}]}
    assert run.working_directory(None, here) == ("/p", True)
    assert run.working_directory("src", here) == ("/p/src", False)


def test_a_symbolic_link_to_a_mount_counts_and_a_stale_pwd_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    ticket = {"mounts": [{"location": str(tmp_path / "link"), "mount_point": "/p"}]}
    monkeypatch.setenv("PWD", str(tmp_path / "link"))
    assert run.working_directory(None, ticket) == ("/p", True)
    monkeypatch.setenv("PWD", str(tmp_path))
    assert run.working_directory(None, ticket) == ("", True)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "here")
    monkeypatch.delenv("UNSET", raising=False)
    assert run.environment(["A=1=2", "B=", "SET", "UNSET"]) == {"A": "1=2", "B": "", "SET": "here"}
    with pytest.raises(errors.UsageError):
        run.environment(["=x"])
