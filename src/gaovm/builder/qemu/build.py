"""Combine the arguments of all nouns into one QEMU command line."""

from __future__ import annotations

from gaovm.builder import choices, fit, packages
from gaovm.builder import shares as share_devices
from gaovm.builder.document import BootFiles
from gaovm.builder.qemu import (
    boot,
    disks,
    firmware,
    graphics,
    machine,
    memory,
    network,
    pipes,
    processors,
    quoting,
    shares,
    watchdog,
)
from gaovm.builder.qemu.document import Document, Slot
from gaovm.model.facts import HostFacts
from gaovm.spec.vm import VmSpec


def build(spec: VmSpec, host: HostFacts, artefacts: BootFiles) -> Document:
    """Build the command line of a VM. The same input always gives the same document.

    Raises:
        errors.ProgramMissing: no QEMU for the architecture, or no virtiofsd or UEFI firmware where
            one is needed.
        errors.AcceleratorUnavailable: the requested accelerator does not work here.
        errors.PermissionMissing: the only virtiofsd needs root.
        errors.ConfigError: the machine type does not exist for the architecture, or lacks a device;
            or the VM does not fit on the host, or needs KVM.
    """
    arch = spec.boot.arch
    program = _program(arch, host)
    fit.check(spec, host)
    board = machine.choose(spec.boot.machine, arch)
    graphics.check(spec, board.name)
    accelerator = choices.choose_accelerator(spec.boot.accelerator, arch, host)
    carrier = network.choose(host)
    devices = share_devices.decide(spec.shares, host)
    shared = share_devices.needs_shared_memory(devices)
    huge = shared and host.huge_shared_memory
    # an emulated guest reads the host's counter only when both have the same architecture
    tsc_khz = host.tsc_khz if arch == host.arch else None
    flash = firmware.choose(spec, board.name, artefacts, host)
    command_line = boot.kernel_arguments(spec, board.name, accelerator.name, tsc_khz)
    argv = (
        program,
        *processors.arguments(spec.processors, arch, accelerator),
        *machine.arguments(
            spec, board.name, accelerator.name, shared_memory=shared, firmware=flash
        ),
        *memory.arguments(spec.memory, shared=shared, huge=huge),
        *(firmware.arguments(flash) or boot.arguments(artefacts, command_line)),
        *pipes.arguments(board.name),
        *disks.arguments(artefacts, board.name),
        *network.arguments(spec, board.name, carrier.name),
        *machine.devices(board.name),
        *shares.arguments(devices, board.name, root=host.root),
        *watchdog.arguments(spec.supervision.watchdog, board.name),
        # last, so that they do not move the other devices
        *graphics.arguments(spec, board.name),
        *disks.additional_arguments(artefacts, board.name, len(devices)),
    )
    files = (*boot.files(artefacts), *flash.files, *disks.files(artefacts))
    fds = [file.fd for file in files] + [d.fd for d in devices if d.fd is not None]
    return Document(
        argv=argv,
        slots=_slots(argv, [*_OWN_FDS, *fds]),
        machine=board,
        accelerator=accelerator,
        shares=devices,
        network=carrier,
        kernel_arguments="" if flash.own_loader else command_line,
        files=files,
        memory_bytes=machine.memory_bytes(accelerator.name, spec.memory.size_bytes),
        processors=spec.processors.count,
        memory_file_bytes=memory.file_bytes(spec.memory) if huge else None,
    )


def _program(arch: str, host: HostFacts) -> str:
    name = f"qemu-system-{arch}"
    program = host.programs.get(name)
    if program is None:
        raise packages.missing(name)
    return program


_OWN_FDS = ("qmp", "console", "agent", network.FD, memory.FD, graphics.SCREENSHOT)
_HOLDERS = frozenset({"-chardev", "-object", "-netdev", "-add-fd", "-kernel", "-initrd"})


def _slots(argv: tuple[str, ...], fds: list[str]) -> tuple[Slot, ...]:
    """Return the placeholders' positions. Only arguments with text of our own are searched."""
    slots = []
    for index, argument in enumerate(argv):
        if argv[index - 1] in _HOLDERS:
            found = [fd for fd in fds if quoting.descriptor(fd) in argument]
            slots += [Slot(index=index, fd=fd) for fd in found]
    return tuple(slots)
