"""``gaovm display``: the caller's desktop goes to the daemon, the picture comes to its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.process.cli import conftest, fakes

PNG = b"\x89PNG\r\n\x1a\npicture"
DISPLAY = {"name": "web-dev", "enabled": True, "open": False, "width": 1024, "height": 768}
DESKTOP = {"DISPLAY": ":7", "XAUTHORITY": "/run/xauth"}


@pytest.fixture
def picture(daemon: fakes.FakeDaemon, tmp_path: Path) -> Path:
    """Let the daemon have a screenshot; return the daemon's file."""
    path = tmp_path / "screenshot.png"
    path.write_bytes(PNG)
    taken = {"name": "web-dev", "path": str(path), "width": 1024, "height": 768, "shared": []}
    daemon.handlers["vm.display.screenshot"] = lambda params, call: taken
    return path


def test_open_names_the_callers_desktop(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    daemon.handlers["vm.display.open"] = lambda params, call: {**DISPLAY, "open": True}
    done = gaovm("display", "open", "web-dev", env={**DESKTOP, "QT_SCALE_FACTOR": ""})
    assert (done.returncode, done.stdout) == (0, b"web-dev: window open, 1024 x 768\n")
    assert daemon.params("vm.display.open") == {"name": "web-dev", "seat": DESKTOP}


def test_without_a_desktop_nothing_is_asked(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    done = gaovm("display", "open", "web-dev", env={"XDG_RUNTIME_DIR": "/run/user/1"})
    assert done.returncode == 1
    assert b"neither DISPLAY nor WAYLAND_DISPLAY is set" in done.stderr
    assert daemon.calls == []


@pytest.mark.parametrize(
    ("action", "changes", "said"),
    [
        ("close", {}, b"web-dev: window closed, 1024 x 768\n"),
        ("status", {"open": True}, b"web-dev: window open, 1024 x 768\n"),
        ("status", {"enabled": False, "width": 0, "height": 0}, b"web-dev: headless\n"),
    ],
)
def test_the_window_is_told(
    gaovm: conftest.Gaovm,
    daemon: fakes.FakeDaemon,
    action: str,
    changes: dict[str, Any],
    said: bytes,
) -> None:
    known = {**DISPLAY, **changes}
    daemon.handlers[f"vm.display.{action}"] = lambda params, call: known
    done = gaovm("display", action, "web-dev")
    assert (done.returncode, done.stdout) == (0, said)
    assert (b"gaovm set graphics.enabled=true" in done.stderr) == (not known["enabled"])
    assert json.loads(gaovm("display", action, "web-dev", "--json").stdout) == known


def test_a_screenshot_becomes_the_callers_file(gaovm: conftest.Gaovm, picture: Path) -> None:
    done = gaovm("display", "screenshot", "web-dev")
    written = gaovm.project / "web-dev.png"
    assert (done.returncode, done.stdout) == (0, f"{written}\n".encode())
    assert done.stderr == b"1024 x 768, 15 B\n"
    assert written.read_bytes() == PNG
    done = gaovm("display", "screenshot", "web-dev", "-o", "other.png", "--json")
    other = gaovm.project / "other.png"
    assert json.loads(done.stdout) == {
        "name": "web-dev",
        "path": str(other),
        "width": 1024,
        "height": 768,
        "size_bytes": len(PNG),
    }
    assert other.read_bytes() == PNG
    assert gaovm("display", "screenshot", "web-dev", "-o", "-").stdout == PNG


def test_a_screenshot_that_cannot_be_read_or_written(gaovm: conftest.Gaovm, picture: Path) -> None:
    done = gaovm("display", "screenshot", "web-dev", "-o", "no/such/x.png")
    assert done.returncode == 2
    assert b"cannot write" in done.stderr and b"--output" in done.stderr
    real = picture.with_name("real.png")
    picture.rename(real)
    picture.symlink_to(real)  # a guest that took its driver over made it
    done = gaovm("display", "screenshot", "web-dev")
    assert done.returncode != 0
    assert f"cannot read {picture}: ".encode() in done.stderr
    assert not (gaovm.project / "web-dev.png").exists()
