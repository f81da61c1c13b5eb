"""A state machine checks the supervisor against a model, on its own clock.

The model follows the rules of docs/supervision.md, not the code: which VMs should run, what follows
from the end of a VM, when the next start is due. After every step, once nothing is left to run, the
daemon's memory, its database, its drivers and its events must agree with the model.
"""

from __future__ import annotations

import asyncio
import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine
from concurrent import futures
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests import budgets
from tests.unit.daemon.conftest import Call, NoZygote, Preparer, load_config, up_params

from gaovm import errors
from gaovm.aio import clock, files, tasks
from gaovm.daemon import paths
from gaovm.daemon.dispatch import context, service
from gaovm.daemon.lifecycle import recovery, start, supervisor
from gaovm.daemon.storage import events, schema, store
from gaovm.daemon.vms import lookups, project_file
from gaovm.daemon.vms.fleet import Fleet
from gaovm.model import states
from gaovm.spec.supervision import Restart, RestartWhen, Supervision
from gaovm.testing import fake_driver
from gaovm.wire.control import vms

#: With ``--long`` more than 10,000 steps a run.
EXAMPLES, STEPS = budgets.examples(60, 170), 65
NAMES = ("one", "two", "three")
names = st.sampled_from(NAMES)

#: What the daemon learns about an end, in order: a report with its reason, an exit status.
#: A driver ends by itself if the daemon halts for too long; the daemon gets both messages at once
#: when it continues.
ENDS: dict[str, tuple[tuple[str, str] | int, ...]] = {
    "driver": (-9,),
    "hypervisor": (("failed", "killed"),),
    "power-off": (("stopped", "guest"),),
    "left, report first": (("stopped", "stop"), 12),
    "left, exit first": (12, ("stopped", "stop")),
}
LEAVING = ("left, report first", "left, exit first")

_steps = _given_up = 0


class Inline(futures.ThreadPoolExecutor):
    """Runs the work of threads at once: threads cannot follow the loop's own clock."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        done: futures.Future[Any] = futures.Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as exc:
            done.set_exception(exc)
        return done


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves only when the test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 1_000_000.0
        self.set_default_executor(Inline(1))

    def time(self) -> float:
        return self.at

    def settle(self) -> None:
        """Run until nothing more is due at the current time."""
        while True:
            self.call_soon(self.stop)
            self.run_forever()
            ready = self._ready  # type: ignore[attr-defined]
            due = self._scheduled and self._scheduled[0]._when <= self.at  # type: ignore[attr-defined]
            if not ready and not due:
                return


class MemoryStore(store.Store):
    """The real statements on a database in memory; each write is committed at the next turn."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        schema.migrate(self.connection, path)
        super().__init__(self.connection, path)
        self._writer.close()  # its thread may not use a connection of this thread

    def _begin_copy(self) -> None:
        """Skip the copy: there is no file to copy, and the test must create none."""

    def write(self, work: Callable[[sqlite3.Connection], Any]) -> asyncio.Future[Any]:
        result = work(self.connection)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.get_loop().call_soon(self._committed, future, result)
        return future

    def _committed(self, future: asyncio.Future[Any], result: Any) -> None:
        self._on_commit([result])
        if not future.done():
            future.set_result(result)


class Vm:
    """The state of one VM according to the rules."""

    def __init__(self) -> None:
        self.wanted = False
        self.phase = "absent"
        self.proven = False  # its first `up` succeeded
        self.policy: RestartWhen = "on-failure"
        self.autostart = False
        self.attempts = 0
        self.recent: list[float] = []
        self.due = 0.0
        self.since: float | None = None

    def start(self, now: float, *, works: bool, by_user: bool) -> int:
        """Return how often the supervisor gives the VM up: 0 or 1."""
        self.wanted = True
        if by_user:
            self.attempts, self.recent = 0, []
        if works:
            self.phase, self.proven, self.since = "running", True, now
            return 0
        self.since = None
        return self.end(now, "failed start")

    def end(self, now: float, how: str) -> int:
        ran = 0.0 if self.since is None else now - self.since
        again = self.policy == "always" or (self.policy == "on-failure" and how != "power-off")
        if not again or not self.proven:
            self.phase = "stopped" if how == "power-off" else "failed"
            self.wanted = False
            return 0
        attempts = 0 if ran >= 60 else self.attempts
        recent = [at for at in self.recent if now - at < 300]
        if attempts >= 5 or len(recent) >= 5:
            self.phase, self.wanted = "failed", False
            return 1
        self.attempts, self.recent = attempts + 1, [*recent, now]
        self.phase, self.due = "pause", now + min(2.0 ** (self.attempts - 1), 30)
        return 0

    def stop(self) -> None:
        self.phase, self.wanted = "stopped", False


