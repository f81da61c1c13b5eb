"""What the daemon sends with ``vm.configure``: all that a driver needs to know about its VM."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gaovm.model.facts import HostFacts
from gaovm.spec.disks import DiskFormat
from gaovm.spec.ports import HostPort, Port, Proto
from gaovm.spec.vm import VmSpec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """The image's files: ``disk`` is never written, the VM has an overlay over it.

    ``loader`` says what boots it: ``kernel``, else the disk's own boot loader. ``seed`` is the disk
    by which an image that knows nothing of GaoVM gets the agent.
    """

    disk: str
    kernel: str | None = None
    loader: Literal["kernel", "uefi", "bios"] = "kernel"
    loader_reason: str = ""
    seed: str | None = None
    disk_format: str = "raw"
    initrd: str | None = None
    image_digest: str = ""


class DiskFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file of a named disk, and the lock that the driver holds while its VM has the disk."""

    name: str
    path: str
    format: DiskFormat
    lock: str


class StopLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that the guest gets when the driver leaves: by its agent, then by ACPI."""

    agent_s: Seconds = 6.0
    acpi_s: Seconds = 4.0


def copy_path(vm_dir: str, number: int) -> str:
    """Return where the driver puts a file of the guest's, for the daemon to copy it further."""
    return f"{vm_dir}/copies/{number}"


class FollowedPort(msgspec.Struct, frozen=True, kw_only=True):
    """The host port that a forward to a server of the guest had in the last run."""

    proto: Proto
    guest_port: Port
    host_port: Port


class LaunchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``vm.configure``.

    ``facts`` come from the daemon, which has them at hand; without them the driver collects them,
    which costs it a mebibyte for the rest of its life. ``confine`` is false only for the rehearsal
    of a driver, whose hypervisor is a script. ``host_ports`` has an entry for each forward of the
    spec: the host port of the last start where any will do, 0 where the forward had none or names
    its own. ``followed`` says the same of forwards that follow the guest's servers. ``cache`` is
    the directory whose images the images in ``home`` are hard links to; shares hide it, as they
    hide ``home``. ``additional_disks`` has a file for each of the spec's.
    """

    spec: VmSpec
    home: str
    cache: str = ""
    vm_dir: str
    run_dir: str
    artefacts: Image
    facts: HostFacts | None = None
    provision: bool = True
    confine: bool = True
    host_ports: tuple[HostPort, ...] = ()
    additional_disks: tuple[DiskFile, ...] = ()
    followed: tuple[FollowedPort, ...] = ()
    stop: StopLimits = StopLimits()

    @property
    def disk(self) -> str:
        """The path of the VM's own disk."""
        return f"{self.vm_dir}/disk.qcow2"

    @property
    def uefi_variables(self) -> str:
        """The path of the VM's own UEFI variables."""
        return f"{self.vm_dir}/uefi-variables.fd"

    @property
    def vnc_socket(self) -> str:
        """The path of the socket where viewers of the display connect, if the VM has one."""
        return f"{self.run_dir}/vnc.sock"
