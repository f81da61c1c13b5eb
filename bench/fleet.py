"""A separate daemon with the fake hypervisor: for figures about many VMs.

The fake costs as much as a small process, so this measures the daemon and its drivers.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from gaovm import errors
from gaovm.client.async_client import AsyncClient

USER = {"name": "bench", "uid": 1000, "gid": 1000, "comment": "", "home": "/home/bench"}


class Fleet:
    """One state directory, its daemon and a connection."""

    def __init__(self, base: Path, *, real: bool = False) -> None:
        self.base = base
        self.real = real
        self.home = base / "h"
        self.client = AsyncClient()
        self.daemon: subprocess.Popen[bytes] | None = None
        programs = base / "bin"
        programs.mkdir()
        for name in ("qemu-system-x86_64", "qemu-system-aarch64"):
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec {sys.executable} -m gaovm.testing.fake_qemu "$@"\n')
            script.chmod(0o755)
        self.env = {**os.environ, "GAOVM_HOME": str(self.home)}
        if not real:
            self.env["PATH"] = f"{programs}:{os.environ['PATH']}"
            self.env["GAOVM_CACHE"] = str(base / "cache")
            self.env["GAOVM_CONFINE"] = "off"  # the fake needs all of Python
        self._image = self._make_image()

    def _make_image(self) -> dict[str, Any]:
        files = {}
        for name in ("disk", "kernel"):
            path = self.base / name
            path.write_bytes(name.encode() * 4096)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            files[name] = {"location": str(path), "digest": f"sha256:{digest}"}
        return {**files["disk"], "kernel": files["kernel"], "initrd": files["kernel"]}

    def config(self, mount_type: str = "9p", **own: Any) -> str:
        """Return a project file; ``own`` goes to ``vmOpts.gaovm``."""
        data = {"images": [self._image], "cpus": 1, "memory": "256MiB", "disk": "64MiB"}
        if self.real:
            data |= {"images": [{"location": "debian:12"}], "memory": "512MiB", "disk": "4GiB"}
        own = own if self.real else {"accel": "tcg", **own}
        return json.dumps({**data, "mountType": mount_type, "vmOpts": {"gaovm": own}})

    def start(self) -> None:
        """Start the daemon and wait until it reports that it listens."""
        reading, writing = os.pipe()
        self.daemon = subprocess.Popen(
            [sys.executable, "-m", "gaovm.daemon", "--ready-fd", str(writing)],
            env=self.env,
            pass_fds=(writing,),
            stdin=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            if pipe.read() != b"ready\n":
                raise SystemExit("the daemon did not start")

    async def connect(self) -> AsyncClient:
        """Open a separate connection; the caller closes it."""
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(self.home / "gaovmd.sock"))
        except OSError:
            sock.close()
            raise
        client = AsyncClient()
        await client.open(sock)
        return client

    def up_params(self, name: str, config: str, wait: str = "ready") -> dict[str, Any]:
        """Return the parameters of ``vm.up``."""
        project = self.base / "projects" / name
        project.mkdir(parents=True, exist_ok=True)
        return {
            "name": name,
            "project_dir": str(project),
            "config_path": str(project / ".lima/config.yaml"),
            "config_text": config,
            "user": USER,
            "wait": wait,
        }

    async def up(self, name: str, config: str, wait: str = "ready") -> Any:
        """Make and start a VM; its file is approved as it is."""
        return await approved_up(self.client, self.up_params(name, config, wait))


async def approved_up(client: AsyncClient, params: dict[str, Any]) -> Any:
    """Call ``vm.up`` and approve what it asks a person to approve."""
    try:
        return await client.call("vm.up", params)
    except errors.ApprovalNeeded as exc:
        return await client.call("vm.up", {**params, "approve": exc.details["digest"]})


@contextlib.asynccontextmanager
async def fleet(*, real: bool = False) -> AsyncIterator[Fleet]:
    """Make a fleet; its processes and files are gone after the block."""
    base = Path(tempfile.mkdtemp(prefix="gf", dir="/tmp"))
    made = Fleet(base, real=real)
    made.start()
    try:
        made.client = await made.connect()
        yield made
    finally:
        await made.client.aclose()
        if made.daemon is not None:
            made.daemon.terminate()
            await asyncio.to_thread(made.daemon.wait)
        shutil.rmtree(base, ignore_errors=True)


def percentile(values: list[float], share: float) -> float:
    """Return the value that ``share`` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
