"""A daemon whose VMs are fakes: everything is real except the hypervisor and its guest.

``Code`` is what the daemon runs, and what it finds when it looks for new code: a directory on the
Python path. A test replaces it while its programs run, as an upgrade replaces an installation.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from tests.process.daemon.conftest import Client, Daemons
from tests.process.driver import harness

import gaovm

SOURCE = Path(gaovm.__file__).parent


class Code:
    """The code that is installed. Files are links to the real ones unless they were edited."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._count = 0
        self.path = base / "code"

    def install(self, **edits: tuple[str, str]) -> None:
        """Install a copy with other text by file (``daemon__main`` for daemon/main.py)."""
        self._count += 1
        tree = self._base / f"tree{self._count}"
        shutil.copytree(SOURCE, tree / "gaovm", copy_function=os.symlink)
        for name, (old, new) in edits.items():
            file = tree / "gaovm" / (name.replace("__", "/") + ".py")
            text = file.read_text()
            assert old in text, f"{name} has no {old!r}"
            file.unlink()
            file.write_text(text.replace(old, new))
        fresh = self._base / "fresh"
        fresh.symlink_to(tree)
        fresh.replace(self.path)

    def install_version(self, version: str) -> None:
        """Install code that differs only in its version."""
        from gaovm.version import VERSION

        self.install(version=(f'"{VERSION}"', f'"{version}"'))


class World:
    """The daemon, its code, and VMs from an image of a few bytes."""

    def __init__(self, daemons: Daemons) -> None:
        self.daemons = daemons
        self.base = daemons.home.parent
        self.code = Code(self.base)
        self.code.install()
        self.project = self.base / "p"
        self.project.mkdir()
        self._config = self._make_config()
        self.behave()

    def behave(self, **options: Any) -> None:
        """Set options of the fake hypervisor, for daemons that start from now on."""
        self.daemons.env = {
            "PATH": harness.fake_qemu_path(self.base / "bin"),
            "PYTHONPATH": str(self.code.path),
            "GAOVM_FAKE_QEMU": json.dumps(options),
            **harness.UNCAGED,
            "GAOVM_CACHE": str(self.base / "cache"),
        }

    def _make_config(self) -> str:
        # inside the project: a person would have to approve what lies outside
        disk, kernel = self.project / "disk.img", self.project / "vmlinuz"
        with disk.open("wb") as file:
            file.truncate(1 << 20)
        kernel.write_bytes(b"kernel")
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (disk, kernel)]
        boot = {"location": str(kernel), "digest": f"sha256:{digests[1]}"}
        image = {"location": str(disk), "digest": f"sha256:{digests[0]}", "kernel": boot}
        sizes = {"cpus": 1, "memory": "256MiB", "disk": "64MiB"}
        # 9p: with it a fake hypervisor needs no server process
        return json.dumps({"images": [image], "mounts": [], "mountType": "9p", **sizes})

    def up_params(self, name: str) -> dict[str, Any]:
        """Return the parameters of ``vm.up``."""
        user = {"name": "dev", "uid": os.getuid(), "gid": os.getgid(), "home": str(self.base)}
        return {
            "project_dir": str(self.project),
            "config_path": str(self.project / ".lima" / "config.yaml"),
            "config_text": self._config,
            "user": user,
            "name": name,
        }

    def up(self, client: Client, *names: str) -> None:
        """Start VMs, one after the other."""
        for name in names:
            result = client.call("vm.up", self.up_params(name))
            assert result.get("vm", {}).get("state") == "running", result

    def query(self, statement: str, home: Path | None = None) -> list[tuple[Any, ...]]:
        """Query the database as it is on disk."""
        path = (home or self.daemons.home) / "state.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reading:
            return reading.execute(statement).fetchall()

    def sockets(self) -> list[Path]:
        """Return every socket below the run directories."""
        return [path for path in (self.daemons.home / "run").rglob("*") if path.is_socket()]

    def drivers(self, client: Client) -> dict[str, int]:
        """Return the pid of every VM's driver."""
        vms = client.call("vm.list")["vms"]
        return {vm["name"]: vm["driver_pid"] for vm in vms if vm["driver_pid"] is not None}
