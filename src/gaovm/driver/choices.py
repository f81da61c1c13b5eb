"""What was chosen for this VM and what is in force, for ``vm.configure`` and ``vm.status``."""

from __future__ import annotations

from gaovm.builder.qemu.document import Document
from gaovm.driver import confinement, network, uplink
from gaovm.wire.driver import results


def describe(
    document: Document | None,
    ports: network.Ports,
    carrier: uplink.Uplink,
    cage: confinement.Confinement,
) -> results.Choices:
    """Nothing is known before the VM was configured."""
    if document is None:
        return results.Choices()
    mounts = tuple(
        results.Mount(
            location=share.location,
            mount_point=share.mount_point,
            type=share.type,
            reason=share.reason,
            writable=share.writable,
            guard=cage.of_share(share),
        )
        for share in document.shares
    )
    accelerator, kind = document.accelerator, document.network
    problem = None if carrier.problem is None else carrier.problem.message
    return results.Choices(
        machine=document.machine.name,
        accelerator=results.Accelerator(name=accelerator.name, reason=accelerator.reason),
        mounts=mounts,
        ports=ports.describe(),
        network=results.Network(type=kind.name, reason=kind.reason, problem=problem),
        confinement=cage.describe(),
    )
