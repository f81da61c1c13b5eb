"""What ``ps`` tells of processes, where the kernel has no files for it.

Each look starts a program and takes some milliseconds.
"""

from __future__ import annotations

import os
import resource
import sys

from gaovm import errors
from gaovm.platform.look import Look

#: ``ps`` shows whole seconds, and on some systems rounds them anew at each call.
START_TOLERANCE = 1
_LIMIT_S = 5.0
_FORMAT = "%a %b %d %H:%M:%S %Y"


def look(pid: int) -> Look:
    """State and start time (seconds since 1970) of a process.

    Raises:
        errors.NotFound: there is no such process.
        errors.HostError: ``ps`` cannot be run.
    """
    import calendar
    import subprocess
    import time

    argv = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    env = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            argv, env=env, capture_output=True, stdin=subprocess.DEVNULL, timeout=_LIMIT_S
        )
        words = done.stdout.decode("ascii", "replace").split()
        if not words:
            raise errors.NotFound(f"no process has the pid {pid}")
        started = calendar.timegm(time.strptime(" ".join(words[1:6]), _FORMAT))
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        raise errors.HostError(f"process {pid} cannot be looked at: {exc}") from exc
    return Look(words[0][0], started, None)


def name_self(name: str) -> None:
    """Nothing: there is no portable way."""


def resident_bytes() -> int:
    """The most memory that this process has had in RAM: what it has now is not told."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def boot_id() -> str:
    """Empty: this half does not know one boot from another."""
    return ""


def has_locked(pid: int, path: str | os.PathLike[str]) -> bool:
    """False: who holds a lock is not told, so nobody is killed for it."""
    return False
