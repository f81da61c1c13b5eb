"""The result of a build: a command line whose descriptors are still placeholders."""

from __future__ import annotations

from collections.abc import Mapping

from gaovm.builder import choices
from gaovm.builder.qemu import quoting
from gaovm.spec.base import Frozen


class BootFiles(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files a VM boots from.

    ``base`` is the image's disk, which ``disk`` is an overlay of; None: it stands alone.
    """

    disk: str
    base: str | None = None
    base_format: str = "raw"
    kernel: str
    initrd: str | None = None
    disk_format: str = "qcow2"
    image_digest: str = ""


class File(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that the driver opens for QEMU; ``fd`` names its descriptor."""

    fd: str
    path: str
    writable: bool = False


class ShareDevice(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A share as the document has it. ``fd`` names the descriptor of a virtiofs one."""

    tag: str
    type: str
    reason: str
    location: str
    mount_point: str
    writable: bool
    fd: str | None = None


class Slot(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which argument holds the placeholder of which descriptor."""

    index: int
    fd: str


class Document(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A QEMU command line: ``argv[0]`` is the program, ``slots`` say where descriptors go.

    ``files`` are opened before the start. ``memory_file_bytes``: how large the file is that
    descriptor ``memory`` must be; None: there is none. ``memory_bytes`` is what QEMU needs at most.
    Only slots are ever replaced, so a path that looks like a placeholder stays what it is.
    """

    argv: tuple[str, ...]
    slots: tuple[Slot, ...]
    machine: choices.Choice
    accelerator: choices.Choice
    shares: tuple[ShareDevice, ...]
    network: choices.Choice
    kernel_arguments: str
    files: tuple[File, ...]
    memory_bytes: int
    processors: int
    memory_file_bytes: int | None = None

    @property
    def host_network(self) -> bool:
        """Whether QEMU itself makes the guest's connections."""
        return self.network.name == "slirp"

    @property
    def fds(self) -> tuple[str, ...]:
        """Names of the descriptors QEMU must inherit, in the order of the command line."""
        return tuple(slot.fd for slot in self.slots)

    def resolve(self, descriptors: Mapping[str, int]) -> tuple[str, ...]:
        """The final command line, with each placeholder replaced by its descriptor.

        Raises:
            KeyError: a descriptor is missing: a defect of the caller.
        """
        argv = list(self.argv)
        for slot in self.slots:
            placeholder = quoting.descriptor(slot.fd)
            argv[slot.index] = argv[slot.index].replace(placeholder, str(descriptors[slot.fd]))
        return tuple(argv)
