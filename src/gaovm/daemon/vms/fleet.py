"""Every VM of this daemon by name, and what they share: paths, database, events, tasks."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from gaovm.aio import tasks
from gaovm.daemon import operations, paths
from gaovm.daemon.disks import registry
from gaovm.daemon.storage import events, store
from gaovm.daemon.vms import machine


class Fleet:
    """The machines by name. Implements ``machine.FleetView``; there is one per daemon.

    The supervisor sets ``supervisor`` when it is made, before anything starts.
    """

    supervisor: machine.Supervising

    def __init__(
        self,
        where: paths.Paths,
        database: store.Store,
        topic: events.Events,
        owner: tasks.TaskOwner,
    ) -> None:
        self.paths = where
        self.store = database
        self.events = topic
        self.owner = owner
        self.disks = registry.Disks(where, database)
        self.machines: dict[str, machine.Machine] = {}
        #: Log levels that clients asked for, by VM: every later driver of the VM gets its level.
        self.log_levels: dict[str, str] = {}
        #: Work that clients began and that goes on without them; ended work is dropped at times.
        self.lasting: set[operations.Operation[Any]] = set()

    def background(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Run work that nobody waits for; its failure is logged."""
        self.owner.start(tasks.guard(name, work), name=name, finishable=True)

    def knows(self, vm: machine.Machine) -> bool:
        """Whether the machine is one of the fleet: False after its removal."""
        return self.machines.get(vm.name) is vm

    def forget(self, vm: machine.Machine) -> None:
        """Drop a machine whose row and files are removed."""
        self.machines.pop(vm.name, None)
        self.log_levels.pop(vm.name, None)
