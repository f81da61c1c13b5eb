"""Bare QEMU: a VM's own command line, started by hand, with nothing of ours beside it."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

PLACEHOLDER = re.compile(r"<fd:([a-z0-9_.-]+)>")


class BareVm:
    """QEMU with socket pairs for its run-time descriptors; its disk is a copy of the overlay.

    ``given``: descriptors that are no such pairs; it closes them.
    """

    def __init__(
        self,
        explained: dict[str, Any],
        extra_kernel: str = "",
        given: Mapping[str, socket.socket | IO[bytes]] = MappingProxyType({}),
    ) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="gaovm-bare."))
        argv: list[str] = explained["argv"]
        names = sorted({n for arg in argv for n in PLACEHOLDER.findall(arg)})
        self.ours: dict[str, socket.socket] = {}
        theirs: dict[str, socket.socket | IO[bytes]] = self._open(explained["files"])
        theirs.update(given)
        for name in names:
            if name == "network":  # QEMU would wait on it for passt, and there is no passt
                theirs[name] = listener = socket.socket(socket.AF_UNIX)
                listener.bind(str(self.scratch / "network"))
                listener.listen()
            elif name not in theirs:
                self.ours[name], theirs[name] = socket.socketpair()
        line = [PLACEHOLDER.sub(lambda m: str(theirs[m[1]].fileno()), arg) for arg in argv]
        if extra_kernel:
            at = line.index("-append") + 1
            line[at] = f"{line[at]} {extra_kernel}"
        self.begin = time.perf_counter()
        self.popen = subprocess.Popen(
            line, pass_fds=[s.fileno() for s in theirs.values()], stderr=subprocess.DEVNULL
        )
        for sock in theirs.values():
            sock.close()

    def _open(self, files: list[dict[str, Any]]) -> dict[str, socket.socket | IO[bytes]]:
        opened: dict[str, socket.socket | IO[bytes]] = {}
        for file in files:
            path = Path(file["path"])
            if file["writable"]:
                path = self.scratch / file["fd"]
                shutil.copyfile(file["path"], path)
            opened[file["fd"]] = path.open("r+b" if file["writable"] else "rb")
        return opened

    def drain(self, name: str) -> None:
        """Read and drop what comes on a descriptor, so that the guest never waits for us."""

        def reader() -> None:
            while True:
                try:
                    if not self.ours[name].recv(65536):
                        return
                except OSError:
                    return

        threading.Thread(target=reader, daemon=True).start()

    def wait_for(self, name: str, word: bytes, timeout_s: float = 300) -> float:
        """Return the seconds from the start of QEMU until ``word`` comes on a descriptor."""
        seen = b""
        sock = self.ours[name]
        sock.settimeout(timeout_s)
        while word not in seen:
            data = sock.recv(65536)
            if not data:
                raise SystemExit(f"bare QEMU ended: {seen[-2000:]!r}")
            seen = seen[-200:] + data
        return time.perf_counter() - self.begin

    def close(self) -> None:
        self.popen.kill()
        self.popen.wait()
        for sock in self.ours.values():
            sock.close()
        shutil.rmtree(self.scratch)
