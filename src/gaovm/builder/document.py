"""The common part of every document: choices with their reasons, shares, and files to open."""

from __future__ import annotations

from typing import Literal

from gaovm.builder.choices import Choice
from gaovm.spec.base import Frozen

#: What boots a disk: a kernel of the host's, or the disk's own boot loader by UEFI or by a BIOS.
Loader = Literal["kernel", "uefi", "bios"]


class DiskDevice(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of an additional disk; the guest knows the disk by ``serial``."""

    path: str
    format: str
    serial: str


class BootFiles(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files a VM boots from.

    ``disk`` is an overlay of ``base``, the image's disk; without ``base`` it stands alone. A
    ``kernel`` is set for the loader ``kernel``. ``variables`` holds the UEFI variables of the VM.
    ``additional`` are the VM's further disks. ``seed`` is the disk that gives an image without our
    agent its settings and the agent.
    """

    disk: str
    base: str | None = None
    base_format: str = "raw"
    loader: Loader = "kernel"
    loader_reason: str = ""
    kernel: str | None = None
    variables: str | None = None
    seed: str | None = None
    initrd: str | None = None
    disk_format: str = "qcow2"
    image_digest: str = ""
    additional: tuple[DiskDevice, ...] = ()


class File(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that the driver opens for the hypervisor; ``fd`` names its descriptor."""

    fd: str
    path: str
    writable: bool = False


class ShareDevice(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A share in the document.

    ``fd`` names the socket to the share's own server; None: the hypervisor itself serves the share.
    ``inotify``: the guest's watchers are told what the host changes. ``options``: those of the
    guest's mount; empty: the agent's own.
    """

    tag: str
    type: str
    reason: str
    location: str
    mount_point: str
    writable: bool
    fd: str | None = None
    inotify: bool = False
    options: str = ""
    security_model: str | None = None
    queue_size: int | None = None
    follow_symlinks: bool = False


class Document(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The input that starts a hypervisor; each back end derives its own document from this.

    ``machine``, ``accelerator`` and ``network`` are the builder's choices. The driver opens
    ``files`` before the start. ``memory_bytes`` is the most memory that the hypervisor needs,
    including the guest's RAM.
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
        """Return the back end's own part as lines for people."""
        raise NotImplementedError

    def data(self) -> dict[str, object]:
        """Return the back end's own part as JSON data."""
        raise NotImplementedError
