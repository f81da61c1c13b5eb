"""Specs, hosts and artefacts that the builder's tests and golden files share."""

from __future__ import annotations

import msgspec

from gaovm.builder.document import BootFiles, DiskDevice
from gaovm.model.facts import AcceleratorFact, HostFacts, PasstFact, UefiFact, VirtiofsdFact
from gaovm.spec import disks
from gaovm.spec.boot import Boot
from gaovm.spec.disks import AdditionalDisk, Image
from gaovm.spec.graphics import Graphics
from gaovm.spec.guest import Guest, User
from gaovm.spec.memory import GIB, Memory
from gaovm.spec.processors import Processors
from gaovm.spec.shares import Share
from gaovm.spec.supervision import OnHang, Supervision, Watchdog
from gaovm.spec.vm import VmSpec

ODD = "/home/u/a, b=c \"q\" 'ü'\n<fd:qmp>,,x"

KVM = AcceleratorFact(name="kvm", usable=True, reason="code ran in KVM at full speed")
NO_KVM = AcceleratorFact(name="kvm", usable=False, reason="guest code is interpreted")
C_ROOT = VirtiofsdFact(
    path="/usr/lib/qemu/virtiofsd", flavour="c", usable=True, reason="it runs as root"
)
C_PLAIN = VirtiofsdFact(
    path="/usr/lib/qemu/virtiofsd", flavour="c", usable=False, reason="it works for root only"
)
PASST = PasstFact(path="/usr/bin/passt", usable=True, reason="/usr/bin/passt is usable")
PROGRAMS = {
    "qemu-system-x86_64": "/usr/bin/qemu-system-x86_64",
    "qemu-system-aarch64": "/usr/bin/qemu-system-aarch64",
}
HOST = HostFacts(
    tsc_khz=2_596_144,
    arch="x86_64",
    root=True,
    cpus=2,
    accelerators=(NO_KVM,),
    programs=PROGRAMS,
    virtiofsd=C_ROOT,
    passt=PASST,
)
HUGE = msgspec.structs.replace(HOST, huge_shared_memory=True)
PLAIN = HostFacts(
    arch="x86_64", cpus=2, accelerators=(NO_KVM,), programs=PROGRAMS, virtiofsd=C_PLAIN
)
KVM_HOST = HostFacts(
    arch="x86_64",
    root=True,
    cpus=8,
    accelerators=(KVM,),
    programs=PROGRAMS,
    virtiofsd=C_ROOT,
    passt=PASST,
)
ARM_KVM_HOST = HostFacts(arch="aarch64", accelerators=(KVM,), programs=PROGRAMS)
UEFI = {
    "x86_64": UefiFact(code="/f/OVMF_CODE.fd", variables="/f/OVMF_VARS.fd"),
    "aarch64": UefiFact(code="/f/AAVMF_CODE.fd", variables="/f/AAVMF_VARS.fd"),
}
UEFI_HOST = msgspec.structs.replace(HOST, uefi=UEFI)
CLOUD = BootFiles(
    disk="/g/vms/p-dev/disk.qcow2",
    base="/g/images/disk.qcow2",
    base_format="qcow2",
    loader="uefi",
    loader_reason="it has an EFI system partition",
    variables="/g/vms/p-dev/uefi-variables.fd",
    seed="/g/vms/p-dev/cidata.iso",
)
FILES = BootFiles(
    disk="/g/vms/p-dev/disk.qcow2",
    base="/g/images/disk.raw",
    kernel="/g/images/k",
    initrd="/g/images/i",
)


#: A VM with two additional disks: a new one, and one that somebody brought as a raw file.
WITH_DISKS = msgspec.structs.replace(
    FILES,
    additional=(
        DiskDevice(path="/g/disks/data/disk.qcow2", format="qcow2", serial=disks.serial("data")),
        DiskDevice(path="/g/disks/raw/disk.raw", format="raw", serial=disks.serial("raw")),
    ),
)


def spec(
    *shares: Share, boot: Boot | None = None, cpus: int = 2, memory_bytes: int = 2 * GIB
) -> VmSpec:
    """A VM called p-dev."""
    return VmSpec(
        name="p-dev",
        image=Image(location="debian:12"),
        guest=Guest(user=User(name="u", uid=1000, gid=1000, home="/home/u.guest"), hostname="p"),
        boot=boot or Boot(),
        processors=Processors(count=cpus),
        memory=Memory(size_bytes=memory_bytes),
        shares=shares,
    )


