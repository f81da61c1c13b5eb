from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.openssh import alias, keys, userfiles

SETTINGS = [("User", "ann")]


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_alias_makes_private_files(user: Path) -> None:
    ours = userfiles.put("web", "/h", SETTINGS, {"web"})
    config = user / ".ssh" / "config"
    assert (mode(user / ".ssh"), mode(config), mode(ours)) == (0o700, 0o600, 0o600)
    assert config.read_text() == f"{alias.include_line(str(ours))}\n"
    assert sorted(os.listdir(user / ".ssh")) == ["config", "gaovm.config"]


def test_foreign_content_modes_and_links_stay(user: Path) -> None:
    place = user / ".ssh"
    place.mkdir(mode=0o750)
    real = user / "dotfiles"
    real.write_bytes(b"Host caf\xe9\r\n  User me")
    real.chmod(0o644)
    (place / "config").symlink_to(real)
    userfiles.put("web", "/h", SETTINGS, {"web"})
    userfiles.put("web", "/h", SETTINGS, {"web"})
    assert (place / "config").is_symlink() and mode(real) == 0o644 and mode(place) == 0o750
    assert real.read_bytes().endswith(b"\nHost caf\xe9\r\n  User me")
    assert real.read_bytes().count(b"Include") == 1
    assert userfiles.remove(lambda *_: True)
    assert real.read_bytes() == b"Host caf\xe9\r\n  User me"
    assert not (place / "gaovm.config").exists()
    assert not userfiles.remove(lambda *_: True)


def test_a_vm_that_is_gone_loses_its_alias_at_the_next_write(user: Path) -> None:
    ours = userfiles.put("web", "/h", SETTINGS, {"web"})
    userfiles.put("other", "/elsewhere", SETTINGS, {"other"})
    userfiles.put("db", "/h", SETTINGS, {"db"})
    assert alias.names(ours.read_text(), "/h") == ["db"]
    assert alias.names(ours.read_text(), "/elsewhere") == ["other"]


def test_a_destroyed_vm_leaves_nothing(user: Path) -> None:
    home = user / "state"
    keys.ensure(str(home), "web")
    ours = userfiles.put("web", str(home), SETTINGS, {"web", "db"})
    userfiles.put("db", str(home), SETTINGS, {"web", "db"})
    for _ in range(2):
        userfiles.forget(str(home), "web")
    assert alias.names(ours.read_text(), str(home)) == ["db"]
    assert os.listdir(home / "ssh" / "hosts") == []
    userfiles.forget(str(home), "db")
    assert not ours.exists()
    assert (user / ".ssh" / "config").read_text() == ""


def test_a_config_that_cannot_be_written_stays_and_the_remedy_has_the_line(user: Path) -> None:
    place = user / ".ssh"
    place.mkdir()
    (place / "config").symlink_to("/proc/version")
    with pytest.raises(errors.HostError) as caught:
        userfiles.put("web", "/h", SETTINGS, {"web"})
    assert "by hand: Include" in (caught.value.remedy or "")


def test_a_huge_config_is_refused(user: Path) -> None:
    (user / ".ssh").mkdir()
    with (user / ".ssh" / "config").open("wb") as file:
        file.truncate((4 << 20) + 1)
    with pytest.raises(errors.HostError, match="longer than"):
        userfiles.put("web", "/h", SETTINGS, {"web"})


def _put(name: str) -> None:
    userfiles.put(name, "/h", SETTINGS, {f"vm{number}" for number in range(8)})


def test_writers_take_turns(user: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(_put, [f"vm{number}" for number in range(8)])
    text = (user / ".ssh" / "gaovm.config").read_text()
    assert sorted(alias.names(text, "/h")) == [f"vm{number}" for number in range(8)]
