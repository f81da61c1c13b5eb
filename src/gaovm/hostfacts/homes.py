"""Check whether this user can keep state in a home; if not, one line says what to do.

Every command runs this code: it does not import pathlib.
"""
# ruff: noqa: PTH111, PTH112, PTH115, PTH114, PTH116, PTH120

from __future__ import annotations

import os
import stat

from gaovm import errors


def check(home: str, *, write: bool) -> None:
    """Refuse a home that this user cannot or should not use. ``home`` is absolute.

    A home that does not exist yet is accepted if it can be made. ``write``: the caller will write
    state; otherwise it is enough that what exists can be reached.

    Raises:
        errors.PermissionMissing: the home is another user's, another user can replace it with one
            of their own, or this user lacks rights.
        errors.HostError: it is not a directory, or its file system cannot be written.
    """
    _check_rights(home, write=write)
    _check_path(home)


def _check_rights(home: str, *, write: bool) -> None:
    try:
        found = os.stat(home)
    except (FileNotFoundError, NotADirectoryError) as exc:
        _missing(home, write=write, cause=exc)
        return
    except OSError as exc:
        raise errors.PermissionMissing(f"{home}: {exc.strerror}", remedy=_ELSEWHERE) from exc
    if not stat.S_ISDIR(found.st_mode):
        raise errors.HostError(f"{home} is not a directory", remedy=_ELSEWHERE)
    _refuse_another(found, f"{home} belongs to")
    wanted = os.R_OK | os.X_OK | (os.W_OK if write else 0)
    if not os.access(home, wanted):
        raise _refused(home, found)


def _check_path(home: str) -> None:
    """Refuse a path if somebody else can exchange a part of it: nothing below it is safe then."""
    linked = False
    for path in _prefixes(home):
        try:
            found = os.lstat(path)
        except OSError:
            break  # a later check reports what is missing or cannot be reached
        linked = linked or stat.S_ISLNK(found.st_mode)
        _check_part(path, found, home)
    if linked and (real := os.path.realpath(home)) != home:
        _check_path(real)


def _prefixes(path: str) -> list[str]:
    found = [path]
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        found.append(path)
    return found[::-1]


def _check_part(path: str, found: os.stat_result, home: str) -> None:
    if found.st_uid not in (0, os.geteuid()) and path != home:
        owner = name_of(found.st_uid)
        raise errors.PermissionMissing(
            f"{path} belongs to {owner}, who can exchange {home} for another directory",
            remedy=_ELSEWHERE,
        )
    mode = found.st_mode
    if stat.S_ISLNK(mode) or mode & stat.S_ISVTX:
        return
    others = mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_own_group(found.st_gid))
    if others:
        raise errors.PermissionMissing(
            f"{path} can be written by other users (mode {stat.S_IMODE(mode):04o}): they can "
            f"exchange {'what is in it' if path == home else home}",
            remedy=f"chmod go-w {path}, or {_ELSEWHERE}",
        )


def _is_own_group(gid: int) -> bool:
    """Whether a group is root's, or this user's alone (many systems give each user one)."""
    import grp
    import pwd

    if gid == 0:
        return True
    try:
        group, me = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_name == me.pw_name and set(group.gr_mem) <= {me.pw_name}


_ELSEWHERE = "set GAOVM_HOME to a directory of your own"


def _missing(home: str, *, write: bool, cause: OSError) -> None:
    if os.path.islink(home):
        raise errors.HostError(
            f"{home} is a link to what does not exist: {os.readlink(home)}", remedy=_ELSEWHERE
        ) from cause
    above = os.path.dirname(home)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise errors.HostError(f"{above} is not a directory", remedy=_ELSEWHERE) from cause
    found = os.stat(above)
    if os.geteuid() == 0 and home == os.path.expanduser("~/.gaovm"):
        # HOME is a user's: what root makes there stays in that user's way for ever
        _refuse_another(found, f"{home} would belong to root in a directory of")
    if write and not os.access(above, os.W_OK | os.X_OK):
        raise _refused(above, found, f"{home} cannot be made: ")


def _refuse_another(found: os.stat_result, what: str) -> None:
    if found.st_uid == os.geteuid():
        return
    owner, me = name_of(found.st_uid), name_of(os.geteuid())
    raise errors.PermissionMissing(
        f"{what} {owner}, and you are {me}",
        remedy=f"call gaovm as {owner}, or {_ELSEWHERE}",
    )


def _refused(path: str, found: os.stat_result, why: str = "") -> errors.HostError:
    reads = os.access(path, os.R_OK | os.X_OK)
    if reads and os.statvfs(path).f_flag & os.ST_RDONLY:
        return errors.HostError(
            f"{why}{path} is on a file system that cannot be written", remedy=_ELSEWHERE
        )
    mode = stat.S_IMODE(found.st_mode)
    what = "write" if reads else "read"
    mine = found.st_uid == os.geteuid()
    return errors.PermissionMissing(
        f"{why}{path}: you may not {what} there (mode {mode:04o})",
        remedy=f"chmod u+rwx {path}" if mine else _ELSEWHERE,
    )


def name_of(uid: int) -> str:
    """Return a user's name; ``uid 1234`` if there is none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
