"""The same share under bare QEMU: the same device, server options and mount, nothing of ours.

virtiofsd runs as somebody would start it by hand: without our cage and our filter. The guest boots
into a shell on its console, which mounts the share and runs the work.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from bench.bare import BareVm

from gaovm.hostfacts import programs
from gaovm.platform import huge_pages

MIB = 1 << 20
MOUNT = "/mnt/bare"
#: The agent's own options for 9p, and none for virtiofs.
OPTIONS = {"9p": "trans=virtio,version=9p2000.L,msize=131072,cache=mmap", "virtiofs": "rw"}
_RESULT = re.compile(rb"RESULT(\{[^}]*\})")
_LIMIT_S = 900


class BareShare:
    """A bare VM with one share mounted; ``work`` runs a perl program on it."""

    def __init__(self, explained: dict[str, Any], share: dict[str, Any], memory_mib: int) -> None:
        self._stack = contextlib.ExitStack()
        try:
            self._scratch = Path(tempfile.mkdtemp(prefix="gaovm-bare."))
            self._stack.callback(shutil.rmtree, self._scratch)
            given = self._serve(explained["argv"], share, memory_mib)
            self._vm = BareVm(explained, extra_kernel="init=/bin/sh", given=given)
            self._stack.callback(self._vm.close)
            self._vm.drain("agent")
            self._console = self._vm.ours["console"]
            self._console.settimeout(_LIMIT_S)
            kind, tag = share["type"], _tag(explained["argv"])
            self._say(f"mkdir -p {MOUNT}; modprobe {kind}; export PATH=$PATH:/usr/sbin:/sbin")
            mount = f"mount -t {kind} -o {OPTIONS[kind]} {tag} {MOUNT}"
            self._say(f"until {mount}; do sleep 1; done; echo REA''DY")
            self._hear(re.compile(rb"READY"))
        except BaseException:
            self.close()
            raise

    def _serve(
        self, argv: list[str], share: dict[str, Any], memory_mib: int
    ) -> dict[str, socket.socket | IO[bytes]]:
        given: dict[str, socket.socket | IO[bytes]] = {}
        if any("<fd:memory>" in word for word in argv):
            given["memory"] = os.fdopen(huge_pages.create(memory_mib * MIB), "r+b", buffering=0)
        if share["type"] != "virtiofs":
            return given
        program = programs.virtiofsd()
        if program is None or program.flavour != "c":
            raise SystemExit("this compares QEMU's own virtiofsd")
        path = str(self._scratch / "share")
        listener, ours = (socket.socket(socket.AF_UNIX) for _ in range(2))
        with listener:
            listener.bind(path)
            listener.listen()
            ours.connect(path)
            options = f"source={share['location']},cache=auto,timeout=0,log_level=warn"
            words = [program.path, "-f", f"--fd={listener.fileno()}", "-o", options]
            server = subprocess.Popen(words, pass_fds=[listener.fileno()])
        self._stack.callback(server.wait)
        self._stack.callback(server.terminate)
        return {**given, "share0": ours}

    def work(self, program: str, *args: str) -> dict[str, float]:
        """Run a perl program on the share; return the JSON object that it prints."""
        self._say(f"echo RES''ULT\"$(perl {MOUNT}/{program} {MOUNT} {' '.join(args)})\"")
        found: dict[str, float] = json.loads(self._hear(_RESULT)[1])
        return found

    def close(self) -> None:
        """End QEMU and virtiofsd."""
        self._stack.close()

    def _say(self, line: str) -> None:
        self._console.sendall(line.encode() + b"\r")

    def _hear(self, wanted: re.Pattern[bytes]) -> re.Match[bytes]:
        seen = b""
        while (found := wanted.search(seen)) is None:
            data = self._console.recv(65536)
            if not data:
                raise SystemExit(f"bare QEMU ended: {seen[-2000:]!r}")
            seen = seen[-8000:] + data
            if os.environ.get("GAOVM_BENCH_CONSOLE"):
                sys.stderr.buffer.write(data)
        return found


def _tag(argv: list[str]) -> str:
    found = re.search(r'"(?:mount_)?tag": ?"([^"]+)"', " ".join(argv))
    if found is None:
        raise SystemExit("the command line names no share")
    return found[1]
