"""A fake driver: it looks like one to the daemon, but runs in the same process without a VM.

``FakeLauncher`` makes these drivers. Its settings say where a boot stops and what fails. A test
continues the boot with ``driver.report`` and checks ``driver.calls``.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from gaovm import errors
from gaovm.daemon.vms import driver_protocol, machine, reports
from gaovm.wire import anyjson, convert
from gaovm.wire.agent import info
from gaovm.wire.driver import launch, params, results, table
from gaovm.wire.method import Method

STEPS = ("booting", "agent", "provisioning", "probing", "ready")
P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)
_pids = itertools.count(1_000_001)  # above pid_max: no process can have such a pid


class FakeDriver:
    """Answer the driver protocol from memory. ``calls`` has names and parameters as JSON data."""

    def __init__(self, vm: machine.Machine, launcher: FakeLauncher) -> None:
        self.pid = next(_pids)
        self.log_level = "info"
        self._window = False
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.vm = vm
        self._launcher = launcher
        self._chosen = results.Choices()
        self._ended: asyncio.Future[driver_protocol.Ended] = (
            asyncio.get_running_loop().create_future()
        )
        self._handlers = self._bind_all()

    def _bind_all(self) -> dict[str, Callable[[Any], msgspec.Struct]]:
        return dict(
            (
                _bind(table.PING, lambda _: results.Pong()),
                _bind(table.VM_CONFIGURE, self._configure),
                _bind(table.VM_START, self._start),
                _bind(table.VM_STOP, self._stop),
                _bind(table.VM_STATUS, self._status),
                _bind(table.VM_PAUSE, self._pause),
                _bind(table.VM_RESUME, self._resume),
                _bind(table.VM_KILL, self._kill),
                _bind(table.SESSION_OPEN, lambda _: results.Session(ticket="00" * 32)),
                _bind(table.PORTS_ADD, self._add_port),
                _bind(table.PORTS_REMOVE, self._remove_port),
                _bind(table.PORTS_LIST, lambda _: results.Ports(ports=self._chosen.ports)),
                _bind(table.GUEST_INFO, self._guest_info),
                _bind(table.GUEST_ENVIRONMENT, lambda _: results.Done()),
                _bind(table.GUEST_NAMES, lambda _: results.Done()),
                _bind(table.GUEST_PROVISION, self._provision),
                _bind(table.DISK_GROW, lambda _: results.Grown()),
                _bind(table.WATCHDOG_REACTION, lambda _: results.Done()),
                _bind(table.LOG_LEVEL, self._set_level),
                _bind(table.DISPLAY_OPEN, lambda _: self._show(window=True)),
                _bind(table.DISPLAY_CLOSE, lambda _: self._show(window=False)),
                _bind(table.DISPLAY_STATUS, lambda _: self._show(window=self._window)),
                _bind(table.EXIT, lambda _: results.Done()),
            )
        )

    def report(self, observed: str, readiness: str | None = None, **more: Any) -> None:
        """Send a ``state`` notification."""
        self._tell("state", {"observed": observed, "readiness": readiness, **more})

    def _tell(self, name: str, data: dict[str, Any]) -> None:
        reports.on_notification(self.vm, name, data)

    def boot(self, until: str) -> None:
        """Report every step up to ``until``."""
        for step in STEPS[: STEPS.index(until) + 1]:
            self.report("running", step)

    def die(self, exit_code: int | None) -> None:
        """Report the end of the process, as the kernel would."""
        if not self._ended.done():
            self._ended.set_result(driver_protocol.Ended(pid=self.pid, exit_code=exit_code))

    async def call(self, row: Method[P, R], params: P, *, timeout_s: float = 5.0) -> R:
        """Make one call of the driver protocol, and convert all of its data to JSON and back."""
        told = await self.relay(row.name, msgspec.json.decode(msgspec.json.encode(params)))
        return convert.reply(row.name, told, row.result)

    async def relay(
        self, method: str, params: anyjson.Object, *, timeout_s: float = 5.0
    ) -> anyjson.Object:
        """Make one call by its name."""
        self.calls.append((method, dict(params)))
        if self._ended.done():
            raise errors.DriverLost("the driver is gone")
        failure = self._launcher.failures.get(method)
        if failure is not None:
            raise failure
        handler = self._handlers.get(method)
        if handler is None:
            raise errors.UnknownMethod(f"Unknown method: {method}")
        given = convert.params(params, table.METHODS[method].params)
        told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(handler(given)))
        return told

    def alive(self) -> bool:
        """True until it dies."""
        return not self._ended.done()

    async def gone(self) -> driver_protocol.Ended:
        """Wait until the process has ended."""
        return await asyncio.shield(self._ended)

    async def leave(self, limit_s: float) -> driver_protocol.Ended:
        """Leave at once."""
        self.calls.append(("exit", {}))
        self.die(0)
        return await self.gone()

    def _show(self, *, window: bool) -> results.Display:
        self._window = window
        size = {"width": 1024, "height": 768}
        return results.Display(enabled=True, open=window, **size, opened_count=1, window_pid=7)

    def _configure(self, wanted: launch.LaunchRequest) -> results.Choices:
        lost, ports = self._launcher.lost_ports, []
        for index, (port, before) in enumerate(
            zip(wanted.spec.network.ports, wanted.host_ports, strict=True)
        ):
            bound = results.Port(
                guest_ip=port.guest_ip,
                guest_port=port.guest_port,
                host_ip=port.host_ip,
                host_port=port.host_port or 40_000 + index,
                lost_host_port=before if port.guest_port in lost else None,
            )
            ports.append(bound)
        self._chosen = results.Choices(
            machine="q35",
            accelerator=results.Accelerator(name="tcg", reason="this is a fake"),
            ports=tuple(ports),
            network=self._launcher.network,
        )
        return self._chosen

    def _start(self, _: params.Nothing) -> results.Started:
        loop = asyncio.get_running_loop()
        loop.call_soon(self.boot, self._launcher.boot_until)
        if self._launcher.guest_error is not None:
            error = errors.to_wire(self._launcher.guest_error)
            loop.call_soon(lambda: self.report("running", "degraded", error=error))
        return results.Started(hypervisor_pid=self.pid + 1_000_000, argv=("qemu",))

    def _stop(self, limits: params.Stop) -> results.Stopped:
        self.report("stopped", reason="stop")
        return results.Stopped(how="force" if limits.grace_s == 0 else "agent")

    def _status(self, _: params.Nothing) -> results.VmStatus:
        boot = results.Boot(agent_ms=1000, ready_ms=2000)
        chosen = msgspec.structs.asdict(self._chosen)
        return results.VmStatus(**chosen, boot=boot, paused=self.vm.paused)

    def _pause(self, _: params.Nothing) -> results.Paused:
        self._tell("health", {"kind": "paused", "detail": "asked"})
        return results.Paused(paused=True)

    def _resume(self, _: params.Nothing) -> results.Paused:
        self._tell("health", {"kind": "resumed"})
        return results.Paused(paused=False)

    def _kill(self, wanted: params.Kill) -> results.Done:
        error = {"code": "guest_failed", "message": "the guest hung"}
        self.report("failed", reason=wanted.reason, error=error)
        return results.Done()

    def _guest_info(self, _: params.Nothing) -> info.Info:
        return info.Info(hostname=self.vm.name, listeners=tuple(self._launcher.listeners))

    def _add_port(self, wanted: params.AddPort) -> results.Port:
        port = results.Port(**msgspec.structs.asdict(wanted), source="added")
        self._chosen = msgspec.structs.replace(self._chosen, ports=(*self._chosen.ports, port))
        return port

    def _remove_port(self, wanted: params.RemovePort) -> results.RemovedPorts:
        gone = tuple(port for port in self._chosen.ports if port.host_port == wanted.host_port)
        kept = tuple(port for port in self._chosen.ports if port not in gone)
        self._chosen = msgspec.structs.replace(self._chosen, ports=kept)
        return results.RemovedPorts(removed=gone)

    def _set_level(self, wanted: params.LogLevel) -> results.LogLevel:
        self.log_level = wanted.level or self.log_level
        return results.LogLevel(level=self.log_level)

    def _provision(self, _: params.Provision) -> results.Done:
        self.report("running", "agent")
        loop = asyncio.get_running_loop()
        if self._launcher.guest_error is not None:
            error = errors.to_wire(self._launcher.guest_error)
            loop.call_soon(lambda: self.report("running", "degraded", error=error))
        else:
            loop.call_soon(self.boot, self._launcher.boot_until)
        return results.Done()


def _bind(
    row: Method[P, R], handler: Callable[[P], R]
) -> tuple[str, Callable[[Any], msgspec.Struct]]:
    return row.name, handler


class FakeLauncher:
    """Start fake drivers. ``boot_until`` is the last step that a boot reports by itself."""

    def __init__(self) -> None:
        self.boot_until = "ready"
        self.failures: dict[str, errors.GaoError] = {}
        self.guest_error: errors.GaoError | None = None
        #: The listening sockets in the guest, in the form of ``guest.info``.
        self.listeners: list[info.Listener] = []
        #: Guest ports whose previous host port is now in use.
        self.lost_ports: set[int] = set()
        #: What a driver reports about the guest's network.
        self.network: results.Network | None = None
        self.launched: list[FakeDriver] = []

    async def launch(self, vm: machine.Machine) -> FakeDriver:
        """Return a new fake driver."""
        failure = self.failures.get("launch")
        if failure is not None:
            raise failure
        driver = FakeDriver(vm, self)
        self.launched.append(driver)
        return driver
