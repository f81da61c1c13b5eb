"""The lifecycle of one VM, in steps: configure, start, stop. Each step is idempotent.

Owns the order of things; how each is done stands in the file of its noun. When the VM has ended,
for whatever reason, everything it held is released and the daemon has been told why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gaovm import errors
from gaovm.aio import clock, files, process, steps, tasks
from gaovm.builder.qemu import build
from gaovm.builder.qemu.document import BootFiles, Document
from gaovm.driver import (
    boot,
    choices,
    confinement,
    disks,
    display,
    health,
    lock,
    logs,
    network,
    pipes,
    session,
    shares,
    shutdown,
    status,
    uplink,
)
from gaovm.driver.guest import GuestLink
from gaovm.driver.hypervisor import Hypervisor, OnEvent
from gaovm.guestmanager import info
from gaovm.hostfacts import facts as hostfacts
from gaovm.model.facts import HostFacts
from gaovm.model.states import Observed, Readiness
from gaovm.wire.agent.info import Info
from gaovm.wire.driver import results
from gaovm.wire.driver.launch import LaunchRequest

logger = logging.getLogger(__name__)
FATAL_GATHER_S = 0.3
# What the dead QEMU had written to the console is there at once; this only bounds it.
CONSOLE_DRAIN_S = 1.0
# Of an asked-for stop's grace, the agent's way gets this share and ACPI the rest.
AGENT_SHARE = 0.7
MakeHypervisor = Callable[[tasks.TaskOwner, OnEvent], Hypervisor]


class Vm:
    """One VM; ``on_ended`` is called when it ended although the daemon did not ask."""

    def __init__(
        self,
        owner: tasks.TaskOwner,
        notify: status.Notify,
        on_ended: Callable[[], None],
        make_hypervisor: MakeHypervisor = Hypervisor,
    ) -> None:
        self._owner, self._on_ended = owner, on_ended
        self._make_hypervisor = make_hypervisor
        self.status = status.Status(notify)
        self.request: LaunchRequest | None = None
        self._lock: files.Lock | None = None
        self._facts: HostFacts | None = None
        self._document: Document | None = None
        self._hypervisor: Hypervisor | None = None
        self._guest: GuestLink | None = None
        self._console: pipes.Console | None = None
        self._boot = boot.Boot(self._boot_failed, lambda: self._set_reboot(allowed=False))
        self._health = health.Health(self.status, self._on_panic)
        self._failure: health.Failure | health.Lost | None = None
        self._executed_at = 0.0
        self._stopping = self._was_paused = False
        self._released = asyncio.Event()
        self.ports = network.Ports(owner, lambda: self.guest.connection)
        self.shares = shares.Shares(owner, self._on_share_end)
        self.uplink = uplink.Uplink(owner, self._on_uplink)
        self.sessions: session.Sessions | None = None
        self.display = display.Display(owner, notify)
        self._confinement = confinement.Confinement()

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
    def hypervisor(self) -> Hypervisor:
        """QEMU, for changes while it runs.

        Raises:
            errors.StateConflict: it does not.
        """
        if self._hypervisor is None or self._hypervisor.ended.is_set():
            raise errors.StateConflict("the VM is not running")
        return self._hypervisor

    # configure

    async def configure(self, request: LaunchRequest) -> results.Choices:
        """Take the lock, decide, check, bind ports, make the disk. Starts nothing.

        Raises:
            errors.LockHeld, errors.PortTaken, errors.MountMissing, errors.MountRefused,
            errors.DiskShrink and what the builder raises; everything taken is given back then.
        """
        if self._hypervisor is not None:
            raise errors.StateConflict("the VM has been started already")
        await self._release()
        self._released.clear()
        vm_dir = Path(request.vm_dir)
        try:
            self._lock = lock.take(vm_dir)
            shares.check(request.spec.shares, Path(request.home))
            # Up to 3 s without a cached probe; nothing else is under way in this process yet.
            self._facts = request.facts or hostfacts.collect(Path(request.home))
            self._document = build.build(request.spec, self._facts, _artefacts(request))
            self.ports.bind_all(request.spec.network.ports, request.host_ports)
            await disks.prepare(request, self._facts.qemu_img)
            await self._confinement.prepare(request, self._document, self._facts.virtiofsd)
        except BaseException:
            await self._release()
            raise
        self.request = request
        return self._choices()

    def _choices(self) -> results.Choices:
        return choices.describe(self._document, self.ports, self.uplink, self._confinement)

    def describe(self) -> results.VmStatus:
        """The answer to ``vm.status``."""
        now = self.status
        return results.VmStatus(
            observed=Observed(now.observed),
            readiness=None if now.readiness is None else Readiness(now.readiness),
            paused=now.paused,
            hypervisor_pid=None if self._hypervisor is None else self._hypervisor.pid,
            boot=now.boot(),
            **msgspec.structs.asdict(self._choices()),
        )

    # start

    async def start(self) -> results.Started:
        """Execute QEMU and return; notifications report the boot.

        Raises:
            errors.StateConflict: not configured, or started before.
            errors.ProgramMissing: QEMU or virtiofsd cannot be executed.
        """
        request, document = self.request, self._document
        if request is None or document is None or self._stopping:
            raise errors.StateConflict("the VM is not configured")
        if self._hypervisor is None:
            self._hypervisor = self._make_hypervisor(self._owner, self._on_event)
            try:
                await self._start(self._hypervisor, request, document)
            except BaseException:
                self._hypervisor.kill()
                await self._release()
                self._hypervisor = None
                raise
        return results.Started(
            hypervisor_pid=self._hypervisor.pid,
            argv=tuple(self._hypervisor.argv),
            exec_at=self._executed_at,
        )

    async def _start(
        self, hypervisor: Hypervisor, request: LaunchRequest, document: Document
    ) -> None:
        run_dir, vm_dir = Path(request.run_dir), Path(request.vm_dir)
        ends = self.shares.prepare(document, run_dir)
        ends.update(self.uplink.prepare(document, run_dir))
        self.status.begin()
        socks = await hypervisor.start(document, ends, vm_dir, self._confinement.place)
        self._executed_at = clock.monotonic()
        self._owner.start(self._watch(hypervisor), name="hypervisor", finishable=True)
        server = self._facts.virtiofsd if self._facts else None
        await self.shares.start(server, self._confinement.servers)
        carrier = self._facts.passt if self._facts else None
        self.uplink.keeper = await self._confinement.keep(request, carrier)
        self.uplink.start(
            carrier.path if carrier else None, host_access=request.spec.network.host_access
        )
        self.status.change("running", "booting")
        self.display.attach(request, hypervisor)
        self._guest = GuestLink(request, document.shares, self.status, self._owner, self._on_answer)
        await self._guest.open(socks["agent"])
        self._console = pipes.Console(logs.StampedLog(vm_dir / "serial.log"), self._on_fatal)
        await self._console.attach(socks["console"])
        self.sessions = session.Sessions(
            self._owner, run_dir / "driver.sock", lambda: self.guest.usable()
        )
        self.sessions.open()
        self.ports.serve()
        self._boot.begin(self._accelerator)
        self._confinement.shed(request)

    # what happens meanwhile

    @property
    def _accelerator(self) -> str:
        return self._document.accelerator.name if self._document else "tcg"

    def _on_answer(self) -> None:
        self._boot.end()
        if self._console is not None:
            self._console.booting = False
        self._set_reboot(allowed=True)

    def _set_reboot(self, *, allowed: bool) -> None:
        if self._hypervisor is not None:
            self._owner.start(
                self._hypervisor.set_reboot(allowed=allowed), name="set reboot", finishable=True
            )

    def _on_fatal(self) -> None:
        # The lines that say why come right after the one that says that.
        loop = asyncio.get_running_loop()
        loop.call_later(FATAL_GATHER_S, self._boot_failed, "the guest's boot failed")

    def _boot_failed(self, message: str) -> None:
        self._fail(health.Failure(errors.BootFailed, message, "failed"))

    def _fail(self, failure: health.Failure | health.Lost, *, kill: bool = True) -> None:
        """The VM ends because of this; the first reason counts."""
        self._boot.end()
        if self._failure is None and not self._stopping and self._hypervisor is not None:
            self._failure = failure
            if kill:
                self._hypervisor.kill()

    def _on_event(self, name: str, data: Mapping[str, Any]) -> None:
        if self._stopping or self._failure is not None:
            return
        if name == "RESET":
            self._on_reset()
        elif name == "GUEST_PANICKED":
            self._health.on_panic(data)
        elif name == "WATCHDOG":
            self._health.on_watchdog()
        elif name == "BLOCK_IO_ERROR":
            self._health.on_io_error(data)
        elif name in ("STOP", "RESUME"):
            self._on_pause(name == "STOP")
        elif name == "VSERPORT_CHANGE" and self._guest is not None:
            self._guest.on_port(is_open=data.get("open") is True)

    def _on_reset(self) -> None:
        if self._guest is None or self._console is None:
            return
        if self._console.panicked:
            # No panic device told of it (a microVM, an old kernel): it would look like a reboot.
            self.status.health("panic", health.PANIC)
            self._fail(health.Failure(errors.GuestFailed, health.PANIC, "panic"))
            return
        # From here to the agent's next answer a boot may fail, as at the start.
        self._boot.begin_again(self._accelerator)
        if not self._console.booting:
            logger.info("the guest was reset")
            self.status.change("running", "booting", reason="reset")
            self._guest.restart()
            self._console.booting = True

    def _on_panic(self) -> None:
        kind = errors.GuestFailed if self._guest and self._guest.answered else errors.BootFailed
        self._fail(health.Failure(kind, health.PANIC, "panic"), kill=False)

    def _on_pause(self, paused: bool) -> None:
        guest, stuck = self._guest, self._health.io_error
        self._health.on_pause(paused)
        if guest is None:
            return
        if paused:
            self._boot.end()
            return
        if not guest.answered:
            self._boot.begin(self._accelerator)
        guest.resumed(recovered=stuck)

    # what the daemon asks of a running VM

    async def pause(self) -> bool:
        """Stop the guest's processors and clocks; returns whether it is paused. Idempotent.

        Raises:
            errors.StateConflict: the VM does not run.
            errors.HypervisorFailed: QEMU does not take it.
        """
        if not await self._running().pause():
            raise errors.HypervisorFailed("QEMU did not pause the VM")
        return self.status.paused

    async def resume(self) -> bool:
        """Let the guest go on; as ``pause`` otherwise."""
        if not await self._running().resume():
            raise errors.HypervisorFailed("QEMU did not resume the VM")
        return self.status.paused

    def kill(self, reason: str) -> None:
        """End a VM whose guest hangs, at once; its state becomes failed, with the reason.

        Raises:
            errors.StateConflict: the VM does not run.
        """
        self._running()
        message = health.KILLED.get(reason, f"the guest was ended: {reason}")
        self._fail(health.Failure(errors.GuestFailed, message, reason))

    def _running(self) -> Hypervisor:
        if self._hypervisor is None or self._stopping or self._hypervisor.ended.is_set():
            raise errors.StateConflict("the VM is not running")
        return self._hypervisor

    def _on_share_end(self, error: errors.GaoError) -> None:
        # QEMU takes no server back, and another would not know the guest's open files.
        logger.error("%s", error)
        self._fail(health.Lost(error, "share"))

    def _on_uplink(self, error: errors.GaoError | None) -> None:
        """The guest has lost its network, or has it again. It can be worked with all the same."""
        if error is not None:
            self.status.health("network_lost", error.message)
            if self.status.readiness == "ready":
                self.status.change("running", "degraded", reason="network_lost", error=error)
            return
        self.status.health("network_back", "the guest has its network again")
        if self.status.observed == "running" and self.status.reason == "network_lost":
            self.status.change("running", "ready")

    # the end

    async def stop(self, grace_s: float, force_s: float) -> str:
        """End the VM: by its agent, by ACPI, by force. Returns the way that worked.

        Joins a stop under way. When it returns, everything is released.
        """
        agent_s = grace_s * AGENT_SHARE
        return await self.shut_down(agent_s, grace_s - agent_s, force_s)

    async def shut_down(self, agent_s: float, acpi_s: float, force_s: float) -> str:
        """As ``stop``, with a limit for each way; QEMU is killed in the end."""
        hypervisor = self._hypervisor
        if hypervisor is None or hypervisor.ended.is_set():
            self._stopping = True
            await self._release()
            return "gone"
        if not self._stopping:
            self._stopping = True
            self._boot.end()
            self._was_paused = self.status.paused
            self.status.change("stopping")
        if self._health.panicked:
            agent_s = acpi_s = 0.0  # it will never answer
        how = await shutdown.end(
            hypervisor,
            self._guest,
            shutdown.Limits(agent_s, acpi_s, force_s),
            resume_first=self._was_paused,
        )
        await self._released.wait()
        return how

    async def _watch(self, hypervisor: Hypervisor) -> None:
        asked = False
        try:
            code, at = await hypervisor.exited()
            # First of all: what follows takes its time, and the daemon's record does not wait.
            self.status.hypervisor_ended(hypervisor.pid, code, at)
            await hypervisor.drain()
            if self._console is not None:
                await asyncio.wait([self._console.ended], timeout=CONSOLE_DRAIN_S)
            asked = self._stopping
            if code > 0 and not asked:
                await self.shares.settle()
            await tasks.finish(self._release())
            self._tell_end(hypervisor, code, asked=asked)
        except Exception:
            logger.exception("watching QEMU failed")
            raise
        finally:
            self._released.set()
            if not asked:
                self._on_ended()

    @steps.step
    def _tell_end(self, hypervisor: Hypervisor, code: int, *, asked: bool) -> None:
        logger.info("QEMU ended with status %s", code)
        if asked:
            self.status.change("stopped", reason="stop")
        elif self._failure is not None:
            error = self._failure.error(self._console_lines())
            self.status.change("failed", reason=self._failure.reason, error=error)
        elif code != 0 or hypervisor.ended_by_host:
            lost = self.shares.failure if code > 0 else None  # QEMU ended for want of it
            error = lost or _died(hypervisor, code)
            self.status.change("failed", reason="killed", error=error)
        elif self._guest is None or not self._guest.answered:
            message = "the guest switched itself off before its agent answered"
            failure = health.Failure(errors.BootFailed, message, "failed")
            self.status.change(
                "failed", reason="failed", error=failure.error(self._console_lines())
            )
        else:
            self.status.change("stopped", reason="guest")

    def _console_lines(self) -> list[str]:
        return self._console.tail.lines(health.CONSOLE_LINES) if self._console else []

    @steps.step
    async def _release(self) -> None:
        self._boot.end()
        if self._guest is not None:
            self._guest.close()
        if self._console is not None:
            self._console.close()
        if self.sessions is not None:
            self.sessions.close()
        await self.display.detach()
        await self.ports.close()
        await self.shares.close()
        await self.uplink.close()
        await self._confinement.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def relevel(self) -> None:
        """The log level has changed; the agent follows, now or when it answers."""
        if self._guest is not None:
            self._guest.relevel()

    async def guest_info(self) -> Info:
        """What the agent knows of the guest."""
        return await info.get(self.guest.connection)


def _died(hypervisor: Hypervisor, code: int) -> errors.HypervisorFailed:
    words = hypervisor.last_words()
    return errors.HypervisorFailed(
        f"QEMU {process.ended(code)}" + (f": {words}" if words else ""),
        actions=(errors.Action("show_driver_log"),),
        details={"status": code, "argv": list(hypervisor.argv)},
    )


def _artefacts(request: LaunchRequest) -> BootFiles:
    image = request.artefacts
    return BootFiles(
        disk=request.disk,
        base=image.disk,
        base_format=image.disk_format,
        kernel=image.kernel,
        initrd=image.initrd,
        disk_format="qcow2",
        image_digest=image.image_digest,
    )
