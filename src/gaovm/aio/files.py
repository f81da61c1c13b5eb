"""Files that are whole or absent, and locks that die with their process."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import stat
from pathlib import Path

from gaovm import errors

_TEMPORARY = re.compile(r"\..+\.([0-9]{1,10})\.[0-9a-f]{8}")


def write_atomic(
    path: str | Path, data: bytes, mode: int = 0o600, size_bytes: int | None = None
) -> None:
    """Replace a file: temporary file, fsync, rename, fsync of the directory.

    A reader sees the old content or the new, also after a power cut. On failure the old content
    stays, unless only the last sync failed. ``size_bytes``: as for ``create_atomic``.

    Raises:
        errors.DiskFull: no space.
        errors.HostError: any other failure of the system.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        write_synced(temporary, data, mode, size_bytes)
        temporary.replace(target)
        sync_directory(target.parent)
    except OSError as exc:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise errors_of(exc, f"cannot write {target}") from exc


def create_atomic(
    path: str | Path, data: bytes, mode: int = 0o600, size_bytes: int | None = None
) -> None:
    """Make a new file that is whole and durable, or absent: no crash leaves a part of it.

    ``size_bytes``: the file's length, if zeros (a hole) follow ``data``. Where the file system
    allows it, the file gets its name only after its content is durable. Elsewhere this works like
    ``write_atomic``.

    Raises:
        errors.StateConflict: the file exists already.
        errors.DiskFull: no space.
        errors.HostError: any other failure of the system.
    """
    target = Path(path)
    if target.exists():
        raise errors.StateConflict(f"{target} exists already")
    try:
        fd = os.open(target.parent, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, mode)
    except (AttributeError, OSError):
        write_atomic(target, data, mode, size_bytes)
        return
    try:
        _fill(fd, data, mode, size_bytes)
        # The source's descriptor makes this linkat(2), which follows the link.
        os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=fd)
        sync_directory(target.parent)
    except FileExistsError as exc:
        raise errors.StateConflict(f"{target} exists already") from exc
    except OSError as exc:
        raise errors_of(exc, f"cannot write {target}") from exc
    finally:
        os.close(fd)


def sweep(directory: Path) -> list[Path]:
    """Remove what processes that died in ``write_atomic`` left in a directory; return the paths.

    Files of live processes and all other files stay, and so does what cannot be removed.
    """
    removed = []
    for path in directory.glob(".*.*.*"):
        match = _TEMPORARY.fullmatch(path.name)
        if match is not None and not _lives(int(match[1])):
            with contextlib.suppress(OSError):
                path.unlink()
                removed.append(path)
    return removed


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_synced(path: Path, data: bytes, mode: int = 0o600, size_bytes: int | None = None) -> None:
    """Make a new file and make its content durable, but not its name.

    Raises:
        OSError: as the system says; also if the file exists.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        _fill(fd, data, mode, size_bytes)
    finally:
        os.close(fd)


def _fill(fd: int, data: bytes, mode: int, size_bytes: int | None = None) -> None:
    os.fchmod(fd, mode)  # whatever the umask is
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    if size_bytes is not None:
        os.ftruncate(fd, size_bytes)
    os.fsync(fd)


def sync_file(path: str | Path) -> None:
    """Make a file's content durable, even if another process wrote it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(path: str | Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def errors_of(exc: OSError, what: str) -> errors.HostError:
    """Return the typed error for a failed system call on a file."""
    import errno

    message = f"{what}: {exc.strerror or exc}"
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.DiskFull(message)
    if exc.errno in (errno.EACCES, errno.EPERM):
        return errors.PermissionMissing(message)
    return errors.HostError(message)


def open_regular(path: str | Path) -> io.BufferedReader:
    """Open for reading a file that somebody named. Never blocks, for example on a FIFO.

    Raises:
        errors.NotFound: not a regular file, but a FIFO, a device, a socket or a directory.
        OSError: as the system says.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "of another kind")
            raise errors.NotFound(f"{path} is {kind}; expected a regular file")
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class Lock:
    """A lock on a file that the kernel drops when its process dies, however it dies.

    The file stays (to remove it would let two holders in); it holds the owner's pid for messages.
    Exec closes the descriptor; a forked child must call ``forget``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._fd = -1

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd >= 0

    def acquire(self) -> bool:
        """Take the lock without waiting; False if somebody else holds it.

        Raises:
            errors.HostError: the file cannot be opened.
        """
        if self.held:
            return True
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise errors_of(exc, f"cannot open {self.path}") from exc
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError as exc:
            os.close(fd)
            raise errors_of(exc, f"cannot lock {self.path}") from exc
        self._fd = fd
        with contextlib.suppress(OSError):  # a full disk: the pid is only for messages
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        return True

    def fileno(self) -> int:
        """Return the descriptor that holds the lock, -1 if this object does not hold it."""
        return self._fd

    def is_in_place(self) -> bool:
        """Whether the locked file still has its name; otherwise another process can lock it."""
        try:
            return self.held and os.path.samestat(os.fstat(self._fd), self.path.stat())
        except OSError as exc:
            # Only these errors mean that the file is gone; a lack of memory, say, proves nothing.
            return not isinstance(exc, (FileNotFoundError, NotADirectoryError))

    def adopt(self, fd: int) -> None:
        """Take over a lock that this process held before it executed a new program.

        Raises:
            errors.StateCorrupt: ``fd`` is not the lock's file.
        """
        try:
            same = os.path.samestat(os.fstat(fd), self.path.stat())
        except OSError as exc:
            raise errors_of(exc, f"cannot take over {self.path}") from exc
        if not same:
            raise errors.StateCorrupt(f"descriptor {fd} is not {self.path}")
        os.set_inheritable(fd, False)
        self._fd = fd

    def holder(self) -> int | None:
        """Return the pid that the last owner wrote; that process may be gone."""
        try:
            text = self.path.read_bytes()[:32].strip()
            return int(text)
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        """Give the lock back, also for forked children that share it. Idempotent."""
        if self.held:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self.forget()

    def forget(self) -> None:
        """Close the descriptor; the processes that share the lock keep it."""
        if self.held:
            os.close(self._fd)
            self._fd = -1
