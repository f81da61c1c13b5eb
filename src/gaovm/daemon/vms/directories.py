"""Which VM belongs to a directory: the directory's identity decides, not its name.

A directory is known by its device and inode. So a moved project keeps its VM, a copy gets a new VM,
and two projects of the same name have two VMs. The system may use an inode again once its directory
is gone, and a device may have another number after a reboot; in both cases the mark in
``.lima/gaovm-id`` has to agree as well. The mark alone gives nobody a VM: the guest can write it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat

import msgspec

from gaovm import errors
from gaovm.daemon.storage import records
from gaovm.daemon.vms import lookups, machine
from gaovm.daemon.vms.fleet import Fleet
from gaovm.project import names

logger = logging.getLogger(__name__)

FOLDER, MARK = ".lima", "gaovm-id"
_MARK_BYTES = 32
_DIGITS = frozenset("0123456789abcdef")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A directory as it is now; ``directory`` None: it cannot be reached from here.

    ``here``: other paths at which VMs know this directory and that lead to it still.
    """

    path: str
    directory: records.Directory | None
    here: frozenset[str] = frozenset()


async def look(fleet: Fleet, path: str) -> Seen:
    """What a directory is now; asked in a thread, as it may lie on a slow server.

    Raises:
        errors.UsageError: the path is not absolute.
    """
    if not path.startswith("/") or "\0" in path:
        raise errors.UsageError(f"{path!r} is not an absolute path")
    path = os.path.normpath(path)
    known = [(s.record.project, s.record.directory) for s in fleet.machines.values()]
    return await lookups.run(_look, path, known)


def _look(path: str, known: list[tuple[str, records.Directory | None]]) -> Seen:
    found = identify(path)
    if found is None:
        return Seen(path=path, directory=None)
    others = {other for other, directory in known if other != path and _same(directory, found)}
    same = frozenset(other for other in others if _same(identify(other), found))
    return Seen(path=path, directory=msgspec.structs.replace(found, mark=_read(path)), here=same)


def identify(path: str) -> records.Directory | None:
    """Device and inode of a directory; None: there is none, or it cannot be reached."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    if not stat.S_ISDIR(found.st_mode):
        return None
    return records.Directory(device=found.st_dev, inode=found.st_ino)


def _same(one: records.Directory | None, other: records.Directory) -> bool:
    return one is not None and (one.device, one.inode) == (other.device, other.inode)


def belongs(record: records.VmRecord, seen: Seen) -> bool:
    """Whether a VM is one of this directory."""
    known, now, here = record.directory, seen.directory, record.project == seen.path
    if known is None or now is None:
        return here  # there is nothing else to compare
    marked = known.mark is None or known.mark == now.mark
    if _same(known, now):
        # the same place, or another name of it; else it was moved, or its inode used again
        return here or record.project in seen.here or marked
    return here and known.inode == now.inode and marked  # its device may have a new number


def of(fleet: Fleet, seen: Seen) -> list[machine.Machine]:
    """Return a directory's VMs, by name. Record the new place of a directory that was moved."""
    found = [vm for vm in fleet.machines.values() if belongs(vm.record, seen)]
    for vm in found:
        _follow(vm, seen)
    return sorted(found, key=lambda vm: vm.name)


def _follow(vm: machine.Machine, seen: Seen) -> None:
    known, now = vm.record.directory, seen.directory
    if known is None or now is None:
        return
    if vm.record.project != seen.path and vm.record.project not in seen.here:
        logger.info("vm %s: its project is at %s now", vm.name, seen.path)
        vm.update(project=seen.path, directory=msgspec.structs.replace(now, mark=known.mark))
    elif not _same(known, now):
        vm.update(directory=msgspec.structs.replace(now, mark=known.mark))


def default_of(fleet: Fleet, seen: Seen) -> machine.Machine | None:
    """Return the VM that a directory means when nobody gives a name."""
    own = of(fleet, seen)
    usual = names.of_directory(seen.path)
    chosen = [vm for vm in own if vm.record.is_default]
    older = [s for s in own if s.record.is_default is None and s.name == usual]
    named = [vm for vm in own if vm.name == usual]
    return next(iter((*chosen, *older, *named)), None)


