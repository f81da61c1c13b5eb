"""The driver's half of ``gaovm.driver.v1``: one handler for each row. Decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from gaovm import errors
from gaovm.aio import clock, logs
from gaovm.driver import disks, vm
from gaovm.wire import convert
from gaovm.wire.agent.info import Info
from gaovm.wire.driver import launch, params, results, table
from gaovm.wire.method import Method

logger = logging.getLogger(__name__)
P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)
_Bound = tuple[str, Callable[[Any], Awaitable[Any]]]


def _bind(row: Method[P, R], handler: Callable[[P], Awaitable[R]]) -> _Bound:
    """Return the row's name and its handler as called: JSON data in, JSON data out."""

    async def answer(given: Any) -> Any:
        return msgspec.to_builtins(await handler(convert.params(given, row.params)))

    return row.name, answer


class Service:
    """Answers the daemon's calls; calls ``leave`` when the daemon tells the driver to go."""

    def __init__(self, of: vm.Vm, leave: Callable[[], None]) -> None:
        self._vm = of
        self._leave = leave
        self._handlers = dict(
            (
                _bind(table.PING, self._ping),
                _bind(table.VM_CONFIGURE, self._configure),
                _bind(table.VM_START, self._start),
                _bind(table.VM_STOP, self._stop),
                _bind(table.VM_STATUS, self._status),
                _bind(table.VM_PAUSE, self._pause),
                _bind(table.VM_RESUME, self._resume),
                _bind(table.VM_KILL, self._kill),
                _bind(table.SESSION_OPEN, self._open_session),
                _bind(table.PORTS_ADD, self._add_port),
                _bind(table.PORTS_REMOVE, self._remove_port),
                _bind(table.PORTS_LIST, self._list_ports),
                _bind(table.PORTS_RULES, self._set_port_rules),
                _bind(table.GUEST_INFO, self._guest_info),
                _bind(table.GUEST_ENVIRONMENT, self._set_environment),
                _bind(table.GUEST_NAMES, self._set_names),
                _bind(table.GUEST_PROVISION, self._provision),
                _bind(table.DISK_GROW, self._grow_disk),
                _bind(table.WATCHDOG_REACTION, self._set_reaction),
                _bind(table.LOG_LEVEL, self._log_level),
                _bind(table.DISPLAY_OPEN, self._open_display),
                _bind(table.DISPLAY_CLOSE, self._close_display),
                _bind(table.DISPLAY_STATUS, self._display_status),
                _bind(table.DISPLAY_SCREENSHOT, self._screenshot),
                _bind(table.EXIT, self._exit),
            )
        )

    @property
    def methods(self) -> frozenset[str]:
        """The names of the methods that are served."""
        return frozenset(self._handlers)

    async def call(self, method: str, given: Any) -> Any:
        """Return the result of one call, as JSON data.

        Raises:
            errors.UnknownMethod, errors.InvalidParams, and what the call itself raises.
        """
        handler = self._handlers.get(method)
        if handler is None:
            raise errors.UnknownMethod(f"the driver has no method {method[:100]}")
        return await handler(given)

    async def _ping(self, _: params.Nothing) -> results.Pong:
        return results.Pong(ts=clock.now())

    async def _configure(self, wanted: launch.LaunchRequest) -> results.Choices:
        return await self._vm.configure(wanted)

    async def _start(self, _: params.Nothing) -> results.Started:
        return await self._vm.start()

    async def _stop(self, limits: params.Stop) -> results.Stopped:
        return results.Stopped(how=await self._vm.stop(limits.grace_s, limits.force_s))

    async def _status(self, _: params.Nothing) -> results.VmStatus:
        return self._vm.describe()

    async def _pause(self, _: params.Nothing) -> results.Paused:
        return results.Paused(paused=await self._vm.pause())

    async def _resume(self, _: params.Nothing) -> results.Paused:
        return results.Paused(paused=await self._vm.resume())

    async def _kill(self, wanted: params.Kill) -> results.Done:
        self._vm.kill(wanted.reason)
        return results.Done()

    async def _open_session(self, wanted: params.OpenSession) -> results.Session:
        sessions = self._vm.sessions
        if sessions is None:
            raise errors.GuestUnavailable("the VM is not running")
        ticket = sessions.issue(wanted.ttl_s, wanted.kind)
        return results.Session(ticket=ticket, socket=str(sessions.path))

    async def _add_port(self, wanted: params.AddPort) -> results.Port:
        return (await self._vm.ports.add(wanted.forward())).describe()

    async def _remove_port(self, wanted: params.RemovePort) -> results.RemovedPorts:
        if wanted.host_port is None and wanted.guest_port is None:
            raise errors.InvalidParams("ports.remove needs host_port or guest_port")
        return results.RemovedPorts(removed=await self._vm.ports.remove(wanted))

    async def _list_ports(self, _: params.Nothing) -> results.Ports:
        return results.Ports(ports=self._vm.ports.describe())

    async def _set_port_rules(self, wanted: params.PortRules) -> results.Ports:
        await self._vm.ports.set_rules(wanted.rules)
        return results.Ports(ports=self._vm.ports.describe())

    async def _guest_info(self, _: params.Nothing) -> Info:
        return await self._vm.guest_info()

    async def _log_level(self, wanted: params.LogLevel) -> results.LogLevel:
        if wanted.level is not None:
            logs.set_level(wanted.level)
            self._vm.relevel()
            logger.info("log level is now %s", wanted.level)
        return results.LogLevel(level=logs.level())

    async def _open_display(self, wanted: params.OpenDisplay) -> results.Display:
        return await self._vm.display.open(wanted.seat)

    async def _close_display(self, _: params.Nothing) -> results.Display:
        return await self._vm.display.close()

    async def _display_status(self, _: params.Nothing) -> results.Display:
        return self._vm.display.describe()

    async def _screenshot(self, _: params.Nothing) -> results.Screenshot:
        return await self._vm.display.screenshot()

    async def _set_environment(self, wanted: params.Environment) -> results.Done:
        await self._vm.guest.set_environment(wanted.env)
        return results.Done()

    async def _set_names(self, wanted: params.Names) -> results.Done:
        await self._vm.guest.set_names(wanted)
        return results.Done()

    async def _provision(self, wanted: params.Provision) -> results.Done:
        self._vm.guest.provision_again(wanted)
        return results.Done()

    async def _set_reaction(self, wanted: params.Reaction) -> results.Done:
        await self._vm.host.hypervisor.set_panic(pause=wanted.on_hang == "pause")
        return results.Done()

    async def _grow_disk(self, wanted: params.GrowDisk) -> results.Grown:
        host, connection = self._vm.host, self._vm.guest.connection
        problem = await disks.grow_live(host, connection, wanted.size_bytes)
        return results.Grown(problem=problem)

    async def _exit(self, _: params.Nothing) -> results.Done:
        self._leave()
        return results.Done()
