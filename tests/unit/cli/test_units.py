from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.cli import main
from gaovm.cli.commands import units

GOLDEN = """\
# Written by `gaovm daemon enable`; `gaovm daemon disable` removes it.
[Unit]
Description=GaoVM, virtual machines of /srv/a b/50%%
RequiresMountsFor="/srv/a b/50%%"

[Service]
Type=exec
ExecStart="/opt/$$x/python" "-P" "-m" "gaovm.daemon"
Environment="GAOVM_HOME=/srv/a b/50%%"
Environment="PATH=/usr/bin:/opt/\\"q\\""
# The daemon shuts its guests down itself; if it dies, its drivers die too.
KillMode=process
TimeoutStopSec=5min
Restart=on-failure
RestartSec=2
# 75: another daemon of this home runs, for example one that a command started
SuccessExitStatus=75
Delegate=yes

[Install]
WantedBy=multi-user.target
"""


def unit(path: Path, *, is_user: bool = False) -> units.Unit:
    return units.Unit(path / "g.service", path / "wants" / "g.service", "/srv/a b/50%", is_user)


def test_the_unit_file(tmp_path: Path) -> None:
    path = {"PATH": '/usr/bin:/opt/"q"'}
    assert units.text(unit(tmp_path), "/opt/$x/python", path) == GOLDEN
    user = units.text(unit(tmp_path, is_user=True), "/opt/$x/python", path)
    assert user == GOLDEN.replace("multi-user.target", "default.target")
    with pytest.raises(errors.UsageError):
        units.text(unit(tmp_path), "/a\nb", {})


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("is_user", [False, True])
def test_systemd_accepts_the_unit_file(tmp_path: Path, is_user: bool) -> None:
    path = tmp_path / "gaovm.service"
    program = shutil.which("true")
    assert program is not None
    path.write_text(units.text(unit(tmp_path, is_user=is_user), program, {"PATH": "/usr/bin"}))
    words = ["systemd-analyze", *(["--user"] if is_user else []), "verify", str(path)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(words, env=environment, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


class Place:
    """A home, a directory for units, and a fake systemctl that records its arguments."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.config = tmp_path / "home", tmp_path / "config"
        self.runtime, self.calls = tmp_path / "run", tmp_path / "calls"
        self.system = tmp_path / "system"
        self.home.mkdir()
        self.runtime.mkdir()
        monkeypatch.setattr(units, "SYSTEM", self.system)
        systemctl = tmp_path / "bin" / "systemctl"
        systemctl.parent.mkdir()
        systemctl.write_text(f'#!/bin/sh\necho "$@" >> {self.calls}\n')
        systemctl.chmod(0o755)
        for name, value in (
            ("GAOVM_HOME", self.home),
            ("XDG_CONFIG_HOME", self.config),
            ("XDG_RUNTIME_DIR", self.runtime),
            ("PATH", f"{systemctl.parent}:/usr/bin:/bin"),
        ):
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(units, "is_root", lambda: False)

    def begin_systemd(self) -> None:
        (self.runtime / "systemd").mkdir()
        (self.runtime / "systemd" / "private").touch()

    def unit(self) -> units.Unit:
        return units.find(str(self.home))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_the_unit_passes_the_environments_uid_range_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAOVM_UID_RANGE", "3000000000-3000131071")
    assert main.run(["daemon", "enable"]) == 0
    text = place.unit().path.read_text()
    assert 'Environment="GAOVM_UID_RANGE=3000000000-3000131071"' in text


def test_enable_and_disable_where_systemd_does_not_run(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    found = place.unit()
    assert found.path.parent == place.config / "systemd" / "user"
    for _ in range(2):
        assert main.run(["daemon", "enable"]) == 0
        said = capsys.readouterr().err
        assert f"{found.path} is written and enabled" in said
        assert "systemd does not run here" in said and "starts at your login" in said
    assert found.path.stat().st_mode & 0o777 == 0o644
    assert f'Environment="GAOVM_HOME={place.home}"' in found.path.read_text()
    assert found.link == found.path.parent / "default.target.wants" / found.path.name
    assert found.link.resolve() == found.path
    for _ in range(2):
        assert main.run(["daemon", "disable"]) == 0
    assert not found.path.exists() and not found.link.is_symlink()
    assert not place.calls.exists()


def test_a_running_systemd_is_told_of_the_unit(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.begin_systemd()
    assert main.run(["daemon", "enable", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"path": str(place.unit().path), "enabled": True, "systemd": True}
    assert main.run(["daemon", "enable"]) == 0
    assert f"now: systemctl --user start {place.unit().path.stem}" in capsys.readouterr().err
    assert main.run(["daemon", "disable"]) == 0
    assert place.calls.read_text() == "--user daemon-reload\n" * 3


def test_a_systemd_that_refuses_is_an_error(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.begin_systemd()
    (place.calls.parent / "bin" / "systemctl").write_text("#!/bin/sh\necho no >&2; exit 1\n")
    assert main.run(["daemon", "enable"]) == 1
    assert "--user daemon-reload: no" in capsys.readouterr().err


def test_root_has_units_of_the_system_and_each_home_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "is_root", lambda: True)
    found = place.unit()
    assert found.path.parent == place.system
    assert found.link.parent.name == "multi-user.target.wants"
    usual = units.find(str(Path.home() / ".gaovm"))
    assert usual.path.name == "gaovm.service" != found.path.name


def test_a_place_that_cannot_be_written(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.config.write_text("in the way")
    assert main.run(["daemon", "enable"]) == 1
    assert f"cannot write {place.unit().path}" in capsys.readouterr().err
