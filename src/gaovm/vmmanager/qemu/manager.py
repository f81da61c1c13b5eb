"""The host side of one VM on QEMU: combines QEMU's process with the programs that serve it.

This is the entry of this back end: the table of back ends names this module, and it has what
``driver.backend`` asks for.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from gaovm import errors
from gaovm.aio import keeping, process, tasks
from gaovm.builder import choices, document
from gaovm.builder.qemu.document import Document
from gaovm.model.facts import HostFacts
from gaovm.vmmanager import events
from gaovm.vmmanager.pipes import Channels
from gaovm.vmmanager.qemu import (
    confinement,
    disks,
    rehearsal,
    sftp,
    shares,
    versions,
)
from gaovm.vmmanager.qemu.hypervisor import Hypervisor
from gaovm.vmmanager.qemu.network import uplink
from gaovm.wire.driver import results
from gaovm.wire.driver.launch import LaunchRequest

MakeHypervisor = Callable[[tasks.TaskOwner, events.OnEvent], Hypervisor]


class Qemu:
    """One VM on QEMU, from its preparation until all of it is released."""

    def __init__(
        self,
        request: LaunchRequest,
        facts: HostFacts,
        made: Document,
        owner: tasks.TaskOwner,
        on_event: events.OnEvent,
        make_hypervisor: MakeHypervisor = Hypervisor,
    ) -> None:
        self._request, self._facts, self._document = request, facts, made
        #: QEMU's process: it takes commands and reports events.
        self.hypervisor = make_hypervisor(owner, on_event)
        self._shares = shares.Shares(owner, lambda error: on_event(events.ShareLost(error)))
        self._network = uplink.Network(owner, on_event)
        self._confinement = confinement.Confinement()
        self._servers: keeping.Keeper | None = None

    async def prepare(self) -> None:
        """Make or grow the disk, make UEFI's variables, and prepare the cages. Starts nothing.

        Raises:
            errors.HostError: QEMU is older than the config allows.
            errors.GaoError: the disk cannot be made or grown (``disks``), or the host does not
                permit a part of the VM's confinement (``confinement``).
        """
        await versions.check(self._document.argv[0], self._request.spec.boot.minimum_version)
        await disks.prepare(self._request, self._facts.programs.get(disks.TOOL))
        if self._request.artefacts.loader == "uefi":
            template = self._facts.uefi[self._request.spec.boot.arch].variables
            disks.prepare_variables(self._request.uefi_variables, template)
        await self._confinement.prepare(self._request, self._document, self._facts.virtiofsd)

    async def start(self) -> Channels:
        """Execute QEMU.

        Raises:
            errors.ProgramMissing: QEMU cannot be executed.
            errors.HostError: a file cannot be opened, or the cage cannot be made.
        """
        run_dir = Path(self._request.run_dir)
        ends = self._shares.prepare(self._document, run_dir)
        ends.update(self._network.prepare(self._document, run_dir))
        vm_dir = Path(self._request.vm_dir)
        return await self.hypervisor.start(self._document, ends, vm_dir, self._confinement.place)

    async def serve(self) -> None:
        """Start passt and the servers of shares for the running QEMU.

        Raises:
            errors.ProgramMissing: virtiofsd cannot be executed.
            errors.HostError: a cage cannot be made.
        """
        await self._shares.start(self._facts.virtiofsd, self._confinement.servers)
        carrier = self._facts.passt
        program = self._facts.programs.get(choices.SFTP_SERVER, choices.SFTP_SERVER)
        servers = {
            share.tag: sftp.recipe(program, share) for share in sftp.served(self._document.shares)
        }
        self._network.keeper, self._servers = await self._confinement.keep(
            self._request, carrier, servers
        )
        self._network.start(
            carrier.path if carrier else None,
            host_access=self._request.spec.network.host_access,
        )

    def open_share(
        self, share: document.ShareDevice
    ) -> contextlib.AbstractAsyncContextManager[socket.socket]:
        """Run the server of a share that the guest mounts by SSHFS, for the length of a block.

        Raises:
            errors.StateConflict: the VM does not serve this share so, or not yet.
            errors.ProgramMissing, errors.HostError: it did not start.
        """
        if self._servers is None:
            raise errors.StateConflict(f"nothing serves {share.location} over the agent's channel")
        return sftp.open_one(self._servers, share)

    def shed(self) -> None:
        """Drop the rights that this process does not need once the VM runs."""
        self._confinement.shed(self._request)

    async def close(self) -> None:
        """End and reap the programs that serve the VM, and take its cages down. Idempotent."""
        await self._shares.close()
        await self._network.close()
        await self._confinement.close()

    async def cause_of_end(self, status: int) -> errors.GaoError:
        """Return why QEMU ended with that status: its last words, or the loss of a share server."""
        if status > 0:
            await self._shares.settle()
            if self._shares.failure is not None:
                return self._shares.failure
        words = self.hypervisor.last_words()
        return errors.HypervisorFailed(
            f"QEMU {process.ended(status)}" + (f": {words}" if words else ""),
            actions=(errors.Action("show_driver_log"),),
            details={"status": status, "argv": list(self.hypervisor.argv)},
        )

    async def grow_disk(self, size_bytes: int) -> None:
        """Grow the root disk to a size; does nothing if it has that size already.

        Raises:
            errors.DiskShrink: the disk is larger.
            errors.HypervisorFailed: QEMU refused, for example for lack of space.
        """
        if disks.check_growth(Path(self._request.disk), size_bytes):
            await self.hypervisor.resize_disk(size_bytes)

    @property
    def network_problem(self) -> errors.GaoError | None:
        """Return why the guest has no network now."""
        return self._network.problem

    def confinement(self) -> results.Confinement | None:
        """Return the confinement of QEMU, for ``status``; None before the first start."""
        return self._confinement.describe()

    def guard(self, share: document.ShareDevice) -> results.Guard:
        """Return the confinement of a share's server, for ``status``."""
        return self._confinement.of_share(share)


def create(
    request: LaunchRequest,
    facts: HostFacts,
    made: document.Document,
    owner: tasks.TaskOwner,
    on_event: events.OnEvent,
) -> Qemu:
    """Return the host side of a VM; nothing of the VM exists yet."""
    return Qemu(request, facts, _own(made), owner, on_event)


def rehearse(players: Mapping[str, rehearsal.Player]) -> Callable[..., Qemu]:
    """Like ``create``, for a VM whose program only waits.

    ``players`` play the other ends of the channels ``console`` and ``agent``.
    """

    def make(owner: tasks.TaskOwner, on_event: events.OnEvent) -> Hypervisor:
        return rehearsal.StandIn(owner, on_event, players)

    def create_one(
        request: LaunchRequest,
        facts: HostFacts,
        made: document.Document,
        owner: tasks.TaskOwner,
        on_event: events.OnEvent,
    ) -> Qemu:
        return Qemu(request, facts, _own(made), owner, on_event, make)

    return create_one


def _own(made: document.Document) -> Document:
    if not isinstance(made, Document):
        raise TypeError(f"not a document of this back end: {type(made).__name__}")
    return made
