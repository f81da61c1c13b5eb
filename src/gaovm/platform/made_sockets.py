"""Which Unix sockets a program has made for others, and which of them nobody serves any more."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat
from pathlib import Path

#: In the maker's directory: where relative paths lie, and the list of the others.
DIRECTORY, LIST = "sock", "host-sockets.json"
_MAX_LIST = 1 << 20
_MAX_OWN = 1024


def noted(home: Path) -> list[Path]:
    """Return where the maker has made sockets outside of its directory, or was about to."""
    try:
        with (home / LIST).open("rb") as file:
            found = json.loads(file.read(_MAX_LIST))
    except (OSError, ValueError):
        return []
    if not isinstance(found, list):
        return []
    return [Path(each) for each in found if isinstance(each, str) and each.startswith("/")]


def encode(paths: list[Path]) -> bytes:
    """Return the list's content, for ``noted``."""
    return json.dumps([str(each) for each in paths]).encode()


def is_stale(path: Path, status: os.stat_result) -> bool:
    """Whether a file is a socket of this user's that nobody serves."""
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            return probe.connect_ex(str(path)) == errno.ECONNREFUSED
        except OSError:  # the path is too long for a socket
            return False


def sweep(home: Path) -> None:
    """Remove the sockets that a killed maker has left. May block on a slow server."""
    own = home / DIRECTORY
    found = sorted(own.rglob("*"))[:_MAX_OWN] if own.is_dir() else []
    for path in (*found, *noted(home)):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if is_stale(path, status) and os.path.samestat(status, path.lstat()):
                path.unlink()
