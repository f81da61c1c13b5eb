from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import measuring
from tests.process.cli import fakes

SRC = Path(__file__).parents[3] / "src"


class Gaovm:
    """Runs the command as a separate process, in a project directory, with its own home."""

    def __init__(self, home: Path, project: Path) -> None:
        self.home = home
        self.project = project
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "GAOVM_HOME": str(home),
            "PYTHONPATH": str(SRC),
            "TERM": "xterm",
        }

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "gaovm", *words]

    def __call__(
        self,
        *words: str,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.argv(*words),
            input=stdin,
            capture_output=True,
            cwd=cwd or self.project,
            env={**self.environment, **measuring.environment(), **(env or {})},
            timeout=30,
            check=False,
        )

    def popen(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.argv(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.project,
            env={**self.environment, **measuring.environment()},
        )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "web"
    (path / ".lima").mkdir(parents=True)
    (path / ".lima" / "config.yaml").write_text('images: [{location: "debian:12"}]\n')
    return path


@pytest.fixture
def gaovm(home: Path, project: Path) -> Gaovm:
    return Gaovm(home, project)


@pytest.fixture
def sysinit(home: Path, project: Path) -> Gaovm:
    from tests.process.cli.sysinit import Sysinit

    return Sysinit(home, project)


@pytest.fixture
def daemon(home: Path) -> Iterator[fakes.FakeDaemon]:
    fake = fakes.FakeDaemon(home)
    with fakes.closing(fake):
        yield fake


@pytest.fixture
def driver(daemon: fakes.FakeDaemon, project: Path) -> Iterator[fakes.FakeDriver]:
    fake = fakes.FakeDriver(daemon.home / "driver.sock")
    daemon.handlers["vm.session"] = lambda params, call: {
        "socket": str(fake.path),
        "ticket": "ab" * 32,
        "user": "ann",
        "home": "/home/ann.guest",
        "mounts": [{"location": str(project), "mount_point": "/srv/web"}],
    }
    with fakes.closing(fake):
        yield fake
