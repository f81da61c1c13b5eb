"""Starts are strategies: the starter works with strategies other than a cold boot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.unit.daemon.conftest import Call, Daemon

from gaovm.daemon.lifecycle import start, waiting
from gaovm.daemon.lifecycle.strategies import cold_boot, protocol
from gaovm.daemon.vms import driver_protocol, machine
from gaovm.images import progress
from gaovm.model import phases
from gaovm.wire.driver import table
from gaovm.wire.driver.params import NOTHING


class FromMemory:
    """Starts a VM whose guest continues: it needs no image and applies no pending config."""

    phases = ("driver",)

    def __init__(self, vm: machine.Machine) -> None:
        self.vm = vm
        self.done: list[str] = []

    async def take_config(self) -> None:
        self.done.append("take_config")

    async def prepare(self) -> None:
        self.done.append("prepare")

    async def configure(self, driver: driver_protocol.Driver) -> None:
        self.done.append("configure")

    async def begin(self, driver: driver_protocol.Driver) -> None:
        self.done.append("begin")
        await driver.call(table.VM_START, NOTHING)

    async def until_answered(self) -> None:
        self.done.append("until_answered")
        await waiting.until_answered(self.vm, 60.0)

    async def undo(self, *, created: bool) -> None:
        self.done.append(f"undo created={created}")


@pytest.fixture
def use(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Callable[[protocol.Strategy], None]:
    def choose_from_now_on(strategy: protocol.Strategy) -> None:
        monkeypatch.setattr(start.Starter, "choose", lambda *_: strategy)

    return choose_from_now_on


async def test_a_strategy_other_than_cold_boot_starts_a_vm(
    daemon: Daemon, use: Callable[[protocol.Strategy], None]
) -> None:
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    await daemon.call("vm.stop", name=vm.name)
    await daemon.call("vm.config.set", name=vm.name, changes={"cpus": 2})
    waits = vm.record.pending
    strategy = FromMemory(vm)
    use(strategy)
    await daemon.call("vm.start", name=vm.name)
    assert strategy.done == ["take_config", "prepare", "configure", "begin", "until_answered"]
    assert vm.record.pending == waits
    assert [method for method, _ in daemon.driver.calls][:1] == ["vm.start"]


async def test_the_strategy_undoes_a_withdrawn_start(
    daemon: Daemon, use: Callable[[protocol.Strategy], None]
) -> None:
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    await daemon.call("vm.stop", name=vm.name)
    daemon.launcher.boot_until = "booting"
    strategy = FromMemory(vm)
    use(strategy)
    starting = asyncio.ensure_future(daemon.call("vm.start", name=vm.name))
    await daemon.rest()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert strategy.done[-1] == "undo created=False"
    daemon.driver.report("stopped", reason="test")
    await daemon.rest()


async def test_a_cold_boot_reports_its_phases_in_order(daemon: Daemon) -> None:
    call = Call()
    await daemon.up(call)
    told = [line["phase"] for line in call.seen]
    before = told[: told.index(phases.AGENT)] if phases.AGENT in told else told
    assert tuple(dict.fromkeys(before)) == cold_boot.ColdBoot.phases


def test_every_phase_before_the_agents_answer_counts_as_booting() -> None:
    assert set(cold_boot.ColdBoot.phases) <= set(phases.BEFORE_AGENT)
    assert set(progress._STARTS) | {"start"} <= set(phases.BEFORE_AGENT)
    assert phases.AGENT not in phases.BEFORE_AGENT
