"""The running daemon's half of an upgrade: asks the new code, waits, hands over, executes it.

It works in this order. It asks the new code whether it can take over (``preflight``). It waits for
operations that are under way and holds new ones at the gate. Then the event loop stops: one piece
of code, which awaits nothing, writes everything into a file in memory and executes the new code in
this same process. Nothing has changed until the ``exec``. If something fails before it, or the
``exec`` itself fails, the daemon goes on as if nobody had asked.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Container, Iterator
from typing import Any, NoReturn

import msgspec

from gaovm import errors, version
from gaovm.aio import commands, descriptors, files, logs, steps, tasks
from gaovm.daemon import handover, server
from gaovm.daemon.dispatch import context, upgrade_gate
from gaovm.daemon.drivers import driver_link, forks, old_zygotes, zygote
from gaovm.daemon.upgrading import execution, preflight, under_way
from gaovm.daemon.vms import machine
from gaovm.ipc import connection
from gaovm.ipc import handover as connections
from gaovm.ipc import server as ipc_server

logger = logging.getLogger(__name__)

#: The new code is imported and reads a copy of the database: 1 s, or 10 s on a host that swaps.
PREFLIGHT_S = 60.0
#: For calls that only read, after operations have ended: the longest asks a guest for 5 s.
SETTLE_S = 15.0


@dataclasses.dataclass
class Parts:
    """All that the daemon hands over."""

    ctx: context.Daemon
    lock: files.Lock
    foreground: bool
    forks: forks.Forks
    old_zygotes: list[old_zygotes.OldZygote]
    front: server.Front
    serving: ipc_server.Server


class Upgrade:
    """Hands this process over to the installed code. Implements ``context.Upgrader``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._caller: connection.Request | None = None

    async def run(
        self,
        caller: connection.Request,
        progress: Callable[[str, str], None],
        timeout_s: float,
    ) -> NoReturn:
        """Hand over to the code that is installed now; that code sends the answer.

        ``timeout_s``: how long operations that are under way may take.

        Raises:
            errors.StateConflict: the new code cannot take over, something takes longer than
                ``timeout_s``, or the daemon stops.
            errors.HostError: the new code does not run, or cannot be executed.
        """
        if self._caller is not None:
            raise _retriable("an upgrade is under way", "try again when it is over")
        self._caller = caller
        parts = self._parts
        try:
            progress("check", "asking the new code")
            asked = self._question()
            await _ask(asked)
            parts.ctx.upgrade_gate.hold(upgrade_gate.READS)
            await self._drain(upgrade_gate.READS, timeout_s, progress)
            if (now := self._question()) != asked:
                await _ask(now)
            parts.ctx.upgrade_gate.hold(upgrade_gate.INSTANT)
            progress("hand over", "executing the new code")
            await self._settle(progress)
        finally:
            parts.ctx.upgrade_gate.open()
            self._caller = None

    # what the daemon would hand over

    def _links(self) -> list[tuple[machine.Machine, driver_link.Link, connections.Movable]]:
        found = []
        for vm in self._parts.ctx.fleet.machines.values():
            link = vm.driver
            if isinstance(link, driver_link.Link) and link.connection is not None:
                found.append((vm, link, link.connection))
        return found

    def _clients(self) -> list[connections.Movable]:
        found = [each for each in self._parts.serving.connections if each.error is None]
        return sorted(found, key=lambda each: each.name)

    def _question(self) -> preflight.Question:
        drivers = tuple(
            preflight.Driver(vm=vm.name, protocol=made.protocol, serves=_sorted(made.callable))
            for vm, _, made in self._links()
        )
        spoken = {each.protocol for each in self._clients() if each.ready}
        return preflight.Question(
            format=handover.FORMAT,
            version=version.VERSION,
            database=str(self._parts.ctx.fleet.paths.database),
            drivers=drivers,
            clients=_sorted(spoken),
        )

    # waiting

    def _under_way(self, spared: Container[str]) -> list[under_way.UnderWay]:
        fleet = self._parts.ctx.fleet
        found = [each for vm in fleet.machines.values() if (each := under_way.of(vm))]
        found += [
            under_way.UnderWay(each.name, each.ended) for each in fleet.lasting if not each.done
        ]
        for client in self._clients():
            for key, task in client.begun().items():
                if not self._is_caller(client, key) and task.get_name() not in spared:
                    ended = functools.partial(asyncio.wait, [task])
                    found.append(under_way.UnderWay(task.get_name(), ended))
        return found

    def _is_caller(self, client: connections.Movable, key: int | str) -> bool:
        caller = self._caller
        return caller is not None and (caller.connection, caller.request_id) == (client, key)

    @steps.step
    async def _drain(
        self, spared: Container[str], limit_s: float, progress: Callable[[str, str], None]
    ) -> None:
        """Wait until nothing is under way except spared calls."""
        told: list[str] = []
        found: list[under_way.UnderWay] = []
        try:
            async with asyncio.timeout(limit_s):
                while found := self._under_way(spared):
                    names = sorted({each.what for each in found})
                    if names != told:
                        told = names
                        progress("wait", f"waiting for {', '.join(names)}")
                    await found[0].ended()
                    await asyncio.sleep(0)  # for those who react to that end
        except TimeoutError as exc:
            names = sorted({each.what for each in found})
            error = _retriable(
                f"still under way after {limit_s:g} s: {', '.join(names)}",
                "try again when it is over, or wait longer",
            )
            error.actions = (errors.Action("upgrade_daemon", timeout="5m"),)
            raise error from exc

    async def _settle(self, progress: Callable[[str, str], None]) -> NoReturn:
        """Wait for calls that only read, then leave: after the last look nothing is awaited."""
        serving = self._parts.serving
        with execution.signals_kept() as arrived:
            serving.pause()
            try:
                while True:
                    await self._drain((), SETTLE_S, progress)
                    await self._parts.ctx.fleet.store.flush()
                    # one turn of the loop: for signals that came before we kept them pending, and
                    # for clients that were accepted before the pause
                    await asyncio.sleep(0)
                    if self._parts.ctx.stopping:
                        raise errors.StateConflict("the daemon is stopping")
                    arriving = any(client.fileno() < 0 for client in self._clients())
                    if not arriving and not self._under_way(()):
                        self._leave(arrived)
            finally:  # only reached if it failed
                await tasks.finish(serving.go_on())

    # the last moment

    def _leave(self, arrived: list[int]) -> NoReturn:
        given = self._freeze()
        self._parts.ctx.fleet.store.drain()
        memory = handover.write(given)
        inherited = [memory, *given.descriptors()]
        try:
            execution.bequeath(inherited)
            if arrived:
                raise errors.StateConflict("the daemon is stopping")
            execution.execute(memory, foreground=given.foreground)
        finally:  # only reached if it failed
            for fd in inherited:
                os.set_inheritable(fd, False)
            os.close(memory)

    @steps.step
    def _freeze(self) -> handover.Handover:
        parts = self._parts
        caller = self._caller
        clients = self._clients()
        asked = None
        if caller is not None and caller.connection in clients:
            place = clients.index(caller.connection)
            asked = handover.Asked(client=place, call=caller.request_id)
        return handover.Handover(
            format=handover.FORMAT,
            version=version.VERSION,
            started_at=parts.ctx.started_at,
            foreground=parts.foreground,
            lock=parts.lock.fileno(),
            listener=parts.serving.fileno(),
            drivers=tuple(_driver(*each) for each in self._links()),
            zygotes=tuple(_zygotes(*parts.old_zygotes, parts.forks)),
            clients=tuple(
                handover.Client(
                    fd=each.fileno(),
                    connection=each.snapshot(),
                    cursor=parts.front.cursor(each),
                )
                for each in clients
            ),
            asked=asked,
            log_level=logs.level(),
            log_levels=parts.ctx.fleet.log_levels,
            open_files=descriptors.inherited(),
            restarts={
                vm.name: vm.restart.when()
                for vm in parts.ctx.fleet.machines.values()
                if vm.restart is not None
            },
        )


