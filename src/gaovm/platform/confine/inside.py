"""Make a cage around this process, between fork and exec.

The order matters. Set control groups and limits while we may; make mounts while we are privileged.
Then enter the user namespace and take the ids. Set the death signal after the last change of ids,
which clears it. What needs no privilege (``no_new_privs``, Landlock) comes last.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
from collections.abc import Sequence
from typing import NamedTuple

from gaovm.platform.confine import calls, landlock
from gaovm.platform.confine.cage import Bind, Cage

_OLD = "/.old"
_SCRATCH = "/tmp"
_TIGHT = calls.MS_NOSUID | calls.MS_NODEV | calls.MS_NOEXEC


class Plan(NamedTuple):
    """What the parent has prepared: descriptors, all closed by exec.

    ``parent`` is its pidfd; ``group_files`` are open ``cgroup.procs``; ``user_namespace`` -1: none.
    ``namespaces`` and ``landlock``: whether this kernel and user can have them.
    """

    cage: Cage
    parent: int
    namespaces: bool
    landlock: bool
    group_files: tuple[int, ...] = ()
    user_namespace: int = -1
    files: tuple[int, ...] = ()


def enter(plan: Plan) -> None:
    """Confine this process for good.

    Raises:
        OSError: a part failed; the process is only half confined and must end.
    """
    cage = plan.cage
    for fd in plan.group_files:
        os.write(fd, b"0")
    if plan.namespaces:
        _leave_the_host(cage)
        _make_root(cage)
    _limit(cage)
    _change_user(plan)
    calls.die_with_parent(signal.SIGKILL)
    if select.select([plan.parent], [], [], 0)[0]:
        os._exit(1)  # the parent died before the call above
    calls.no_new_privileges()
    if plan.landlock:
        landlock.restrict(landlock.of_cage(cage, plan.files))


def _leave_the_host(cage: Cage) -> None:
    network = 0 if cage.network else calls.NEWNET
    calls.unshare(calls.NEWNS | calls.NEWIPC | calls.NEWUTS | calls.NEWCGROUP | network)
    calls.set_host_name(b"gaovm")


def _make_root(cage: Cage) -> None:
    os.umask(0o022)
    calls.mount("none", "/", None, calls.MS_REC | calls.MS_PRIVATE)
    calls.mount("tmpfs", _SCRATCH, "tmpfs", _TIGHT, "size=1m,nr_inodes=1k,mode=755")
    os.chdir(_SCRATCH)
    os.mkdir(_OLD[1:])
    calls.pivot_root(".", _OLD[1:])
    os.chdir("/")
    for bind in cage.binds:
        _bind(bind)
    for path in cage.hidden:
        calls.mount("tmpfs", path, "tmpfs", _TIGHT | calls.MS_RDONLY, "size=4k,mode=555")
    _proc(cage.settings)
    for path, target in (*cage.links, ("/dev/fd", "/proc/self/fd")):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.symlink(target, path)
    calls.detach(_OLD)
    os.rmdir(_OLD)
    calls.restrict_mount("/", calls.ATTR_RDONLY, recursive=False)


def _bind(bind: Bind) -> None:
    source, target = _OLD + (bind.source or bind.path), bind.path
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    calls.mount(source, target, None, calls.MS_BIND | calls.MS_REC)
    attributes = calls.ATTR_NOSUID
    attributes |= 0 if bind.writable or bind.device else calls.ATTR_RDONLY
    attributes |= 0 if bind.device else calls.ATTR_NODEV
    attributes |= 0 if bind.programs else calls.ATTR_NOEXEC
    calls.restrict_mount(target, attributes, recursive=True)


def _proc(settings: Sequence[tuple[str, str]]) -> None:
    """Mount a /proc with this process tree only: programs open descriptors again through it."""
    os.makedirs("/proc", exist_ok=True)
    place = "/.proc" if settings else "/proc"
    os.makedirs(place, exist_ok=True)
    calls.mount("proc", place, "proc", _TIGHT, "subset=pid,hidepid=invisible")
    for path, text in settings:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    if settings:
        os.symlink(f"{place}/self", "/proc/self")


def _limit(cage: Cage) -> None:
    limits = cage.limits
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, limits.address_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_MSGQUEUE, 0),
    ]
    if cage.ids is not None:  # otherwise the limit would count all processes of the user
        wanted.append((resource.RLIMIT_NPROC, limits.processes))
    for what, value in wanted:
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def _change_user(plan: Plan) -> None:
    cage = plan.cage
    if plan.user_namespace >= 0:
        calls.setns(plan.user_namespace, calls.NEWUSER)
    if cage.ids is None and not plan.namespaces:
        return  # a plain user without a namespace has nothing to drop
    calls.bound_capabilities(cage.capabilities)
    if cage.ids is not None:
        calls.keep_capabilities()
        # in the namespace its ids begin at 0
        number = inner_id(cage) if plan.user_namespace >= 0 else cage.ids.first
        os.setgroups(list(cage.groups))
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    calls.set_capabilities(cage.capabilities, passed_on=True)


def inner_id(cage: Cage) -> int:
    """Return the program's id in its user namespace: root, or a user who owns no file."""
    if cage.root:
        return 0
    taken = {number for pair in cage.owners for number in pair}
    return next(number for number in range(65533, 0, -1) if number not in taken)
