"""What ``ps`` reports of processes, where the kernel has no files for it.

Each look starts a program and takes some milliseconds.
"""

from __future__ import annotations

import calendar
import functools
import os
import resource
import subprocess
import sys
import time

from gaovm import errors
from gaovm.platform.look import Look

#: ``ps`` shows whole seconds, and some systems round them differently at each call.
START_TOLERANCE = 1
_LIMIT_S = 5.0
_FORMAT = "%a %b %d %H:%M:%S %Y"


def look(pid: int) -> Look:
    """Return state and start time (seconds since 1970) of a process.

    Raises:
        errors.NotFound: there is no such process.
        errors.HostError: ``ps`` cannot be run.
    """
    try:
        words = _ps("-o", "stat=", "-o", "lstart=", "-p", str(pid)).split()
    except errors.HostError as exc:
        raise errors.HostError(f"process {pid} cannot be inspected: {exc.message}") from exc
    if not words:
        raise errors.NotFound(f"no process has the pid {pid}")
    try:
        started = calendar.timegm(time.strptime(" ".join(words[1:6]), _FORMAT))
    except ValueError as exc:
        raise errors.HostError(f"process {pid} cannot be inspected: {exc}") from exc
    state = words[0][0]
    return Look(state, started, _wait_status(pid) if state == "Z" else None)


def _wait_status(pid: int) -> int | None:
    """Say how this process's child ended, without reaping it; None: the system does not say."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return None
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if found is None:
        return None
    return found.si_status << 8 if found.si_code == os.CLD_EXITED else found.si_status


def _ps(*arguments: str) -> str:
    env = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            ["ps", *arguments],
            env=env,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise errors.HostError(f"ps cannot be run: {exc}") from exc
    return done.stdout.decode("ascii", "replace")


def name_self(name: str) -> None:
    """Do nothing: there is no portable way."""


def resident_bytes() -> int:
    """Return the most RAM that this process has had: the system does not say what it has now."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@functools.cache
def boot_id() -> str:
    """Return an id that only this boot of the host has; empty if there is none."""
    try:
        done = subprocess.run(
            ["sysctl", "-n", "kern.bootsessionuuid"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("ascii", "replace").strip()


def has_locked(pid: int, path: str | os.PathLike[str]) -> bool:
    """Return False: the system does not say who holds a lock, so nobody is killed for it."""
    return False


def tree_memory(pid: int) -> tuple[int, int]:
    """Return the resident bytes of a process and all its descendants, and their number.

    Memory that they share counts for each of them.
    """
    try:
        rows = [line.split() for line in _ps("-axo", "pid=,ppid=,rss=").splitlines()]
    except errors.HostError:
        return 0, 0
    sizes = {int(row[0]): int(row[2]) * 1024 for row in rows}
    below: dict[int, list[int]] = {}
    for row in rows:
        below.setdefault(int(row[1]), []).append(int(row[0]))
    found, waiting = [], [pid]
    while waiting:
        at = waiting.pop()
        if at in sizes:
            found.append(sizes.pop(at))
            waiting += below.get(at, [])
    return sum(found), len(found)
