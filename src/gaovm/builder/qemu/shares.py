"""Shared directories: 9p inside QEMU, or virtiofs through a virtiofsd."""

from __future__ import annotations

from collections.abc import Sequence

from gaovm.builder import choices
from gaovm.builder.document import ShareDevice
from gaovm.builder.qemu import quoting
from gaovm.builder.qemu.machine import bus

#: The most that QEMU takes.
QUEUE_SIZE = 1024


def _nine_p(number: int, share: ShareDevice, machine: str, *, root: bool) -> list[str]:
    backend = quoting.joined(
        "local",
        {
            "id": f"fs{number}",
            "path": share.location,
            # QEMU as root sets any owner; otherwise files keep their owner and chown does not fail
            "security_model": share.security_model or ("passthrough" if root else "none"),
            "readonly": not share.writable,
            "multidevs": "remap",
        },
    )
    device: dict[str, quoting.Json] = {
        "driver": f"virtio-9p-{bus(machine)}",
        "id": f"share{number}",
        "fsdev": f"fs{number}",
        "mount_tag": share.tag,
    }
    return ["-fsdev", backend, "-device", quoting.as_json(device)]


def _virtiofs(number: int, share: ShareDevice, machine: str, fd: str) -> list[str]:
    chardev = f"share{number}-socket"
    backend = quoting.joined("socket", {"id": chardev, "fd": quoting.descriptor(fd)})
    device: dict[str, quoting.Json] = {
        "driver": f"vhost-user-fs-{bus(machine)}",
        "id": f"share{number}",
        "chardev": chardev,
        "tag": share.tag,
        "queue-size": share.queue_size or QUEUE_SIZE,
    }
    return ["-chardev", backend, "-device", quoting.as_json(device)]


def arguments(shares: Sequence[ShareDevice], machine: str, *, root: bool) -> list[str]:
    """Return the arguments for all shares. ``root``: QEMU runs as root."""
    result: list[str] = []
    for number, share in enumerate(shares):
        if share.type == choices.SSHFS:
            continue  # it needs no device: the guest reaches it through the agent
        if share.fd is None:
            result += _nine_p(number, share, machine, root=root)
        else:
            result += _virtiofs(number, share, machine, share.fd)
    return result
