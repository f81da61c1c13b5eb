"""``copyToHost``: put what a driver brought from its guest where the config wants it on the host.

The guest chooses the content of a file, and a guest may have changed links in the project since a
person approved the places. So each directory of a place is opened on its own and no link is
followed; a place that leads elsewhere than was approved is refused.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gaovm import errors
from gaovm.aio import steps
from gaovm.daemon.storage import records
from gaovm.daemon.vms import lookups, machine
from gaovm.model import states
from gaovm.spec import reach
from gaovm.spec.guest import Copy
from gaovm.wire.driver import launch

#: The user alone reads such a file: it may hold keys.
MODE, DIRECTORY_MODE = 0o600, 0o700
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Place(NamedTuple):
    """A file on the host: its directory's real path, and its name."""

    directory: str
    name: str


@steps.step
async def place(vm: machine.Machine) -> None:
    """Copy every file that the driver brought; one that is the same already stays untouched.

    Raises:
        errors.ProvisionFailed: a place cannot be written, or leads elsewhere than was approved.
    """
    if vm.record.spec.guest.copies:
        home, vm_dir = vm.fleet.paths.home, vm.fleet.paths.vm_dir(vm.name)
        await lookups.run(_place_all, vm.record, str(home), str(vm_dir))


async def place_again(vm: machine.Machine) -> None:
    """Copy the files of a guest that has rebooted by itself; a failure degrades the VM."""
    async with vm.serial:
        if vm.state.readiness is states.Readiness.READY:
            try:
                await place(vm)
            except errors.GaoError as exc:
                if vm.state.readiness is states.Readiness.READY:  # it may have died meanwhile
                    await vm.apply(states.Event.DEGRADED, exc)


def removes(record: records.VmRecord) -> bool:
    """Return whether a file goes when the VM stops."""
    return any(copy.delete_on_stop for copy in record.spec.guest.copies)


@steps.step
async def remove(vm: machine.Machine) -> None:
    """Remove the files that are to go when the VM stops. Idempotent; what fails is left."""
    if removes(vm.record):
        home, vm_dir = vm.fleet.paths.home, vm.fleet.paths.vm_dir(vm.name)
        await lookups.run(_remove_all, vm.record, str(home), str(vm_dir))


async def remove_at_rest(vm: machine.Machine) -> None:
    """Remove them if the VM is at rest by the time that its turn comes."""
    async with vm.serial:
        if vm.state.observed in states.AT_REST:
            await remove(vm)


def _place_all(record: records.VmRecord, home: str, vm_dir: str) -> None:
    for number, copy in enumerate(record.spec.guest.copies):
        source = Path(launch.copy_path(vm_dir, number))
        if not source.exists():
            continue  # skipIfMissing
        try:
            place = _find(copy, record, home, vm_dir)
            with _opened(place.directory, make=True) as folder:
                _write(source, place.name, folder)
        except OSError as exc:
            raise _failed(copy, exc.strerror or str(exc)) from exc


def _remove_all(record: records.VmRecord, home: str, vm_dir: str) -> None:
    for copy in record.spec.guest.copies:
        if not copy.delete_on_stop:
            continue
        with contextlib.suppress(OSError, errors.GaoError):
            place = _find(copy, record, home, vm_dir)
            with _opened(place.directory, make=False) as folder:
                found = os.stat(place.name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    os.unlink(place.name, dir_fd=folder)


def _find(copy: Copy, record: records.VmRecord, home: str, vm_dir: str) -> _Place:
    """Return a copy's place, after all checks.

    Raises:
        errors.ProvisionFailed: it is none that a person has approved.
    """
    if not copy.host.startswith("/"):
        directory, _, name = f"{vm_dir}/{copy.host}".rpartition("/")
        return _Place(os.path.realpath(directory), name)
    directory, _, name = copy.host.rpartition("/")
    real = os.path.realpath(directory or "/")
    if f"{real}/".startswith(os.path.realpath(home).rstrip("/") + "/"):
        raise _failed(copy, f"it lies in GaoVM's own directory {home}")
    project = os.path.realpath(record.project)
    wanted = reach.of_copy(copy, project, os.path.realpath)
    known = None if record.approved is None else record.approved.reaches
    # a row that is older than approvals has no copies
    if wanted is not None and reach.widenings(known or (), (wanted,), project):
        raise _failed(copy, f"it leads to {wanted.what}, which nobody has approved")
    return _Place(real, name)


@contextlib.contextmanager
def _opened(directory: str, *, make: bool) -> Iterator[int]:
    """Open a real path part by part; a link that has come into it meanwhile is an error.

    Raises:
        OSError: a part cannot be opened or made, or is no directory.
    """
    folder = os.open("/", _STEP)
    try:
        for part in directory.split("/"):
            if not part:
                continue
            if make:
                with contextlib.suppress(FileExistsError, PermissionError):
                    os.mkdir(part, DIRECTORY_MODE, dir_fd=folder)
            below = os.open(part, _STEP, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def _write(source: Path, name: str, folder: int) -> None:
    """Make the file with this content, whole or not at all; a link at its name is replaced."""
    if _is_same(source, name, folder):
        return
    temporary = f".{name[:200]}.{secrets.token_hex(4)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with (
            source.open("rb") as content,
            os.fdopen(os.open(temporary, flags, MODE, dir_fd=folder), "wb") as file,
        ):
            shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _is_same(source: Path, name: str, folder: int) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != MODE:
        return False
    if found.st_size != source.stat().st_size:
        return False
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
        return file.read() == source.read_bytes()


def _failed(copy: Copy, why: str) -> errors.ProvisionFailed:
    return errors.ProvisionFailed(
        f"{copy.name}: cannot copy to {copy.host}: {why}",
        field=copy.name,
        remedy="look at the place on this machine, then bring the VM up again",
        actions=(errors.Action("start_vm"),),
        details={"script": copy.name, "status": None, "tail": []},
    )