def _driver(
    vm: machine.Machine, link: driver_link.Link, made: connections.Movable
) -> handover.Driver:
    made.ping()  # on a busy host the new code may take seconds until its first message
    return handover.Driver(
        vm=vm.name,
        pid=link.pid,
        start_time=link.forked.start_time,
        fd=made.fileno(),
        connection=made.snapshot(),
        hypervisor_pid=vm.hypervisor_pid,
        timings=vm.timings,
        running_since=vm.running_since,
        paused=vm.paused,
    )


def _zygotes(*all_of_them: old_zygotes.OldZygote | forks.Forks) -> Iterator[handover.Zygote]:
    """Return the zygotes that go on; drivers started one by one stay children of this process."""
    for each in all_of_them:
        if (
            isinstance(each, old_zygotes.OldZygote | zygote.Zygote)
            and each.pid is not None
            and each.fileno() >= 0
        ):
            yield handover.Zygote(pid=each.pid, fd=each.fileno(), drivers=each.exits.known())


def _retriable(message: str, remedy: str) -> errors.StateConflict:
    error = errors.StateConflict(message, remedy=remedy)
    error.retriable = True
    return error


def _sorted(names: Any) -> tuple[str, ...]:
    return tuple(sorted(names))


@steps.step
async def _ask(question: preflight.Question) -> None:
    """Ask the new code whether it can take over.

    Raises:
        errors.StateConflict: it cannot.
        errors.HostError: it does not even run.
    """
    argv = [*execution.program(), preflight.FLAG]
    data = msgspec.json.encode(question)
    try:
        done = await commands.run(argv, cwd="/", stdin=data, timeout_s=PREFLIGHT_S)
        if done.returncode != 0:
            raise errors.HostError(
                f"the new code does not run: {done.stderr_tail.strip() or done.returncode}"
            )
        answer = msgspec.json.decode(done.stdout, type=preflight.Answer)
    except (errors.TimeLimit, msgspec.MsgspecError) as exc:
        raise errors.HostError(f"the new code does not answer: {exc}") from exc
    if answer.problems:
        raise errors.StateConflict(
            f"version {answer.version} cannot take over from {question.version}: "
            + "; ".join(answer.problems),
            remedy=f"nothing has changed: the daemon goes on as version {question.version}",
            details={"problems": list(answer.problems)},
        )
