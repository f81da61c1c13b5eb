"""A driver process from its control socket to its end.

It leaves when the daemon says so, on end of file, after 15 s without a call of the daemon, on
SIGTERM, and when its VM has ended by itself. It always shuts the guest down first: by the agent,
then by ACPI, then by force.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from gaovm import errors
from gaovm.aio import descriptors, keeping, logs, steps, tasks
from gaovm.driver import backend, liveness, service, vm
from gaovm.ipc import connection, hello, methods, peer
from gaovm.platform import priority
from gaovm.platform.confine import abilities, identities
from gaovm.wire.driver import launch, notifications, table

logger = logging.getLogger(__name__)
HELLO_LIMIT_S = 10.0
# The exit status of a driver whose daemon fell silent; gaovm.v1.2 fixes the number.
ABANDONED = 12
# The hypervisor's time to flush its disks and quit. With the guest's 10 s and the kill, everything
# is over in 15 s.
QUIT_LIMIT_S = 2.0


class Driver:
    """One driver: the VM, the daemon's calls, and when to leave. ``create`` as ``vm.Vm``."""

    def __init__(self, owner: tasks.TaskOwner, create: backend.Create | None = None) -> None:
        self._leaving = asyncio.Event()
        self._link: connection.Connection | None = None
        self.reason = "asked"
        self.exit_status = 0
        self.vm = vm.Vm(owner, self._notify, lambda: self.leave("the VM has ended"), create)
        self._calls = service.Service(self.vm, lambda: self.leave("asked by the daemon"))
        self._liveness = liveness.Liveness(self._on_silence, liveness.LIMIT_S)

    def leave(self, reason: str, exit_status: int = 0) -> None:
        """Begin to leave; the first reason and its exit status count."""
        if not self._leaving.is_set():
            self.reason, self.exit_status = reason, exit_status
            self._leaving.set()

    def _on_silence(self) -> None:
        self.leave(f"the daemon has not called for {liveness.LIMIT_S:g} s", ABANDONED)

    async def run(self, control: socket.socket, token: str) -> None:
        """Serve the daemon until there is a reason to leave, then shut the VM down.

        Raises:
            errors.GaoError: the handshake with the daemon failed.
        """
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.leave, "SIGTERM")
        self._link = await self._say_hello(control, token)
        self._link.on_close(lambda: self.leave("the daemon is gone"))
        self._liveness.start()
        await self._leaving.wait()
        logger.info("leaving: %s", self.reason)
        self._liveness.stop()
        await self._shut_down()
        await self._link.aclose()

    @steps.step
    async def _say_hello(self, control: socket.socket, token: str) -> connection.Connection:
        offer = hello.Offer(methods.DRIVER, table.NAMES, token=token)
        answering = connection.Service(peer.Terms(offer), self._answer)
        return await connection.connect(
            control, answering, first=True, name="daemon", handshake_s=HELLO_LIMIT_S
        )

    @steps.step
    async def _shut_down(self) -> None:
        asked = self.vm.request
        limits = asked.stop if asked is not None else launch.StopLimits()
        how = await self.vm.shut_down(limits.agent_s, limits.acpi_s, QUIT_LIMIT_S)
        logger.info("the VM ended: %s", how)

    async def _answer(self, method: str, params: Any, _: connection.Request) -> Any:
        self._liveness.touch()
        logger.debug("call of the daemon: %s", method[:100])
        return await self._calls.call(method, params)

    def _notify(self, told: notifications.Notification) -> None:
        if isinstance(told, notifications.State):
            found = [told.observed, told.readiness, told.reason, (told.error or {}).get("message")]
            logger.info("state: %s", ", ".join(str(word) for word in found if word))
        if self._link is not None:
            self._link.notify(notifications.NAMES[type(told)], msgspec.to_builtins(told))


async def _main(control: socket.socket, token: str) -> int:
    async with tasks.TaskOwner("driver") as owner:
        driver = Driver(owner)
        await driver.run(control, token)
        return driver.exit_status


def run(control: socket.socket, token: str, name: str) -> int:
    """Run a driver in this process, from start to end; return its exit status.

    0: it was told to leave; 1: it failed; 12: no call of the daemon came for 15 s.
    """
    priority.nice()
    _own_namespace()
    if not abilities.absence():
        keeping.fork_ahead()
    logger.info("driver of %s, pid %s", name, os.getpid())
    try:
        return asyncio.run(_main(control, token))
    except errors.GaoError as exc:
        logger.error("driver of %s: %s", name, exc.message)
        return 1
    except Exception:
        logger.exception("driver of %s: defect", name)
        return 1
    finally:
        keeping.discard()


def _own_namespace() -> None:
    """Let a plain user's driver make cages, by its own user namespace.

    Called first of all, while this process has one thread. Where the host does not allow it, the
    cage has fewer walls; ``vm.status`` says so.
    """
    if abilities.absence():
        return
    can = abilities.find()
    if not can.root and not can.namespaces:
        try:
            identities.own_namespace()
        except OSError as exc:
            logger.warning("no user namespace: %s", exc.strerror)


def set_up_logging() -> logs.Handler:
    """Log to stderr. Called before the fork: after it, this would cost memory."""
    handler = logs.Handler(logs.stderr())
    logs.set_up(handler)
    return handler


def log_to(handler: logs.Handler, log: logs.RotatingFile, vm_name: str) -> None:
    """Log to the VM's file as that VM's driver; stdout and stderr follow from now on."""
    logs.redirect(log)
    handler.sinks = (log,)
    handler.lines.vm = vm_name


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"{Path(sys.argv[0]).name}: {message}\n")
    raise SystemExit(1)


def _options(words: list[str]) -> dict[str, str]:
    """Parse the command line into a table; end the process if it is wrong."""
    known = {"--control-fd", "--log", "--vm"}
    found = dict(zip(words[::2], words[1::2], strict=False))
    right = len(words) % 2 == 0 and len(found) == len(words) // 2 and found.keys() <= known
    if not right or not found.get("--control-fd", "").isdecimal():
        _fail("usage: --control-fd N [--log FILE] [--vm NAME]")
    return found


def entry() -> None:
    """Run as a program, with ``--control-fd N`` and the token in the environment.

    ``--log FILE`` and ``--vm NAME`` as for a forked driver; without them it logs to stderr.
    """
    token = os.environ.pop(hello.TOKEN_VARIABLE, None)
    if not token:
        _fail(f"no {hello.TOKEN_VARIABLE} in the environment: drivers are started by gaovmd")
    options = _options(sys.argv[1:])
    fd, name = options["--control-fd"], options.get("--vm", "spawned")
    try:
        control = socket.socket(fileno=int(fd))
        log = logs.RotatingFile(Path(options["--log"])) if "--log" in options else None
    except OSError as exc:
        _fail(f"--control-fd {fd}, --log {options.get('--log')}: {exc.strerror}")
    control.set_inheritable(False)
    handler = set_up_logging()
    descriptors.raise_limit()  # each forward and session takes some
    if log is not None:
        log_to(handler, log, name)
    raise SystemExit(run(control, token, name))
