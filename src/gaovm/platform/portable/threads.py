"""Exits by a thread that waits: for a system with neither pidfds nor kqueue."""

from __future__ import annotations

import contextlib
import os
import threading

from gaovm import errors
from gaovm.platform.portable import ps

#: The pause between two looks at somebody else's process, which no thread can wait for.
_LOOK_S = 1.0


class Waiting:
    """Implements ``exits.Exit`` by a pipe whose writing end the thread closes.

    The thread lives as long as the process, even if nobody waits any more, but ends with this one.
    """

    def __init__(self, pid: int) -> None:
        os.kill(pid, 0)
        self._reading, self._writing = os.pipe()
        self._closed = threading.Event()
        thread = threading.Thread(target=self._wait, args=(pid,), name=f"exit {pid}", daemon=True)
        thread.start()

    def fileno(self) -> int:
        """The reading end; -1 once it is closed."""
        return self._reading

    def close(self) -> None:
        """Close it. Idempotent."""
        self._closed.set()
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1

    def _wait(self, pid: int) -> None:
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            self._look(pid)
        finally:
            os.close(self._writing)

    def _look(self, pid: int) -> None:
        """Look again and again at a process that is not a child of this one."""
        with contextlib.suppress(errors.NotFound):
            while not self._closed.wait(_LOOK_S):
                with contextlib.suppress(errors.HostError):
                    if ps.look(pid).state == "Z":
                        return
