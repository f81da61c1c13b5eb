"""Unix sockets on the host that lead into the guest.

A driver makes them before it drops its rights: later it can make no Unix socket. Each has mode 0600
before anybody can connect. A stale file of ours is replaced, a file of anybody else never is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import stat
from pathlib import Path

from gaovm import errors
from gaovm.aio import files, steps
from gaovm.platform.made_sockets import DIRECTORY, LIST, encode, is_stale, noted
from gaovm.platform.unix_sockets import MAX_PATH_BYTES

BACKLOG = 128


class HostSockets:
    """The socket files of one VM."""

    def __init__(self) -> None:
        self._made: dict[Path, tuple[int, int]] = {}

    @steps.step
    def bind(self, vm_dir: Path, path: str, field: str | None) -> socket.socket:
        """Return a listening, non-blocking socket at a path; a relative one is below ``sock``.

        Raises:
            errors.PortTaken: another file is there, or somebody listens there.
            errors.InvalidParams: there can be no socket at this path.
        """
        target = vm_dir / DIRECTORY / path
        if len(os.fsencode(target)) > MAX_PATH_BYTES:
            raise errors.InvalidParams(
                f"the path of host socket {target} is longer than {MAX_PATH_BYTES} bytes",
                field=field,
                remedy="give hostSocket a shorter path, or GAOVM_HOME a shorter one",
            )
        try:
            if target.is_relative_to(vm_dir / DIRECTORY):
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                _clear(target, field, ours=True)
            else:
                known = noted(vm_dir)
                _clear(target, field, ours=target in known)
                if target not in known:  # before it is made: a crash must not leave it unknown
                    files.write_atomic(vm_dir / LIST, encode([*known, target]))
            sock = _listen(target)
            status = target.lstat()
        except OSError as exc:
            raise _failure(exc, target, field) from exc
        self._made[target] = (status.st_dev, status.st_ino)
        return sock

    def close(self) -> None:
        """Remove the files that are still ours. Idempotent.

        A driver without rights to a directory leaves its file there; the daemon removes it.
        """
        for path, identity in self._made.items():
            with contextlib.suppress(OSError):
                status = path.lstat()
                if (status.st_dev, status.st_ino) == identity:
                    path.unlink()
        self._made.clear()


def _clear(target: Path, field: str | None, *, ours: bool) -> None:
    """Remove a stale socket of this user's; refuse to touch anything else.

    Raises:
        errors.PortTaken: something else is there.
    """
    try:
        status = target.lstat()
    except FileNotFoundError:
        return
    if not ours or not stat.S_ISSOCK(status.st_mode):
        raise _taken(target, "is there, and is no socket of this VM", field)
    if not is_stale(target, status):
        raise _taken(target, "is taken: somebody listens there", field)
    target.unlink()


def _listen(target: Path) -> socket.socket:
    temporary = target.with_name(f".{secrets.token_hex(3)}"[: max(2, len(target.name))])
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(temporary))
        try:
            temporary.chmod(0o600)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            os.link(temporary, target, follow_symlinks=False)  # never replaces a file
        finally:
            temporary.unlink()
    except BaseException:
        listener.close()
        raise
    return listener


def _taken(target: Path, what: str, field: str | None) -> errors.PortTaken:
    return errors.PortTaken(
        f"host socket {target} {what}",
        field=field,
        remedy="remove the file if nobody needs it, or choose another hostSocket",
    )


def _failure(exc: OSError, target: Path, field: str | None) -> errors.GaoError:
    if exc.errno == errno.EEXIST:
        return _taken(target, "is there, and is no socket of this VM", field)
    return errors.InvalidParams(
        f"cannot make host socket {target}: {exc.strerror}",
        field=field,
        remedy="choose a hostSocket in a directory that exists and is yours",
    )
