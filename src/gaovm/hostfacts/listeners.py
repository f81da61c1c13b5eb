"""Find out who listens on a TCP port: an error about a taken port names its owner."""

from __future__ import annotations

import ipaddress
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_LISTEN = "0A"
_LIMIT = 16 << 20


class Listener(NamedTuple):
    """A listening socket: its address, the user that owns it, its inode."""

    address: str
    port: int
    uid: int
    inode: int


def parse(text: str) -> list[Listener]:
    """Return the listening sockets in the text of /proc/net/tcp or tcp6; skip other lines."""
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        try:
            if words[3] != _LISTEN:
                continue
            raw, _, port = words[1].partition(":")
            found.append(Listener(_address(raw), int(port, 16), int(words[7]), int(words[9])))
        except (IndexError, ValueError):
            continue
    return found


def _address(raw: str) -> str:
    """Read an address; the kernel writes it as 32-bit words in host order."""
    data = bytes.fromhex(raw)
    words = [data[i : i + 4] for i in range(0, len(data), 4)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    return str(ipaddress.ip_address(b"".join(words)))


def owner(port: int, proc: Path = _PROC) -> str | None:
    """Say who listens on a TCP port: ``nginx (pid 12)``, ``user www-data``, or None.

    For another user's process the text names only the user, unless the caller is root.
    """
    for name in ("tcp", "tcp6"):
        try:
            with (proc / "net" / name).open(encoding="ascii", errors="replace") as file:
                listeners = parse(file.read(_LIMIT))
        except OSError:
            continue
        for listener in listeners:
            if listener.port == port:
                return _process(listener.inode, proc) or f"user {_user(listener.uid)}"
    return None


def _process(inode: int, proc: Path) -> str | None:
    wanted = f"socket:[{inode}]"
    for pid in _pids(proc):
        directory = proc / pid / "fd"
        try:
            descriptors = list(directory.iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                if str(descriptor.readlink()) == wanted:
                    return f"{_command(proc / pid)} (pid {pid})"
            except OSError:
                continue
    return None


def _pids(proc: Path) -> Iterator[str]:
    try:
        names = [entry.name for entry in proc.iterdir()]
    except OSError:
        return iter(())
    return (name for name in names if name.isdecimal())


def _command(directory: Path) -> str:
    try:
        text = (directory / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a process"
    return "".join(char if char.isprintable() else "?" for char in text)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
