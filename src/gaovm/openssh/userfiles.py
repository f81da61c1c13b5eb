"""Writes aliases into the user's ``~/.ssh``: our file ``gaovm.config``, one line in ``config``.

Each change is atomic and keeps modes and all foreign content. Callers on one machine take turns.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gaovm import errors
from gaovm.aio import files
from gaovm.openssh import alias, keygen

_FILE = "gaovm.config"
_MAX_BYTES = 4 << 20


def put(name: str, home: str, settings: Sequence[tuple[str, str]], exist: set[str]) -> Path:
    """Write a VM's alias, drop those of VMs that do not ``exist``, and include our file.

    Returns our file.

    Raises:
        errors.HostError: a file cannot be written; nothing was changed then.
    """
    place = directory()
    with _place(place, make=True):
        ours = place / _FILE

        def change(text: str) -> str:
            text = alias.without(text, lambda vm, of: of == home and vm not in exist)
            return alias.put(text, name, home, settings)

        _edit(ours, change)
        _edit(place / "config", lambda text: alias.include(text, _shown(ours)))
    return ours


def remove(goes: Callable[[str, str], bool]) -> bool:
    """Remove the aliases for whose VM and home ``goes`` is true; returns whether there were any.

    With the last one our file goes, and our line in ``config``.

    Raises:
        errors.HostError: a file cannot be written.
    """
    place = directory()
    ours = place / _FILE
    if not ours.exists():
        return False
    with _place(place, make=False):
        before = _read(ours)
        after = alias.without(before, goes)
        if after == before:
            return False
        if alias.is_empty(after):
            config = place / "config"
            if config.exists():
                _edit(config, lambda text: alias.exclude(text, _shown(ours)))
            ours.unlink(missing_ok=True)
        else:
            _edit(ours, lambda _: after)
    return True


def forget(home: str, name: str) -> None:
    """Remove what a VM that was destroyed has left here. Idempotent.

    Raises:
        errors.HostError: a file cannot be written.
    """
    keygen.remove(home, name)
    remove(lambda vm, of: (vm, of) == (name, home))


def directory() -> Path:
    """Return ``~/.ssh``."""
    return Path("~/.ssh").expanduser()


def is_read() -> bool:
    """Tell whether OpenSSH reads this directory: it goes by the account, not by ``HOME``."""
    return directory() == Path(pwd.getpwuid(os.getuid()).pw_dir) / ".ssh"


def _shown(path: Path) -> str:
    """Return a path as ``Include`` has it: one that also holds on the user's other machines."""
    return f"~/.ssh/{path.name}" if is_read() else str(path)


@contextlib.contextmanager
def _place(place: Path, *, make: bool) -> Iterator[None]:
    try:
        if make:
            place.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise files.errors_of(exc, f"cannot open {place}") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _edit(path: Path, change: Callable[[str], str]) -> None:
    """Replace a file's text. A link stays a link; a new file is private."""
    real = Path(os.path.realpath(path))
    before = _read(real)
    after = change(before)
    if after == before and real.exists():
        return
    try:
        mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o600
        files.write_atomic(real, after.encode("utf-8", "surrogateescape"), mode)
    except (OSError, errors.HostError) as exc:
        raise errors.HostError(
            f"cannot write {real}: {exc}",
            remedy=f"put this first into your ssh config by hand: {alias.include_line(str(path))}"
            if path.name == "config"
            else None,
        ) from exc


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise files.errors_of(exc, f"cannot read {path}") from exc
    if len(data) > _MAX_BYTES:
        raise errors.HostError(f"{path} is longer than {_MAX_BYTES >> 20} MiB")
    return data.decode("utf-8", "surrogateescape")
