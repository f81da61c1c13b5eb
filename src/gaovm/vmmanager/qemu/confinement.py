"""The cage of a VM's QEMU: made at configure, used by each start, taken down with the VM.

This also drops the rights that the driver itself does not need once the VM runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from gaovm import errors
from gaovm.aio import keeping, steps
from gaovm.builder.document import ShareDevice
from gaovm.builder.qemu.document import Document
from gaovm.model.facts import PasstFact, VirtiofsdFact
from gaovm.platform.confine import abilities, identities, keeper, landlock, place, shed
from gaovm.vmmanager.qemu import cage, sftp
from gaovm.vmmanager.qemu.network import passt, uplink
from gaovm.wire.driver import results
from gaovm.wire.driver.launch import LaunchRequest

logger = logging.getLogger(__name__)


class Confinement:
    """At most one cage at a time; ``place`` is None while there is none."""

    def __init__(self) -> None:
        self.place: place.Place | None = None
        #: The place of each share's virtiofsd, by the share's descriptor name.
        self.servers: dict[str, place.Place] = {}
        self._lent: identities.Lent | None = None
        self._off = self._shed = self._driver = ""
        self._kept = contextlib.AsyncExitStack()

    @steps.step
    async def prepare(
        self, request: LaunchRequest, document: Document, virtiofsd: VirtiofsdFact | None
    ) -> None:
        """Lend the VM its ids and prepare its cages, unless this host has none.

        Raises:
            errors.MountRefused: a mount holds the state directory, and this host cannot hide it.
            errors.PermissionMissing: the host does not permit a part that the VM needs.
            errors.HostError: no user id is free, or ``GAOVM_UID_RANGE`` is not a range.
        """
        await self.close()
        self._off = abilities.absence()
        home = Path(request.home)
        sftp.check(document.shares, home)
        if not request.confine:
            return
        if self._off:
            _refuse_to_show(document, home, self._off)
            return
        can = abilities.find()
        _refuse_to_show(document, home, can.namespaces)
        if can.root and not identities.obstacle():
            self._lent = identities.lend(request.vm_dir)
        ids = None if self._lent is None else self._lent.ids
        own = cage.Own(home, Path(request.cache) if request.cache else None)
        wanted = cage.make(document, own, ids, root=can.root)
        self.place = place.Place(wanted, can, request.spec.name)
        if virtiofsd is not None and not can.namespaces:  # else it confines itself
            for share in document.shares:
                if share.fd is not None:
                    wanted = cage.make_server(
                        virtiofsd.path, share, document, own, ids, root=can.root
                    )
                    name = f"{request.spec.name}.{share.fd}"
                    self.servers[share.fd] = place.Place(wanted, can, name, beside=self.place)

    def describe(self) -> results.Confinement | None:
        """Return the confinement in force, for ``status``; None before the first start."""
        if self._off:
            return results.Confinement(missing={"cage": self._off}, uid=os.geteuid())
        if self.place is None:
            return None
        report, missing = self.place.report, dict(self.place.report.missing)
        if self._driver:
            missing["limits of the driver"] = self._driver
        held = (*report.measures, *((self._shed,) if self._shed else ()))
        return results.Confinement(in_force=held, missing=missing, uid=report.uid)

    def of_share(self, share: ShareDevice) -> results.Guard:
        """Return the confinement of a share's server, for ``status``."""
        in_force = ["no set-id bits, devices or file capabilities"]
        if sftp.served((share,)):
            in_force.append("its own directory only (Landlock)")
            return results.Guard(uid=sftp.user(share), in_force=tuple(in_force))
        server = self.place if share.fd is None else self.servers.get(share.fd)
        if server is None:
            return results.Guard(uid=os.geteuid(), in_force=tuple(in_force))
        if server.cage.owners:
            in_force.append("only the owner's id is real, all others are ids of the VM")
        if any(Path(path).is_relative_to(share.location) for path in server.cage.hidden):
            in_force.append("GaoVM's own directory is hidden")
        return results.Guard(uid=server.report.uid, in_force=tuple(in_force))

    @steps.step
    async def keep(
        self,
        request: LaunchRequest,
        carrier: PasstFact | None,
        servers: Mapping[str, keeper.Recipe],
    ) -> tuple[keeping.Keeper | None, keeping.Keeper | None]:
        """Run a keeper that can start programs after this process has dropped the rights to.

        Returns it for passt and for ``servers``, by name. None: this process will drop nothing, or
        there is no passt; there are no servers.
        """
        recipes = dict(servers)
        if self.place is not None and carrier is not None:
            recipes[uplink.PASST] = self._passt(request, carrier, self.place)
        if not recipes:
            return None, None
        kept = await self._kept.enter_async_context(keeping.run(recipes))
        return (kept if uplink.PASST in recipes else None), (kept if servers else None)

    def _passt(
        self, request: LaunchRequest, carrier: PasstFact, made: place.Place
    ) -> keeper.Recipe:
        access, ids = request.spec.network.host_access, made.cage.ids
        # if root starts it: one of the VM's ids, and not QEMU's
        user = {} if ids is None else {"user": ids.first + 1}
        argv = passt.command(carrier.path, keeper.LAST_FD, host_access=access, **user)
        return keeper.Recipe(tuple(argv), str(uplink.socket_of(Path(request.run_dir))))

    @steps.step
    def shed(self, request: LaunchRequest) -> None:
        """Drop the rights that a driver does not need while its VM runs: the guest may be hostile.

        The driver keeps access to its two directories, and the rights to end QEMU and to listen
        below port 1024. With a display it keeps access to files: the window's program needs it.
        Shares whose changes it watches it may list, also those of other users.
        """
        if self.place is None:
            return
        rules = None
        if abilities.find().landlock and not request.spec.graphics.enabled and not steps.armed():
            rules = _rules(request, self.place)
        kept = {shed.CAP_KILL, shed.CAP_NET_BIND_SERVICE} if abilities.find().root else set()
        if kept and rules is not None and any(each.inotify for each in request.spec.shares):
            kept.add(shed.CAP_DAC_READ_SEARCH)
        try:
            shed.shed(rules, frozenset(kept))
        except OSError as exc:
            logger.error("the driver keeps its rights: %s", exc.strerror)
            self._driver = exc.strerror or str(exc)
            return
        self._shed = "driver without rights" + (" and files" if rules else "")

    @steps.step
    async def close(self) -> None:
        """Take the cages down, after everything in them has ended. Idempotent."""
        for server in self.servers.values():
            server.close()
        self.servers.clear()
        await self._kept.aclose()
        if self.place is not None:
            self.place.close()
            self.place = None
        if self._lent is not None:
            self._lent.close()
            self._lent = None


def _refuse_to_show(document: Document, home: Path, why: str) -> None:
    """Refuse the mount: a guest must not see all VMs' state (keys, disks, control socket)."""
    for share in document.shares if why else ():
        if cage.covers(share, home):
            raise errors.MountRefused(
                f"mount {share.location} holds GaoVM's own directory {home}, which cannot be "
                f"hidden from the VM here: {why}",
                field="mounts",
                remedy="mount less of it, or set GAOVM_HOME to a directory outside of it",
            )


def _rules(request: LaunchRequest, made: place.Place) -> landlock.Rules:
    own = [str(Path(path)) for path in (request.vm_dir, request.run_dir)]
    # the driver removes its control groups in the end
    own += [str(path) for path in made.group_parents]
    paths = [(path, landlock.WRITE) for path in own]
    # to query the processes it started; a defect's last log lines show the source code
    read = ("/proc", str(Path(__file__).parents[2]))
    paths += [(path, landlock.READ) for path in read]
    paths += [(each.location, landlock.LIST) for each in request.spec.shares if each.inotify]
    return landlock.Rules(tuple(paths), binds=True, scoped=False)
