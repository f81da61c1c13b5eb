"""Which VMs mean a named disk, which one uses it now, and what a start needs of its disks."""

from __future__ import annotations

from collections.abc import Iterable

from gaovm import errors
from gaovm.daemon.disks import disk_files, registry
from gaovm.daemon.vms import machine
from gaovm.model import states
from gaovm.spec.vm import VmSpec
from gaovm.wire.driver import launch


def naming(machines: Iterable[machine.Machine], name: str) -> list[str]:
    """Return the VMs whose config names the disk, now or from their next start on."""
    return sorted(
        vm.name
        for vm in machines
        if any(_names(spec, name) for spec in (vm.record.spec, vm.record.pending))
    )


def using(machines: Iterable[machine.Machine], name: str) -> str | None:
    """Return the VM that has the disk now, as far as this daemon knows; its lock knows for sure."""
    for vm in machines:
        if vm.state.observed not in states.AT_REST and _names(vm.record.spec, name):
            return vm.name
    return None


def _names(spec: VmSpec | None, name: str) -> bool:
    return spec is not None and any(disk.name == name for disk in spec.additional_disks)


def check(disks: registry.Disks, spec: VmSpec) -> None:
    """Check that every disk that a VM's config names exists.

    Raises:
        errors.DiskMissing: one does not; the actions make it.
    """
    for number, disk in enumerate(spec.additional_disks):
        record = disks.records.get(disk.name)
        if record is None or record.state != "ready":
            raise errors.DiskMissing(
                f"there is no disk {disk.name!r}",
                field=f"additionalDisks[{number}]",
                actions=(
                    errors.Action("create_disk", disk=disk.name, size="10GiB"),
                    errors.Action("list_disks"),
                ),
            )


def launched(
    disks: registry.Disks, others: Iterable[machine.Machine], spec: VmSpec
) -> tuple[launch.DiskFile, ...]:
    """Return the files of a VM's additional disks, for its driver.

    ``others``: the VMs that may use them already.

    Raises:
        errors.DiskMissing: one does not exist, or its file is gone.
        errors.DiskInUse: another VM uses one.
    """
    check(disks, spec)
    found = []
    others = list(others)
    for number, disk in enumerate(spec.additional_disks):
        if (user := using(others, disk.name)) is not None:
            raise registry.in_use(disk.name, None, user)
        record, directory = disks.records[disk.name], disks.directory(disk.name)
        there = disk_files.path(directory, record.format)
        if not there.is_file():
            raise errors.DiskMissing(
                f"the file of disk {disk.name} is gone: {there}",
                field=f"additionalDisks[{number}]",
                remedy="restore that file, or remove the disk and make it again",
                actions=(errors.Action("remove_disk", disk=disk.name),),
            )
        found.append(
            launch.DiskFile(
                name=disk.name,
                path=str(there),
                format=record.format,
                lock=str(directory / disk_files.LOCK),
            )
        )
    return tuple(found)
