"""Makes keys with ``ssh-keygen``: rarely, so this may import what it likes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from gaovm import errors
from gaovm.aio import files
from gaovm.builder import packages
from gaovm.openssh import alias, places

_LIMIT_S = 30.0


def make(home: str, name: str) -> None:
    """Make our key, and a VM's host key with the file by which OpenSSH knows it. Idempotent.

    Raises:
        errors.ProgramMissing: there is no ``ssh-keygen``.
        errors.HostError: a key cannot be made.
    """
    user, host = Path(places.user_key(home)), Path(places.host_key(home, name))
    try:
        for place in (user.parent, host.parent):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(user.parent):
            _ensure(user, "gaovm")
            public = _ensure(host, f"gaovm {name}").split()
            line = f"{alias.host(name)} {' '.join(public[:2])}\n"
            known = Path(places.known_hosts(home, name))
            if not known.exists() or known.read_text() != line:
                files.write_atomic(known, line.encode())
    except OSError as exc:
        raise files.errors_of(exc, f"cannot make the keys in {user.parent}") from exc


def remove(home: str, name: str) -> None:
    """Remove a VM's host key. Idempotent."""
    for path in (places.known_hosts(home, name), places.host_key(home, name)):
        Path(path).unlink(missing_ok=True)
    Path(places.host_key(home, name) + ".pub").unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _ensure(path: Path, comment: str) -> str:
    """Make a key unless both halves are there; return the public half."""
    public = path.with_name(path.name + ".pub")
    if not (path.exists() and public.exists()):
        _generate(path, comment)
    return public.read_text()


def _generate(path: Path, comment: str) -> None:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise errors.ProgramMissing(
            "ssh-keygen is not installed, and it makes the keys for SSH",
            remedy=packages.remedy("openssh-client"),
        )
    # in a directory of its own: a crash leaves no half of a key under its real name
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    try:
        made = subprocess.run(
            [program, "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(fresh / "key")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
        )
        if made.returncode != 0:
            said = made.stderr.decode("utf-8", "replace").strip()
            raise errors.HostError(f"ssh-keygen failed with {made.returncode}: {said[-500:]}")
        (fresh / "key.pub").replace(path.with_name(path.name + ".pub"))
        (fresh / "key").replace(path)
    except subprocess.TimeoutExpired as exc:
        raise errors.HostError(f"ssh-keygen did not end within {_LIMIT_S:g} s") from exc
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
