"""The cage of this VM's QEMU: made at configure, used by each start, taken down with the VM.

Also what the driver drops of its own power once the VM runs.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from gaovm.aio import steps
from gaovm.aio.confine import abilities, identities, place
from gaovm.builder.qemu.document import Document
from gaovm.driver.request import LaunchRequest
from gaovm.vmmanager.qemu import cage

logger = logging.getLogger(__name__)
OFF = f"{abilities.VARIABLE}=off: for debugging only"


class Confinement:
    """At most one cage at a time; ``place`` is None while there is none."""

    def __init__(self) -> None:
        self.place: place.Place | None = None
        self._lent: identities.Lent | None = None
        self._off = ""

    @steps.step
    def prepare(self, request: LaunchRequest, document: Document) -> None:
        """Lend the VM its ids and prepare its cage, unless it is switched off.

        Raises:
            errors.PermissionMissing: a part that the VM cannot do without is not permitted.
            errors.HostError: no user id is free, or ``GAOVM_UID_RANGE`` is no range.
        """
        self.close()
        self._off = OFF if abilities.switched_off() else ""
        if self._off or not request.confine:
            return
        can = abilities.find()
        if can.root:
            self._lent = identities.lend(request.vm_dir)
        ids = None if self._lent is None else self._lent.ids
        wanted = cage.make(document, Path(request.home), ids)
        self.place = place.Place(wanted, can, request.spec.name)

    def describe(self) -> dict[str, Any] | None:
        """What is in force, for ``status``; None before the first start."""
        if self._off:
            return {"in_force": [], "missing": {"cage": self._off}, "uid": os.geteuid()}
        if self.place is None:
            return None
        report = self.place.report
        return {
            "in_force": list(report.measures),
            "missing": dict(report.missing),
            "uid": report.uid,
        }

    @steps.step
    def close(self) -> None:
        """Take it down; nothing runs in it any more. Idempotent."""
        if self.place is not None:
            self.place.close()
            self.place = None
        if self._lent is not None:
            self._lent.close()
            self._lent = None


def own_namespace() -> None:
    """Let the driver of a plain user make cages: in a user namespace of its own.

    To be called while it has one thread, before it does anything. Where that is not allowed the
    cage has fewer walls, which ``describe`` tells.
    """
    if abilities.switched_off():
        return
    can = abilities.find()
    if not can.root and not can.namespaces:
        try:
            identities.own_namespace()
        except OSError as exc:
            logger.warning("no user namespace: %s", exc.strerror)
