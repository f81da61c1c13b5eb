"""Bare QEMU: a VM's own command line, started by hand, nothing of ours beside it."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

PLACEHOLDER = re.compile(r"<fd:([a-z0-9_.-]+)>")


class BareVm:
    """QEMU with socket pairs for its run-time descriptors; a copy of the overlay is its disk."""

    def __init__(self, argv: list[str], disk: Path, extra_kernel: str = "") -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="gaovm-bare."))
        copy = self.scratch / "disk.qcow2"
        shutil.copyfile(disk, copy)
        names = sorted({n for arg in argv for n in PLACEHOLDER.findall(arg)})
        self.ours: dict[str, socket.socket] = {}
        theirs: dict[str, socket.socket] = {}
        for name in names:
            if name == "network":  # QEMU accepts passt there; nobody comes
                theirs[name] = socket.socket(socket.AF_UNIX)
                theirs[name].bind(str(self.scratch / "net.sock"))
                theirs[name].listen(1)
            else:
                self.ours[name], theirs[name] = socket.socketpair()
        line = []
        for arg in argv:
            text = PLACEHOLDER.sub(lambda m: str(theirs[m[1]].fileno()), arg)
            line.append(text.replace(str(disk), str(copy)))
        if extra_kernel:
            at = line.index("-append") + 1
            line[at] = f"{line[at]} {extra_kernel}"
        self.begin = time.perf_counter()
        self.popen = subprocess.Popen(
            line, pass_fds=[s.fileno() for s in theirs.values()], stderr=subprocess.DEVNULL
        )
        for sock in theirs.values():
            sock.close()

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
        """Seconds from the start of QEMU until ``word`` has come on a descriptor."""
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
