"""Runs in a cage in QEMU's place and tries what a taken-over hypervisor would try.

``argv[1]`` is a JSON object of what to try. stdout gets the result of each attempt: ``ok`` or the
name of the error. Standard library only: the cage contains nothing of the checkout.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any


def _outcome(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except OSError as exc:
        return errno.errorcode.get(exc.errno or 0, str(exc.errno))
    except MemoryError:
        return "MemoryError"
    return "ok"


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _write(path: str) -> None:
    with open(path, "wb") as file:
        file.write(b"x")


def _connect(family: int, address: Any) -> None:
    with socket.socket(family) as sock:
        sock.settimeout(5)
        sock.connect(address)


def _become_root() -> None:
    os.setresuid(0, 0, 0)


def _mount() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")


def _fill(size: int) -> None:
    data = bytearray(size)
    for place in range(0, size, 4096):
        data[place] = 1


def main() -> None:
    """Try all and report."""
    wanted = json.loads(sys.argv[1])
    attempts: dict[str, Callable[[], Any]] = {
        "read": lambda: None,
        **{f"read {path}": partial(_read, path) for path in wanted.get("read", ())},
        **{f"write {path}": partial(_write, path) for path in wanted.get("write", ())},
        **{
            f"connect {path}": partial(_connect, socket.AF_UNIX, path)
            for path in wanted.get("connect", ())
        },
    }
    if "port" in wanted:
        attempts["network"] = lambda: _connect(socket.AF_INET, ("127.0.0.1", wanted["port"]))
    if "signal" in wanted:
        attempts["signal"] = lambda: os.kill(wanted["signal"], 0)
        attempts["signal all"] = lambda: os.kill(-1, 0)
    if "memory" in wanted:
        attempts["memory"] = lambda: _fill(wanted["memory"])
    attempts["become root"] = _become_root
    attempts["mount"] = _mount
    attempts["device"] = lambda: os.mknod("/tmp/d", 0o020600, os.makedev(1, 3))
    result = {name: _outcome(attempt) for name, attempt in attempts.items()}
    result["uid"] = str(os.getuid())
    result["pid"] = str(os.getpid())
    result["environment"] = " ".join(sorted(os.environ))
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("CapEff", "CapBnd", "NoNewPrivs"):
                result[name] = value.strip()
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
