"""A state directory with VMs for benchmarks; the command is the installed one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = sys.executable
GAOVM = str(Path(sys.executable).with_name("gaovm"))
CONFIG = """\
images:
  - location: "debian:12"
cpus: 1
memory: 512MiB
disk: 4GiB
"""


# The distribution's own boot goes on after ours; we do not measure its time.
BOOTED = "systemctl is-system-running --wait || true"


class Seat:
    """One ``$GAOVM_HOME``."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.home = base / "home"
        self.home.mkdir(mode=0o700)
        self.env = {**os.environ, "GAOVM_HOME": str(self.home)}
        self.env.pop("VM_NAME", None)

    def run(self, *args: str, cwd: Path | None = None) -> bytes:
        """Run ``gaovm ARGS`` and return its stdout; a failure raises with its stderr."""
        done = subprocess.run(
            [GAOVM, *args], cwd=cwd or self.base, env=self.env, capture_output=True
        )
        if done.returncode:
            sys.stderr.buffer.write(done.stderr)
            raise SystemExit(f"gaovm {' '.join(args)} failed with {done.returncode}")
        return done.stdout

    def json(self, *args: str, cwd: Path | None = None) -> Any:
        return json.loads(self.run(*args, "--json", cwd=cwd))

    def project(self, name: str, config: str = CONFIG) -> Path:
        path = self.base / name
        (path / ".lima").mkdir(parents=True)
        (path / ".lima" / "config.yaml").write_text(config)
        return path


@contextlib.contextmanager
def seat() -> Iterator[Seat]:
    """Make a fresh seat; stop its daemon and VMs at the end."""
    with tempfile.TemporaryDirectory(prefix="gaovm-bench.") as base:
        place = Seat(Path(base))
        try:
            yield place
        finally:
            subprocess.run([GAOVM, "daemon", "stop"], env=place.env, capture_output=True)


def pss_kib(pid: int) -> int:
    """Return a process's proportional set size in KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError(pid)


def private_kib(pid: int) -> int:
    """Return a process's Private_Clean + Private_Dirty in KiB."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            total += int(line.split()[1])
    return total


def processes(home: Path) -> dict[int, str]:
    """Return the live processes of a state directory: pid to command line."""
    found = {}
    mark = f"GAOVM_HOME={home}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
            environ = (entry / "environ").read_bytes().split(b"\0")
            if line and (mark in environ or str(home).encode() in line):
                found[int(entry.name)] = line.decode(errors="replace").strip()
    return found
