"""What every back end's document has: choices with their reasons, shares, and files to open."""

from __future__ import annotations

from gaovm.builder.choices import Choice
from gaovm.spec.base import Frozen


class BootFiles(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files a VM boots from.

    ``base`` is the image's disk, which ``disk`` is an overlay of; None: ``disk`` stands alone.
    """

    disk: str
    base: str | None = None
    base_format: str = "raw"
    kernel: str
    initrd: str | None = None
    disk_format: str = "qcow2"
    image_digest: str = ""


class File(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that the driver opens for the hypervisor; ``fd`` names its descriptor."""

    fd: str
    path: str
    writable: bool = False


class ShareDevice(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A share as the document has it.

    ``fd`` names the socket to the share's own server; None: the hypervisor serves it itself.
    """

    tag: str
    type: str
    reason: str
    location: str
    mount_point: str
    writable: bool
    fd: str | None = None


class Document(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a hypervisor is started with; each back end's own document is one of these.

    ``machine``, ``accelerator`` and ``network`` are what the builder chose. ``files`` are opened
    before the start. ``memory_bytes`` is what the hypervisor needs at most, the guest's RAM
    included.
    """

    machine: Choice
    accelerator: Choice
    network: Choice
    shares: tuple[ShareDevice, ...]
    kernel_arguments: str
    files: tuple[File, ...]
    memory_bytes: int
    processors: int

    def lines(self) -> list[str]:
        """The back end's own part for people, a line each."""
        raise NotImplementedError

    def data(self) -> dict[str, object]:
        """The back end's own part as JSON data."""
        raise NotImplementedError
