"""A driver that only pretends: the daemon's view of one, in the same process, without a VM.

``FakeLauncher`` hands them out. Knobs say where a boot halts and what fails; a test moves it on
with ``driver.report`` and looks at ``driver.calls``.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from gaovm import errors
from gaovm.daemon.vms import driver_protocol, machine, reports

STEPS = ("booting", "agent", "provisioning", "probing", "ready")
_pids = itertools.count(1_000_001)  # above pid_max: can never be the pid of a process


class FakeDriver:
    """Answers the driver protocol from memory."""

    def __init__(self, vm: machine.Machine, launcher: FakeLauncher) -> None:
        self.pid = next(_pids)
        self.log_level = "info"
        self._window = False
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.vm = vm
        self._launcher = launcher
        self._ended: asyncio.Future[driver_protocol.Ended] = (
            asyncio.get_running_loop().create_future()
        )

    def report(self, observed: str, readiness: str | None = None, **more: Any) -> None:
        """Send a ``state`` notification."""
        reports.on_state(self.vm, {"observed": observed, "readiness": readiness, **more})

    def boot(self, until: str) -> None:
        """Report every step up to ``until``."""
        for step in STEPS[: STEPS.index(until) + 1]:
            self.report("running", step)

    def die(self, exit_code: int | None) -> None:
        """End the process, as the kernel would tell it."""
        if not self._ended.done():
            self._ended.set_result(driver_protocol.Ended(pid=self.pid, exit_code=exit_code))

    async def call(
        self, method: str, params: dict[str, Any] | None = None, *, timeout_s: float = 5.0
    ) -> dict[str, Any]:
        """One call of the driver protocol."""
        self.calls.append((method, params or {}))
        if self._ended.done():
            raise errors.DriverLost("the driver is gone")
        failure = self._launcher.failures.get(method)
        if failure is not None:
            raise failure
        answer = getattr(self, "_on_" + method.replace(".", "_"), None)
        if answer is None:
            raise errors.UnknownMethod(f"Unknown method: {method}")
        return dict(answer(params or {}))

    def alive(self) -> bool:
        """Until it dies."""
        return not self._ended.done()

    async def gone(self) -> driver_protocol.Ended:
        """When the process has ended."""
        return await asyncio.shield(self._ended)

    async def leave(self, limit_s: float) -> driver_protocol.Ended:
        """Leave at once."""
        self.calls.append(("exit", {}))
        self.die(0)
        return await self.gone()

    def _on_display_open(self, params: dict[str, Any]) -> dict[str, Any]:
        self._window = True
        return self._on_display_status(params)

    def _on_display_close(self, params: dict[str, Any]) -> dict[str, Any]:
        self._window = False
        return self._on_display_status(params)

    def _on_display_status(self, params: dict[str, Any]) -> dict[str, Any]:
        size = {"width": 1024, "height": 768}
        return {"enabled": True, "open": self._window, **size, "opened_count": 1, "window_pid": 7}

    def _on_vm_configure(self, params: dict[str, Any]) -> dict[str, Any]:
        forwards = params["spec"]["network"]["forwards"]
        earlier = params["host_ports"]
        ports = [
            {**port, "host_port": port["host_port"] or 40_000 + index, "state": "forwarded"}
            for index, port in enumerate(forwards)
        ]
        for port, before in zip(ports, earlier, strict=True):
            if port["guest_port"] in self._launcher.lost_ports:
                port["lost_host_port"] = before
        accelerator = {"name": "tcg", "reason": "this is a fake"}
        network = self._launcher.network
        parts = {"mounts": [], "ports": ports, "network": network}
        return {"machine": "q35", "accelerator": accelerator, **parts}

    def _on_vm_start(self, params: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        loop.call_soon(self.boot, self._launcher.boot_until)
        if self._launcher.guest_error is not None:
            error = errors.to_wire(self._launcher.guest_error)
            loop.call_soon(lambda: self.report("running", "degraded", error=error))
        return {"hypervisor_pid": self.pid + 1_000_000, "argv": ["qemu"]}

    def _on_vm_stop(self, params: dict[str, Any]) -> dict[str, Any]:
        self.report("stopped", reason="stop")
        return {"how": "force" if params["grace_s"] == 0 else "agent"}

    def _on_vm_status(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"boot": {"agent_ms": 1000, "ready_ms": 2000}}

    def _on_vm_pause(self, params: dict[str, Any]) -> dict[str, Any]:
        reports.on_health(self.vm, {"kind": "paused", "detail": "asked"})
        return {"paused": True}

    def _on_vm_resume(self, params: dict[str, Any]) -> dict[str, Any]:
        reports.on_health(self.vm, {"kind": "resumed"})
        return {"paused": False}

    def _on_vm_kill(self, params: dict[str, Any]) -> dict[str, Any]:
        error = {"code": "guest_failed", "message": "the guest hung"}
        self.report("failed", reason=params["reason"], error=error)
        return {}

    def _on_session_open(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"ticket": "00" * 32, "socket": "/nowhere"}

    def _on_guest_info(self, params: dict[str, Any]) -> dict[str, Any]:
        listeners = self._launcher.listeners
        return {"hostname": self.vm.name, **({"listeners": listeners} if listeners else {})}

    def _on_ports_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return {**params, "state": "forwarded"}

    def _on_ports_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"removed": [params]}

    def _on_log_level(self, params: dict[str, Any]) -> dict[str, Any]:
        self.log_level = params["level"] or self.log_level
        return {"level": self.log_level}

    def _on_ports_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"ports": []}

    def _on_disk_grow(self, params: dict[str, Any]) -> dict[str, Any]:
        return {}

    def _on_watchdog_reaction(self, params: dict[str, Any]) -> dict[str, Any]:
        return {}

    def _on_guest_environment(self, params: dict[str, Any]) -> dict[str, Any]:
        return {}

    def _on_guest_provision(self, params: dict[str, Any]) -> dict[str, Any]:
        self.report("running", "agent")
        loop = asyncio.get_running_loop()
        if self._launcher.guest_error is not None:
            error = errors.to_wire(self._launcher.guest_error)
            loop.call_soon(lambda: self.report("running", "degraded", error=error))
        else:
            loop.call_soon(self.boot, self._launcher.boot_until)
        return {}

    def _on_ping(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True}


class FakeLauncher:
    """Starts fake drivers. ``boot_until`` is the last step that a boot reports by itself."""

    def __init__(self) -> None:
        self.boot_until = "ready"
        self.failures: dict[str, errors.GaoError] = {}
        self.guest_error: errors.GaoError | None = None
        #: What listens in the guest, as ``guest.info`` says it.
        self.listeners: list[dict[str, Any]] = []
        #: Guest ports whose host port of the last start is taken meanwhile.
        self.lost_ports: set[int] = set()
        #: What a driver says of the guest's network.
        self.network: dict[str, Any] | None = None
        self.launched: list[FakeDriver] = []

    async def launch(self, vm: machine.Machine) -> FakeDriver:
        """A new fake."""
        failure = self.failures.get("launch")
        if failure is not None:
            raise failure
        driver = FakeDriver(vm, self)
        self.launched.append(driver)
        return driver