class Machine(RuleBasedStateMachine):
    """Each rule is an action of a user, a guest, a kernel or a host."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(clock, "now", self.loop.time)
        self.patch.setattr(clock, "monotonic", self.loop.time)
        self.patch.setattr(lookups, "run", asyncio.to_thread)  # to_thread runs inline here
        self.base = Path(tempfile.mkdtemp())
        self.where = paths.Paths(self.base)
        self.where.make()
        self.launcher = fake_driver.FakeLauncher()
        self.model = {name: Vm() for name in NAMES}
        self.given_up = 0
        self.calls: list[asyncio.Task[Any]] = []
        self.boots = 1
        self.files: dict[str, Supervision] = {}
        self.run(self._open(MemoryStore(self.where.database)))

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start the work, then run the loop until nothing is left to do."""
        self.calls.append(self.loop.create_task(work))
        self.loop.settle()

    async def _open(self, database: MemoryStore) -> None:
        self.owner = tasks.TaskOwner("daemon")
        self.database = database
        self.fleet = Fleet(self.where, database, events.Events(database), self.owner)
        starter = start.Starter(Preparer(), self.launcher, f"boot-{self.boots}")
        self.supervisor = supervisor.Supervisor(self.fleet, starter, chance=lambda: 0.5)
        self.context = context.Daemon(
            fleet=self.fleet,
            starter=starter,
            images=None,  # type: ignore[arg-type]
            zygote=NoZygote(),
            supervisor=self.supervisor,
            started_at="",
            request_stop=lambda: None,
            load_config=self._load,
        )
        recovery.load(self.fleet, database.load())
        await recovery.recover(self.fleet, self.supervisor, f"boot-{self.boots}")

    def call(self, method: str, name: str, **more: Any) -> None:
        self.run(service.dispatch(self.context, Call(), method, {"name": name, **more}))

    def alive(self, name: str) -> list[fake_driver.FakeDriver]:
        return [
            driver for driver in self.launcher.launched if driver.vm.name == name and driver.alive()
        ]

    @property
    def works(self) -> bool:
        return not self.launcher.failures

    # users

    @rule(name=names)
    def up(self, name: str) -> None:
        vm = self.model[name]
        self.call("vm.up", name, **{k: v for k, v in up_params().items() if k != "name"})
        file = self.files.get(name, Supervision())
        vm.policy, vm.autostart = file.restart.policy, file.autostart
        if vm.phase != "running":
            self.given_up += vm.start(self.loop.at, works=self.works, by_user=True)

    @rule(name=names)
    def start(self, name: str) -> None:
        vm = self.model[name]
        self.call("vm.start", name)
        if vm.phase not in ("absent", "running"):
            self.given_up += vm.start(self.loop.at, works=self.works, by_user=True)

    @rule(name=names)
    def stop(self, name: str) -> None:
        self.call("vm.stop", name)
        if self.model[name].phase != "absent":
            self.model[name].stop()

    @rule(name=names)
    def restart(self, name: str) -> None:
        vm = self.model[name]
        self.call("vm.restart", name)
        if vm.phase != "absent":
            self.given_up += vm.start(self.loop.at, works=self.works, by_user=True)

    @rule(name=names)
    def destroy(self, name: str) -> None:
        self.call("vm.destroy", name)
        self.model[name] = Vm()

    @rule(name=names, policy=st.sampled_from(("always", "on-failure", "never")), auto=st.booleans())
    def edit(self, name: str, policy: RestartWhen, auto: bool) -> None:
        """Write the project file; the next `up` reads it."""
        self.files[name] = Supervision(restart=Restart(policy=policy), autostart=auto)

    async def _load(self, args: vms.ProjectFile, where: paths.Paths) -> project_file.Wanted:
        wanted = await load_config(args, where)
        supervision = self.files.get(wanted.spec.name, Supervision())
        spec = msgspec.structs.replace(wanted.spec, supervision=supervision)
        return msgspec.structs.replace(wanted, spec=spec)

    # ends and failures

    @rule(name=names, how=st.sampled_from(("driver", "hypervisor", "power-off", *LEAVING)))
    def end(self, name: str, how: str) -> None:
        for driver in self.alive(name):
            for step in ENDS[how]:
                if isinstance(step, int):
                    self.loop.call_soon(driver.die, step)
                else:
                    word, reason = step
                    self.loop.call_soon(functools.partial(driver.report, word, reason=reason))
            self.loop.settle()
            self.given_up += self.model[name].end(self.loop.at, how)

    @rule(name=names, times=st.integers(2, 7), pause=st.sampled_from((0.0, 59.0, 61.0)))
    def end_again_and_again(self, name: str, times: int, pause: float) -> None:
        vm = self.model[name]
        for _ in range(times):
            self.wait(pause)
            self.end(name, "driver")
            if vm.phase == "pause":
                self.wait(vm.due - self.loop.at)

    @rule(name=names)
    def lose_every_attempt(self, name: str) -> None:
        """End a VM until it is given up; by chance alone, one run in ten would never do so."""
        self.break_or_mend_the_host(works=True)
        self.edit(name, policy="always", auto=False)
        self.up(name)
        self.end_again_and_again(name, times=6, pause=0.0)

    @rule(works=st.booleans())
    def break_or_mend_the_host(self, works: bool) -> None:
        self.launcher.failures.clear()
        if not works:
            self.launcher.failures["vm.start"] = errors.HypervisorFailed("no")

    @rule(reboot=st.booleans())
    def kill_the_daemon(self, reboot: bool, waits_for: str = "") -> None:
        self._forget()
        for name in NAMES:
            for driver in self.alive(name):
                driver.die(0)  # end of file: the driver ends by itself
        self.boots += reboot
        self.run(self._open(self._survivor()))
        for name, vm in self.model.items():
            if not vm.wanted or name == waits_for:
                # a VM that was given up stays failed across a restart of the daemon
                continue
            if reboot and not vm.autostart:
                vm.stop()
            else:
                self.given_up += vm.start(self.loop.at, works=self.works, by_user=False)

    @rule(name=names, wish=st.sampled_from(("stop", "destroy", "start", "restart")))
    def ask_while_an_old_driver_leaves(self, name: str, wish: str) -> None:
        """Kill the daemon; send the request while the next daemon waits for an old driver."""
        if self.model[name].phase != "running":
            return
        lock = files.Lock(self.where.vm_dir(name) / "lock")
        assert lock.acquire()
        lock.path.write_text(
            ""
        )  # the holder is unknown, so the daemon checks the lock at intervals
        self.kill_the_daemon(reboot=False, waits_for=name)
        self.run(service.dispatch(self.context, Call(), f"vm.{wish}", {"name": name}))
        lock.release()
        self.loop.at += 1.0
        self.loop.settle()
        vm = self.model[name]
        if wish == "stop":
            vm.stop()
        elif wish == "destroy":
            self.model[name] = Vm()
        else:
            self.given_up += vm.start(self.loop.at, works=self.works, by_user=True)
        self.wait(0.0)

    @rule(name=names)
    def stop_while_it_restarts(self, name: str) -> None:
        """Stop a VM during its restart: the later request wins."""
        if self.model[name].phase != "running":
            return
        for method in ("vm.restart", "vm.stop"):
            work = service.dispatch(self.context, Call(), method, {"name": name})
            self.calls.append(self.loop.create_task(work))
        self.loop.settle()
        self.model[name].stop()

    def _forget(self) -> None:
        """End all tasks of the daemon and drop its memory, as a kill does."""
        for actual in self.fleet.machines.values():
            actual.cancel_restart()
        self.run(self.owner.aclose())
        for task in self.calls:
            task.cancel()
        self.loop.settle()

    def _survivor(self) -> MemoryStore:
        fresh = MemoryStore(self.where.database)
        self.database.connection.backup(fresh.connection)
        return fresh

    # time

    @rule(seconds=st.one_of(st.floats(0.1, 40), st.sampled_from((61.0, 301.0))))
    def wait(self, seconds: float) -> None:
        until = self.loop.at + seconds
        while True:
            waiting = [vm for vm in self.model.values() if vm.phase == "pause" and vm.due <= until]
            if not waiting:
                break
            self.loop.at = min(vm.due for vm in waiting)
            self.loop.settle()
            for vm in waiting:
                if vm.due <= self.loop.at:
                    self.given_up += vm.start(self.loop.at, works=self.works, by_user=False)
        self.loop.at = until
        self.loop.settle()

    # invariants

    @invariant()
    def agrees(self) -> None:
        global _steps
        _steps += 1
        stored = {record.name: record for record in self.database.load()}
        for name, vm in self.model.items():
            actual, alive = self.fleet.machines.get(name), self.alive(name)
            assert len(alive) == (vm.phase == "running"), (name, vm.phase)
            if vm.phase == "absent":
                assert actual is None
                assert name not in stored
                continue
            assert actual is not None
            assert stored[name] == actual.record, "memory and database differ"
            state = actual.state
            assert (state.desired is states.Desired.RUNNING) == vm.wanted, name
            observed = {"pause": "backoff"}.get(vm.phase, vm.phase)
            assert str(state.observed) == observed, (name, actual.record.last_error)
            assert actual.record.restarts.attempts == vm.attempts <= 5
            if vm.phase == "pause":
                assert actual.restart is not None
                assert actual.restart.when() == pytest.approx(vm.due)
            else:
                assert actual.restart is None

    @invariant()
    def is_without_drift(self) -> None:
        assert self.supervisor.reconcile() == 0
        assert self.supervisor.mended == 0

    @invariant()
    def tells_all_in_order(self) -> None:
        found = self.database.connection.execute("SELECT seq, type FROM events ORDER BY seq")
        rows = found.fetchall()
        assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
        assert [kind for _, kind in rows].count("driver.permanent_failure") == self.given_up

    def teardown(self) -> None:
        global _given_up
        _given_up += self.given_up
        try:
            self._forget()
            for task in self.calls:
                if not task.cancelled():
                    assert isinstance(task.exception(), errors.GaoError | None), task
        finally:
            self.loop.close()
            self.patch.undo()
            shutil.rmtree(self.base)


RUNS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


@pytest.mark.timeout(300)
def test_the_supervisor_does_what_the_rules_say() -> None:
    # how many steps an example has, and what comes in them, is left to chance
    while _given_up == 0 or _steps < EXAMPLES * 58:
        run_state_machine_as_test(Machine, settings=RUNS)
    print(f"{_steps} steps, {_given_up} VMs given up")
