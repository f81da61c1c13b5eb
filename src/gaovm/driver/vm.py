"""The lifecycle of one VM, in steps: configure, start, stop. Each step is idempotent.

This module owns the order of things. The file of each noun says how the thing is done, and
``reactions`` what happens meanwhile. When the VM has ended, for whatever reason, everything it held
is released and the daemon knows why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from gaovm import errors
from gaovm.aio import clock, files, keeping, steps, tasks
from gaovm.builder import backends
from gaovm.builder.document import BootFiles, DiskDevice, Document
from gaovm.driver import (
    backend,
    console,
    description,
    health,
    lock,
    logs,
    reactions,
    session,
    shutdown,
    status,
)
from gaovm.driver.display.screen import Display
from gaovm.driver.guest.link import GuestLink
from gaovm.driver.ports.forwards import Ports
from gaovm.guestmanager import info
from gaovm.hostfacts import facts as hostfacts
from gaovm.hostfacts import mounts
from gaovm.model.states import Observed, Readiness
from gaovm.spec import disks as spec_disks
from gaovm.vmmanager import events
from gaovm.wire.agent.info import Info
from gaovm.wire.driver import results
from gaovm.wire.driver.launch import LaunchRequest

logger = logging.getLogger(__name__)
# The dead hypervisor's console output is there at once; this only limits the wait.
CONSOLE_DRAIN_S = 1.0
# The agent's way gets this share of the grace of an asked-for stop, and ACPI the rest.
AGENT_SHARE = 0.7


class Vm:
    """One VM; calls ``on_ended`` when it ended although the daemon did not ask.

    ``create`` makes its host side; None: use the back end that the spec names.
    """

    def __init__(
        self,
        owner: tasks.TaskOwner,
        notify: status.Notify,
        on_ended: Callable[[], None],
        create: backend.Create | None = None,
    ) -> None:
        self._owner, self._on_ended, self._create = owner, on_ended, create
        self.status = status.Status(notify)
        self.request: LaunchRequest | None = None
        self._lock: files.Lock | None = None
        self._disk_locks: tuple[files.Lock, ...] = ()
        self._document: Document | None = None
        self._manager: backend.Manager | None = None
        self._reactions: reactions.Reactions | None = None
        self._guest: GuestLink | None = None
        self._console: console.Console | None = None
        self._executed_at = 0.0
        self._stopping = self._was_paused = False
        self._released, self._releasing = asyncio.Event(), asyncio.Lock()
        self.ports = Ports(owner, lambda: self.guest.connection, self._tell_ports)
        self.sessions: session.Sessions | None = None
        self.display = Display(owner, notify)

    @property
    def guest(self) -> GuestLink:
        """The agent's side.

        Raises:
            errors.GuestUnavailable: the VM does not run.
        """
        if self._guest is None or self.status.observed != "running":
            raise errors.GuestUnavailable("the VM is not running")
        return self._guest

    @property
    def host(self) -> backend.Manager:
        """The host's side, for changes while it runs.

        Raises:
            errors.StateConflict: the VM does not run.
        """
        if self._manager is None or self._reactions is None:
            raise errors.StateConflict("the VM is not running")
        if self._manager.hypervisor.ended.is_set():
            raise errors.StateConflict("the VM is not running")
        return self._manager

    # configure

    async def configure(self, request: LaunchRequest) -> results.Choices:
        """Take the lock, decide, check, bind ports, make the disk. Starts nothing.

        Raises:
            errors.LockHeld, errors.PortTaken, errors.MountMissing, errors.MountRefused,
            errors.DiskShrink and what the builder raises; then everything taken is given back.
        """
        if self._reactions is not None:
            raise errors.StateConflict("the VM has been started already")
        await self._release()
        self._released.clear()
        try:
            self._lock = lock.take(Path(request.vm_dir))
            self._disk_locks = lock.take_disks(request.additional_disks)
            mounts.check(request.spec.shares, Path(request.home), lambda _: "mount")
            # Up to 3 s without a cached probe; this process does nothing else yet.
            facts = request.facts or hostfacts.collect(Path(request.home))
            name = request.spec.boot.backend
            document = backends.builder(name).build(request.spec, facts, _artefacts(request))
            self.ports.bind_all(request)
            await self.ports.offer(request)
            create = self._create or backend.of(name).create
            self._manager = create(request, facts, document, self._owner, self._on_event)
            await self._manager.prepare()
        except BaseException:
            await self._release()
            raise
        self.request, self._document = request, document
        return self._choices()

    def _choices(self) -> results.Choices:
        return description.describe(self._document, self._manager, self.ports)

    def describe(self) -> results.VmStatus:
        """The answer to ``vm.status``."""
        now, running = self.status, None if self._reactions is None else self._manager
        return results.VmStatus(
            observed=Observed(now.observed),
            readiness=None if now.readiness is None else Readiness(now.readiness),
            paused=now.paused,
            hypervisor_pid=None if running is None else running.hypervisor.pid,
            boot=now.boot(),
            **msgspec.structs.asdict(self._choices()),
        )

    # start

    async def start(self) -> results.Started:
        """Execute the hypervisor and return; notifications report the boot.

        Raises:
            errors.StateConflict: the VM is not configured, or was started before.
            errors.ProgramMissing: a program that the VM needs cannot be executed.
        """
        request, document, manager = self.request, self._document, self._manager
        if request is None or document is None or manager is None or self._stopping:
            raise errors.StateConflict("the VM is not configured")
        hypervisor = manager.hypervisor
        if self._reactions is None:
            self._reactions = reactions.Reactions(
                hypervisor,
                document.accelerator.name,
                self.status,
                self._owner,
                own_loader=request.artefacts.loader != "kernel",
            )
            try:
                await self._start(manager, self._reactions, request, document)
            except BaseException:
                hypervisor.kill()
                self._reactions.end_boot()
                # Before this waits: a shutdown meanwhile has to find that there is nothing to end.
                self._reactions = self.request = None
                await self._release()
                raise
        return results.Started(
            hypervisor_pid=hypervisor.pid,
            argv=tuple(hypervisor.argv),
            exec_at=self._executed_at,
        )

    async def _start(
        self,
        manager: backend.Manager,
        reacting: reactions.Reactions,
        request: LaunchRequest,
        document: Document,
    ) -> None:
        run_dir, vm_dir = Path(request.run_dir), Path(request.vm_dir)
        self.status.begin()
        channels = await manager.start()
        self._executed_at = clock.monotonic()
        self._owner.start(self._watch(manager, reacting), name="hypervisor", finishable=True)
        await manager.serve()
        self.status.change("running", "booting")
        self.display.attach(request, manager.hypervisor)
        guest = self._guest = GuestLink(
            request,
            document.shares,
            self.status,
            self._owner,
            reacting.on_answer,
            self.ports,
            manager.open_share,
        )
        self._console = console.Console(logs.StampedLog(vm_dir / "serial.log"), reacting.on_fatal)
        reacting.watch(guest, self._console)
        await guest.open(channels.agent)
        await self._console.attach(channels.console)
        self.sessions = session.Sessions(
            self._owner, run_dir / "driver.sock", lambda: self.guest.usable()
        )
        self.sessions.open()
        self.ports.serve()
        keeping.discard()
        manager.shed()

    def _tell_ports(self) -> None:
        self.status.ports(self.ports.describe(), self.ports.problem)

    def _on_event(self, event: events.Event) -> None:
        if self._reactions is not None:
            self._reactions.on_event(event)

    # what the daemon asks of a running VM

    async def pause(self) -> bool:
        """Stop the guest's processors and clocks; return whether it is paused. Idempotent.

        Raises:
            errors.StateConflict: the VM does not run.
            errors.HypervisorFailed: the hypervisor does not take the request.
        """
        if not await self._running().hypervisor.pause():
            raise errors.HypervisorFailed("the hypervisor did not pause the VM")
        return self.status.paused

    async def resume(self) -> bool:
        """Let the guest go on; otherwise like ``pause``."""
        if not await self._running().hypervisor.resume():
            raise errors.HypervisorFailed("the hypervisor did not resume the VM")
        return self.status.paused

    def kill(self, reason: str) -> None:
        """End a VM whose guest hangs, at once; its state becomes failed, with the reason.

        Raises:
            errors.StateConflict: the VM does not run.
        """
        self._running()
        if self._reactions is not None:
            self._reactions.kill(reason)

    def _running(self) -> backend.Manager:
        if self._stopping:
            raise errors.StateConflict("the VM is not running")
        return self.host

    def relevel(self) -> None:
        """Pass on the new log level to the agent, now or when it answers."""
        if self._guest is not None:
            self._guest.relevel()

    async def guest_info(self) -> Info:
        """Return what the agent knows of the guest."""
        return await info.get(self.guest.connection)

    # the end

    async def stop(self, grace_s: float, force_s: float) -> str:
        """End the VM: by its agent, by ACPI, by force. Returns the way that worked.

        If a stop is under way, join it. When this returns, everything is released.
        """
        agent_s = grace_s * AGENT_SHARE
        return await self.shut_down(agent_s, grace_s - agent_s, force_s)

    async def shut_down(self, agent_s: float, acpi_s: float, force_s: float) -> str:
        """Like ``stop``, with a limit for each way; kills the hypervisor in the end."""
        reacting, manager = self._reactions, self._manager
        if reacting is None or manager is None or manager.hypervisor.ended.is_set():
            self._stopping = True
            await self._release()
            return "gone"
        if not self._stopping:
            self._stopping = True
            reacting.stop()
            self._was_paused = self.status.paused
            self.status.change("stopping")
        if reacting.panicked:
            agent_s = acpi_s = 0.0  # the guest will never answer
        how = await shutdown.end(
            manager.hypervisor,
            self._guest,
            shutdown.Limits(agent_s, acpi_s, force_s),
            resume_first=self._was_paused,
        )
        await self._released.wait()
        return how

    async def _watch(self, manager: backend.Manager, reacting: reactions.Reactions) -> None:
        asked, hypervisor = False, manager.hypervisor
        try:
            code, at = await hypervisor.exited()
            # Do this first: what follows takes time, and the daemon's record must not wait.
            self.status.hypervisor_ended(hypervisor.pid, code, at)
            await hypervisor.drain()
            if self._console is not None:
                await asyncio.wait([self._console.ended], timeout=CONSOLE_DRAIN_S)
            asked = self._stopping
            cause: errors.GaoError | None = None
            if not asked and (code != 0 or hypervisor.ended_by_host):
                cause = await manager.cause_of_end(code)
            await tasks.finish(self._release())
            self._tell_end(code, reacting.failure, cause, asked=asked)
        except Exception:
            logger.exception("watching the hypervisor failed")
            raise
        finally:
            self._released.set()
            if not asked:
                self._on_ended()

    @steps.step
    def _tell_end(
        self,
        code: int,
        failure: health.Failure | health.Lost | None,
        cause: errors.GaoError | None,
        *,
        asked: bool,
    ) -> None:
        logger.info("the hypervisor ended with status %s", code)
        if asked:
            self.status.change("stopped", reason="stop")
        elif failure is not None:
            error = failure.error(self._console_lines())
            self.status.change("failed", reason=failure.reason, error=error)
        elif cause is not None:
            self.status.change("failed", reason="killed", error=cause)
        elif self._guest is None or not self._guest.answered:
            message = "the guest switched itself off before its agent answered"
            early = health.Failure(errors.BootFailed, message, "failed")
            self.status.change("failed", reason="failed", error=early.error(self._console_lines()))
        else:
            self.status.change("stopped", reason="guest")

    def _console_lines(self) -> list[str]:
        return self._console.tail.lines(health.CONSOLE_LINES) if self._console else []

    @steps.step
    async def _release(self) -> None:
        async with self._releasing:  # a failed start and a shutdown may meet here
            await self._release_all()

    async def _release_all(self) -> None:
        if self._reactions is not None:
            self._reactions.end_boot()
        if self._guest is not None:
            self._guest.close()
        if self._console is not None:
            self._console.close()
        if self.sessions is not None:
            self.sessions.close()
        await self.display.detach()
        await self.ports.close()
        if self._manager is not None:
            await self._manager.close()
        for each in self._disk_locks:
            each.release()
        self._disk_locks = ()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _artefacts(request: LaunchRequest) -> BootFiles:
    image = request.artefacts
    return BootFiles(
        disk=str(request.disk),
        base=image.disk,
        base_format=image.disk_format,
        loader=image.loader,
        loader_reason=image.loader_reason,
        kernel=image.kernel,
        variables=request.uefi_variables if image.loader == "uefi" else None,
        seed=image.seed,
        initrd=image.initrd,
        disk_format="qcow2",
        image_digest=image.image_digest,
        additional=tuple(
            DiskDevice(path=disk.path, format=disk.format, serial=spec_disks.serial(disk.name))
            for disk in request.additional_disks
        ),
    )
