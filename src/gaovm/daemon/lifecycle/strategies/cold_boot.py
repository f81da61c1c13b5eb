"""A cold boot: an image, the VM's own disk over it, and a kernel that starts from the beginning.

On disk it leaves the image in the store, and in the VM's directory its disk. A disk on which no
agent ever answered holds nothing of the user: the next start makes a new one, so nothing has to be
undone after a crash.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from gaovm import errors
from gaovm.aio import steps
from gaovm.daemon import operations, paths
from gaovm.daemon.config import changes
from gaovm.daemon.lifecycle import stop, waiting
from gaovm.daemon.storage import records
from gaovm.daemon.vms import additional_disks, driver_protocol, machine, ports
from gaovm.model import phases
from gaovm.model.facts import HostFacts
from gaovm.wire.control.progress import Progress
from gaovm.wire.driver import launch, table
from gaovm.wire.driver.params import NOTHING

#: From the hypervisor's start to the agent's first message; TCG on a busy host takes a minute, and
#: the first boot of a distribution's own image several.
#: The driver's own limit is shorter and knows more; this one holds if the driver forgets.
ANSWER_LIMIT_S = 900.0
#: ``vm.configure`` and ``vm.start`` each return within this time: they wait for no guest.
CALL_LIMIT_S = 60.0


class PreparedBoot(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver boots from; ``files`` and ``facts`` go into its LaunchRequest as they are."""

    image: records.ImageRef
    files: launch.Image
    facts: HostFacts | None = None


class Preparer(Protocol):
    """Brings in image, initramfs and disk."""

    async def prepare(
        self, vm: machine.Machine, progress: operations.Listener, *, fresh_disk: bool
    ) -> PreparedBoot:
        """Everything the VM boots from, ready for use; safe to repeat and to cancel."""
        ...


class ColdBoot:
    """Implements ``protocol.Strategy``.

    ``asked_at``: when the request was decoded (monotonic clock, seconds).
    """

    phases = (phases.IMAGE, phases.DRIVER, phases.BOOT)

    def __init__(
        self,
        vm: machine.Machine,
        preparer: Preparer,
        progress: operations.Listener,
        *,
        asked_at: float,
    ) -> None:
        self._vm = vm
        self._preparer = preparer
        self._progress = progress
        self._asked_at = asked_at
        self._prepared: PreparedBoot | None = None

    async def take_config(self) -> None:
        """Bring into force what waits for a start."""
        await changes.apply_pending(self._vm)

    @steps.step
    async def prepare(self) -> None:
        """Bring in the image, and remove a disk that no guest ever used."""
        self._report(phases.IMAGE, "looking for the image")
        fresh = not self._vm.record.disk_used
        found = await self._preparer.prepare(self._vm, self._progress, fresh_disk=fresh)
        self._vm.update(image=found.image)
        self._prepared = found
        self._report(phases.DRIVER, "starting the driver")

    @steps.step
    async def configure(self, driver: driver_protocol.Driver) -> None:
        """Send the LaunchRequest: spec, files to boot from, host facts, ports of the last run."""
        chosen = await driver.call(table.VM_CONFIGURE, self._request(), timeout_s=CALL_LIMIT_S)
        self._vm.update(facts=records.Facts.of(chosen))

    def _request(self) -> launch.LaunchRequest:
        if self._prepared is None:
            raise errors.InternalError(f"vm {self._vm.name}: configured before it is prepared")
        where, record = self._vm.fleet.paths, self._vm.record
        return launch.LaunchRequest(
            spec=ports.with_added(record),
            home=str(where.home),
            cache=str(paths.cache_directory()),
            vm_dir=str(where.vm_dir(record.name)),
            run_dir=str(where.run_dir(record.run_id)),
            artefacts=self._prepared.files,
            facts=self._prepared.facts,
            # Lima runs provision scripts at every boot, and files written for it rely on that.
            provision=True,
            host_ports=ports.earlier(record),
            additional_disks=self._disks(),
            followed=ports.followed(record),
            stop=launch.StopLimits(agent_s=stop.AGENT_S, acpi_s=stop.ACPI_S),
        )

    def _disks(self) -> tuple[launch.DiskFile, ...]:
        fleet = self._vm.fleet
        others = (vm for vm in fleet.machines.values() if vm is not self._vm)
        return additional_disks.launched(fleet.disks, others, self._vm.record.spec)

    async def begin(self, driver: driver_protocol.Driver) -> None:
        """Start the hypervisor."""
        self._report(phases.BOOT, "starting the hypervisor")
        earlier = self._vm.console_size()
        await self._start_hypervisor(driver)
        self._vm.console_from = earlier
        self._report(phases.BOOT, self._booting())

    def _booting(self) -> str:
        loader = "kernel" if self._prepared is None else self._prepared.files.loader
        if loader == "kernel":
            return "booting"
        first = "" if self._vm.record.disk_used else "; cloud-init installs the agent, once"
        return f"booting by {loader.upper()}{first}"

    @steps.step
    async def _start_hypervisor(self, driver: driver_protocol.Driver) -> None:
        started = await driver.call(table.VM_START, NOTHING, timeout_s=CALL_LIMIT_S)
        self._vm.hypervisor_pid = started.hypervisor_pid
        if started.exec_at is not None:
            spent = (started.exec_at - self._asked_at) * 1000
            self._vm.timings["request_to_exec_ms"] = round(spent, 2)

    async def until_answered(self) -> None:
        """Wait for the agent's first message: kernel, initramfs, then the agent as ``/init``."""
        await waiting.until_answered(self._vm, ANSWER_LIMIT_S)

    async def undo(self, *, created: bool) -> None:
        """Remove a VM that this start made; bring any other back to ``stopped``."""
        await stop.undo(self._vm, created=created)

    def _report(self, phase: str, message: str) -> None:
        self._progress(Progress(phase=phase, message=message))
