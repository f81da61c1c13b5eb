"""What was chosen for this VM and what is in force, for ``vm.configure`` and ``vm.status``."""

from __future__ import annotations

from typing import Any

from gaovm.builder.qemu.document import Document
from gaovm.driver import confinement, network, uplink


def describe(
    document: Document | None,
    ports: network.Ports,
    carrier: uplink.Uplink,
    cage: confinement.Confinement,
) -> dict[str, Any]:
    """As JSON data; nothing is known before the VM was configured."""
    if document is None:
        empty: dict[str, Any] = {"mounts": [], "ports": []}
        return empty | dict.fromkeys(("accelerator", "network", "confinement"))
    mounts = [
        {
            "location": share.location,
            "mount_point": share.mount_point,
            "type": share.type,
            "reason": share.reason,
            "writable": share.writable,
            "guard": cage.of_share(share),
        }
        for share in document.shares
    ]
    accelerator, kind = document.accelerator, document.network
    problem = None if carrier.problem is None else carrier.problem.message
    return {
        "accelerator": {"name": accelerator.name, "reason": accelerator.reason},
        "mounts": mounts,
        "ports": ports.describe(),
        "network": {"type": kind.name, "reason": kind.reason, "problem": problem},
        "confinement": cage.describe(),
    }