def free_name(fleet: Fleet, path: str) -> str:
    """Return a name for the first VM of a directory: the usual one, or one with a number."""
    return next(name for name in names.of_directories(path) if name not in fleet.machines)


def missing(fleet: Fleet, seen: Seen) -> errors.VmNotFound:
    """Return the error of a directory without a VM. Names no VM of another directory."""
    message = f"{seen.path} has no VM"
    own = [vm.name for vm in of(fleet, seen)]
    if own:
        return errors.VmNotFound(message, remedy=f"it has others: give the name {own[0]}")
    return errors.VmNotFound(message, actions=(errors.Action("make_vm"), errors.Action("adopt_vm")))


async def settle(fleet: Fleet, seen: Seen) -> records.Directory | None:
    """Return what to record about a directory that gets a VM; write the mark into it.

    A known mark stays, even if it cannot be written: a guest must not rid its VM of the mark by
    putting something in its place.
    """
    if seen.directory is None:
        return None
    marks = (s.record.directory.mark for s in of(fleet, seen) if s.record.directory is not None)
    known = next((each for each in marks if each is not None), None)
    mark = known or secrets.token_hex(16)
    there = seen.directory.mark == mark or await lookups.run(_write, seen.path, mark)
    return msgspec.structs.replace(seen.directory, mark=mark if there else known)


def note(
    fleet: Fleet,
    seen: Seen,
    chosen: machine.Machine,
    directory: records.Directory | None,
    *,
    own: bool,
) -> None:
    """Record which directory a VM belongs to; ``own``: the directory means this VM from now on."""
    if directory is not None and chosen.record.directory != directory:
        chosen.update(directory=directory)
    for vm in of(fleet, seen) if own else ():
        if vm.record.is_default is not (vm is chosen):
            vm.update(is_default=vm is chosen)


async def lost(fleet: Fleet) -> list[machine.Machine]:
    """The VMs whose directories are not where they were."""
    rows = [vm.record for _, vm in sorted(fleet.machines.items())]
    gone = await lookups.run(lambda: [row.name for row in rows if not is_there(row)])
    return [fleet.machines[name] for name in gone if name in fleet.machines]


def is_there(record: records.VmRecord) -> bool:
    """Whether a VM's directory is where it was. Looks at the disk."""
    now, known = identify(record.project), record.directory
    return now is not None and (known is None or now.inode == known.inode)


# the mark: in a directory that a guest can write


def _read(path: str) -> str | None:
    """The mark of a directory, None when it has no good one."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        folder = _folder(path, stack)
        fd = os.open(MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        stack.callback(os.close, fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        text = os.read(fd, _MARK_BYTES + 2).decode("ascii", "replace").rstrip("\n")
        if len(text) == _MARK_BYTES and set(text) <= _DIGITS:
            return text
    return None


def _write(path: str, mark: str) -> bool:
    """Write the mark, without following a link; return whether it is there now."""
    new = f"{MARK}.{secrets.token_hex(4)}"
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        folder = _folder(path, stack)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        fd = os.open(new, flags, 0o644, dir_fd=folder)
        stack.callback(os.close, fd)
        stack.callback(_unlink, new, folder)
        owner = os.fstat(folder)
        if os.geteuid() == 0:
            os.fchown(fd, owner.st_uid, owner.st_gid)
        os.write(fd, f"{mark}\n".encode())
        os.replace(new, MARK, src_dir_fd=folder, dst_dir_fd=folder)
        return True
    return False


def _folder(path: str, stack: contextlib.ExitStack) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    root = os.open(path, flags)
    stack.callback(os.close, root)
    folder = os.open(FOLDER, flags | os.O_NOFOLLOW, dir_fd=root)
    stack.callback(os.close, folder)
    return folder


def _unlink(name: str, folder: int) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)
