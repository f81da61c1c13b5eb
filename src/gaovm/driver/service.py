"""The driver's half of ``gaovm.driver.v1``: decode, call the VM, encode. Decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from gaovm import errors
from gaovm.aio import clock, logs
from gaovm.driver import disks, vm
from gaovm.wire import convert
from gaovm.wire.driver import launch, params

logger = logging.getLogger(__name__)
Result = dict[str, Any]


class Service:
    """Answers the daemon's calls; ``leave`` is called when it asks the driver to go."""

    def __init__(self, of: vm.Vm, leave: Callable[[], None]) -> None:
        self._vm = of
        self._leave = leave
        self._methods: dict[str, Callable[[Any], Awaitable[Result]]] = {
            "ping": self._ping,
            "vm.configure": self._configure,
            "vm.start": self._start,
            "vm.stop": self._stop,
            "vm.status": self._status,
            "vm.pause": self._pause,
            "vm.resume": self._resume,
            "vm.kill": self._kill,
            "session.open": self._open_session,
            "ports.add": self._add_port,
            "ports.remove": self._remove_port,
            "ports.list": self._list_ports,
            "guest.info": self._guest_info,
            "guest.environment": self._set_environment,
            "guest.provision": self._provision,
            "disk.grow": self._grow_disk,
            "watchdog.reaction": self._set_reaction,
            "log.level": self._log_level,
            "display.open": self._open_display,
            "display.close": self._close_display,
            "display.status": self._display_status,
            "display.screenshot": self._screenshot,
            "exit": self._exit,
        }

    async def call(self, method: str, given: Any) -> Result:
        """The result of one call.

        Raises:
            errors.UnknownMethod, errors.InvalidParams, and what the call itself raises.
        """
        handler = self._methods.get(method)
        if handler is None:
            raise errors.UnknownMethod(f"the driver has no method {method[:100]}")
        return await handler(given)

    async def _ping(self, _: Any) -> Result:
        return {"ok": True, "ts": clock.now()}

    async def _configure(self, given: Any) -> Result:
        return await self._vm.configure(convert.params(given, launch.LaunchRequest))

    async def _start(self, _: Any) -> Result:
        return await self._vm.start()

    async def _stop(self, given: Any) -> Result:
        limits = convert.params(given, params.Stop)
        return {"how": await self._vm.stop(limits.grace_s, limits.force_s)}

    async def _status(self, _: Any) -> Result:
        return self._vm.describe()

    async def _pause(self, _: Any) -> Result:
        return {"paused": await self._vm.pause()}

    async def _resume(self, _: Any) -> Result:
        return {"paused": await self._vm.resume()}

    async def _kill(self, given: Any) -> Result:
        self._vm.kill(convert.params(given, params.Kill).reason)
        return {}

    async def _open_session(self, given: Any) -> Result:
        wanted = convert.params(given, params.OpenSession)
        sessions = self._vm.sessions
        if sessions is None:
            raise errors.GuestUnavailable("the VM is not running")
        return {"ticket": sessions.issue(wanted.ttl_s, wanted.kind), "socket": str(sessions.path)}

    async def _add_port(self, given: Any) -> Result:
        wanted = convert.params(given, params.AddPort)
        return self._vm.ports.bind(wanted.forward()).describe()

    async def _remove_port(self, given: Any) -> Result:
        wanted = convert.params(given, params.RemovePort)
        if wanted.host_port is None and wanted.guest_port is None:
            raise errors.InvalidParams("ports.remove needs host_port or guest_port")
        return {"removed": await self._vm.ports.remove(wanted)}

    async def _list_ports(self, _: Any) -> Result:
        return {"ports": self._vm.ports.describe()}

    async def _guest_info(self, _: Any) -> Result:
        found: Result = msgspec.to_builtins(await self._vm.guest_info())
        return found

    async def _log_level(self, given: Any) -> Result:
        wanted = convert.params(given, params.LogLevel).level
        if wanted is not None:
            logs.set_level(wanted)
            self._vm.relevel()
            logger.info("log level is now %s", wanted)
        return {"level": logs.level()}

    async def _open_display(self, given: Any) -> Result:
        return await self._vm.display.open(convert.params(given, params.OpenDisplay).seat)

    async def _close_display(self, _: Any) -> Result:
        return await self._vm.display.close()

    async def _display_status(self, _: Any) -> Result:
        return self._vm.display.describe()

    async def _screenshot(self, _: Any) -> Result:
        return await self._vm.display.screenshot()

    async def _set_environment(self, given: Any) -> Result:
        wanted = convert.params(given, params.Environment)
        await self._vm.guest.set_environment(wanted.env)
        return {}

    async def _provision(self, given: Any) -> Result:
        wanted = convert.params(given, params.Provision)
        self._vm.guest.provision_again(wanted.provision, wanted.probes)
        return {}

    async def _set_reaction(self, given: Any) -> Result:
        pause = convert.params(given, params.Reaction).on_hang == "pause"
        await self._vm.hypervisor.set_panic(pause=pause)
        return {}

    async def _grow_disk(self, given: Any) -> Result:
        wanted = convert.params(given, params.GrowDisk)
        hypervisor, launched = self._vm.hypervisor, self._vm.request
        if launched is None:
            raise errors.StateConflict("the VM is not configured")
        connection, size = self._vm.guest.connection, wanted.size_bytes
        problem = await disks.grow_live(Path(launched.disk), hypervisor, connection, size)
        return {} if problem is None else {"problem": problem}

    async def _exit(self, _: Any) -> Result:
        self._leave()
        return {}
