"""A user's state directory, installed command and projects, and what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GAOVM = [str(Path(sys.executable).with_name("gaovm"))]
CONFIG = """\
images:
  - location: "debian:12"
cpus: 1
memory: 512MiB
disk: 4GiB
"""
#: For guests that need not boot to the end: this saves a third of the processor's time.
SHORT_BOOT = "cmdline: systemd.unit=basic.target"
LIGHT = CONFIG + f"vmOpts: {{gaovm: {{{SHORT_BOOT}}}}}\n"


@dataclass
class World:
    """One ``$GAOVM_HOME`` and everything that may run for it."""

    home: Path
    command: list[str] = field(default_factory=lambda: list(GAOVM))
    env: dict[str, str] = field(default_factory=dict)

    def environment(self, **extra: str) -> dict[str, str]:
        base = {k: v for k, v in os.environ.items() if k not in {"VM_NAME", "GAOVM_DEFAULT_VM"}}
        return {**base, **self.env, "GAOVM_HOME": str(self.home), **extra}

    def run(
        self,
        *args: str,
        cwd: Path | None = None,
        stdin: bytes = b"",
        check: int | None = 0,
        timeout: float = 300,
        **env: str,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``gaovm ARGS``; a status other than ``check`` fails the test with all output."""
        done = subprocess.run(
            [*self.command, *args],
            cwd=cwd or self.home,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            env=self.environment(**env),
            check=False,
        )
        if check is not None and done.returncode != check:
            raise AssertionError(
                f"gaovm {' '.join(args)}: {done.returncode}, not {check}\n"
                f"{done.stdout.decode(errors='replace')}\n{done.stderr.decode(errors='replace')}"
            )
        return done

    def start(self, *args: str, cwd: Path, **kwargs: Any) -> subprocess.Popen[bytes]:
        """Start ``gaovm ARGS`` and return at once."""
        options: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": self.environment(),
        }
        return subprocess.Popen([*self.command, *args], cwd=cwd, **{**options, **kwargs})

    def json(self, *args: str, cwd: Path | None = None) -> Any:
        return json.loads(self.run(*args, "--json", cwd=cwd).stdout)

    def project(self, name: str, config: str = CONFIG) -> Path:
        """Make a project directory with a config file."""
        path = self.home.parent / "projects" / name
        (path / ".lima").mkdir(parents=True, exist_ok=True)
        (path / ".lima" / "config.yaml").write_text(config)
        return path

    def processes(self) -> dict[int, str]:
        """Return every live process of this state directory: pid to command line."""
        found = {}
        mark = f"GAOVM_HOME={self.home}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                environ = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            # virtiofsd lacks our environment too, but its command line names a project of ours
            ours = mark in environ or str(self.home.parent).encode() in line or self._holds(entry)
            if state != "Z" and ours:
                found[int(entry.name)] = line.decode(errors="replace").strip()
        return found

    def _holds(self, entry: Path) -> bool:
        """Whether a process has a file of this state directory open: a confined hypervisor."""
        with contextlib.suppress(OSError):
            for fd in (entry / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if fd.readlink().is_relative_to(self.home):
                        return True
        return False

    def assert_nothing_runs(self, within_s: float = 20) -> None:
        """Check that no process of this state directory is left; a kill may take 15 s."""
        end = time.monotonic() + within_s
        while self.processes() and time.monotonic() < end:
            time.sleep(0.1)
        assert self.processes() == {}

    def stop(self) -> None:
        """Stop the daemon and prove that nothing is left."""
        self.run("daemon", "stop", check=None, timeout=120)
        self.assert_nothing_runs()


def make_world(base: Path, images: Path | None = None) -> World:
    """Make a world without a daemon; ``images``: from another world, which has checked them.

    A new home reads an image of the cache in full before its first boot. A copy by hard links, with
    the note of what was checked, is as good, and saves the time.
    """
    home = base / "home"
    home.mkdir(mode=0o700)
    if images is not None and images.is_dir():
        shutil.copytree(images, home / "images", copy_function=os.link)
    return World(home)


@dataclass
class PlainUser:
    """An ordinary account with a copy of the installed program that it may read."""

    name: str
    uid: int
    gid: int
    home: Path

    @classmethod
    def create(cls, name: str) -> PlainUser:
        subprocess.run(["useradd", "-m", "-s", "/bin/bash", name], check=True, capture_output=True)
        entry = pwd.getpwnam(name)
        return cls(name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))

    def install(self) -> World:
        """Copy the program where the user can read it; the checkout may be private to root."""
        lib = self.home / "lib"
        site = next(Path(p) for p in sys.path if p.endswith("site-packages"))
        shutil.copytree(
            site,
            lib,
            ignore=shutil.ignore_patterns(
                "__pycache__", "go*", "_gaovm*", "PySide6*", "shiboken6*"
            ),
        )
        shutil.copytree(ROOT / "src" / "gaovm", lib / "gaovm", dirs_exist_ok=True)
        home = self.home / "state"
        home.mkdir(mode=0o700)
        for path in (home, lib):
            subprocess.run(["chown", "-R", f"{self.uid}:{self.gid}", str(path)], check=True)
        python = os.path.realpath(sys.executable)
        become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups"]
        env = {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name}
        env |= {"PYTHONPATH": str(lib), "GAOVM_CACHE": str(self.home / "cache")}
        return World(home, [*become, python, "-m", "gaovm"], env)

    def remove(self) -> None:
        subprocess.run(["userdel", "-r", self.name], check=False, capture_output=True)