def watched(on_hang: OnHang, boot: Boot | None = None) -> VmSpec:
    """The VM of ``spec`` with a watchdog device."""
    dog = Watchdog(device=True, timeout_s=45, on_hang=on_hang)
    return msgspec.structs.replace(spec(boot=boot), supervision=Supervision(watchdog=dog))


def displayed(base: VmSpec, **size: int) -> VmSpec:
    """The VM with a display."""
    return msgspec.structs.replace(base, graphics=Graphics(enabled=True, **size))


def with_disks(base: VmSpec, *names: str) -> VmSpec:
    """The VM with these additional disks."""
    named = tuple(AdditionalDisk(name=name) for name in names)
    return msgspec.structs.replace(base, additional_disks=named)


PROJECT = Share(location="/home/u/p", mount_point="/home/u/p", writable=True)
NINE_P = Share(location="/home/u/p", mount_point="/home/u/p", writable=True, type="9p")
ODD_9P = Share(location=ODD, mount_point="/odd", type="9p")

# name -> (spec, host, artefacts): each has a file in tests/golden
CASES: dict[str, tuple[VmSpec, HostFacts, BootFiles]] = {
    "q35-tcg-virtiofs": (spec(PROJECT), HOST, FILES),
    "q35-tcg-virtiofs-huge": (spec(PROJECT), HUGE, FILES),
    "q35-tcg-9p-root": (spec(NINE_P), HOST, FILES),
    "q35-tcg-9p-plain": (spec(PROJECT, ODD_9P), PLAIN, FILES),
    "q35-kvm": (spec(PROJECT, cpus=8), KVM_HOST, FILES),
    "q35-odd-paths": (
        spec(
            ODD_9P,
            Share(location=ODD + "2", mount_point="/v", type="virtiofs"),
            boot=Boot(extra_arguments="a=1\nb=2"),
        ),
        HOST,
        BootFiles(
            disk=ODD,
            base=ODD,
            base_format="qcow2",
            kernel=ODD,
            initrd=ODD,
        ),
    ),
    "microvm-tcg": (
        spec(NINE_P, boot=Boot(machine="microvm", accelerator="tcg"), cpus=1),
        HOST,
        FILES,
    ),
    "virt-tcg": (spec(PROJECT, boot=Boot(arch="aarch64")), HOST, FILES),
    "virt-kvm": (spec(NINE_P, boot=Boot(arch="aarch64", machine="virt")), ARM_KVM_HOST, FILES),
    "q35-tcg-watchdog": (watched("restart"), HOST, FILES),
    "q35-tcg-watchdog-pause": (watched("pause"), HOST, FILES),
    "virt-tcg-watchdog": (watched("event", Boot(arch="aarch64")), HOST, FILES),
    "q35-tcg-uefi": (spec(PROJECT), UEFI_HOST, CLOUD),
    "q35-tcg-bios": (
        spec(),
        HOST,
        msgspec.structs.replace(CLOUD, loader="bios", variables=None),
    ),
    "q35-tcg-initrd": (
        spec(),
        HOST,
        msgspec.structs.replace(FILES, seed="/g/vms/p-dev/cidata.iso"),
    ),
    "virt-tcg-uefi": (spec(boot=Boot(arch="aarch64")), UEFI_HOST, CLOUD),
    "q35-display": (displayed(spec(PROJECT)), HOST, FILES),
    "q35-display-odd-paths": (
        displayed(spec(PROJECT), width=8192, height=64),
        KVM_HOST,
        BootFiles(disk=ODD, base=ODD, base_format="qcow2", kernel=ODD, initrd=ODD),
    ),
    "q35-disks": (with_disks(spec(PROJECT), "data", "raw"), HOST, WITH_DISKS),
    "microvm-disks": (
        with_disks(spec(boot=Boot(machine="microvm", accelerator="tcg")), "data", "raw"),
        HOST,
        WITH_DISKS,
    ),
    "virt-disks": (
        with_disks(spec(PROJECT, boot=Boot(arch="aarch64")), "data", "raw"),
        HOST,
        WITH_DISKS,
    ),
    "virt-display": (displayed(spec(PROJECT, boot=Boot(arch="aarch64"))), HOST, FILES),
}
