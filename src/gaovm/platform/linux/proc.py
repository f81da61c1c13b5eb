"""What the kernel reports of processes in ``/proc``: see proc(5)."""

from __future__ import annotations

import contextlib
import os

from gaovm import errors
from gaovm.platform.look import Look

#: A start time is exact: ticks since boot.
START_TOLERANCE = 0
_NAME_BYTES = 15
#: More processes than a VM can have: driver, hypervisor, share servers, network, window.
_MAX_PROCESSES = 256


def look(pid: int) -> Look:
    """Return state, start time and exit status: fields 3, 22 and 52 of ``/proc/PID/stat``.

    Raises:
        errors.NotFound: there is no such process.
        errors.HostError: the kernel does not say, for example if no descriptor is left.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
        # the name may hold anything, so count from its closing bracket: state is field 3
        fields = text[text.rindex(b")") + 2 :].split()
        return Look(fields[0].decode(), int(fields[19]), int(fields[49]))
    except (FileNotFoundError, ProcessLookupError, ValueError, IndexError) as exc:
        raise errors.NotFound(f"no process has the pid {pid}") from exc
    except OSError as exc:  # for example no descriptor is left: that says nothing about the process
        raise errors.HostError(f"process {pid} cannot be inspected: {exc.strerror}") from exc


def name_self(name: str) -> None:
    """Set the name that ``ps`` shows for this process; the first 15 bytes count."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb") as file:
        file.write(os.fsencode(name)[:_NAME_BYTES])


def resident_bytes() -> int:
    """Return this process's memory that is in RAM now.

    Raises:
        errors.InternalError: the kernel does not say.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError) as exc:
        raise errors.InternalError(f"/proc/self/statm: {exc}") from exc
    return pages * os.sysconf("SC_PAGE_SIZE")


def boot_id() -> str:
    """Return an id that only this boot of the host has; empty if there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def has_locked(pid: int, path: str | os.PathLike[str]) -> bool:
    """Whether the kernel lists the process as one that has locked the file."""
    try:
        inode = os.stat(path).st_ino
        with open("/proc/locks", encoding="ascii", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return False
    # 1: FLOCK ADVISORY WRITE 123 00:2a:4711 0 EOF  (proc_locks(5))
    return any(
        len(words) > 5 and words[4] == str(pid) and words[5].endswith(f":{inode}")
        for words in lines
    )


def tree_memory(pid: int) -> tuple[int, int]:
    """Return the resident bytes of a process and all its descendants, and their number.

    Memory that they share counts once.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    private = shared = count = 0
    waiting, seen = [pid], {pid}
    while waiting and count < _MAX_PROCESSES:
        at = waiting.pop()
        try:
            with open(f"/proc/{at}/statm", "rb") as file:
                words = file.read().split()
            resident, common = int(words[1]), int(words[2])
        except (OSError, ValueError, IndexError):
            continue
        count += 1
        private += resident - common
        # this is the guest's RAM, which a share server maps too: the largest holds all of it
        shared = max(shared, common)
        below = [child for child in _children(at) if child not in seen]
        seen.update(below)
        waiting += below
    return (private + shared) * page, count


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.scandir(f"/proc/{pid}/task"):
            with open(os.path.join(thread.path, "children"), "rb") as file:
                found += [int(word) for word in file.read().split()]
    except (OSError, ValueError):
        return found
    return found
