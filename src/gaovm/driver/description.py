"""What the driver chose for its VM and what is in force, for ``vm.configure`` and ``vm.status``."""

from __future__ import annotations

from gaovm.builder.document import Document
from gaovm.driver.backend import Manager
from gaovm.driver.ports.forwards import Ports
from gaovm.wire.driver import results


def describe(document: Document | None, manager: Manager | None, ports: Ports) -> results.Choices:
    """Return the choices; empty before the VM is configured."""
    if document is None or manager is None:
        return results.Choices()
    mounts = tuple(
        results.Mount(
            location=share.location,
            mount_point=share.mount_point,
            type=share.type,
            reason=share.reason,
            writable=share.writable,
            guard=manager.guard(share),
        )
        for share in document.shares
    )
    accelerator, kind = document.accelerator, document.network
    problem = None if manager.network_problem is None else manager.network_problem.message
    return results.Choices(
        machine=document.machine.name,
        accelerator=results.Accelerator(name=accelerator.name, reason=accelerator.reason),
        mounts=mounts,
        ports=ports.describe(),
        network=results.Network(type=kind.name, reason=kind.reason, problem=problem),
        confinement=manager.confinement(),
        ports_problem=ports.problem,
    )
