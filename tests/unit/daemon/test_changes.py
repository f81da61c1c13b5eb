"""Config changes apply at once if they can, are staged if not, and survive every crash whole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.daemon.conftest import Daemon

from gaovm import errors
from gaovm.daemon.config import changes, copies, live
from gaovm.daemon.lifecycle import recovery
from gaovm.daemon.storage import records
from gaovm.daemon.vms.fleet import Fleet
from gaovm.spec import diff

GIB = 1 << 30
NAME = "web-dev"


async def change(daemon: Daemon, **wanted: Any) -> Any:
    words = {word.replace("__", "."): value for word, value in wanted.items()}
    return await daemon.call("vm.config.set", name=NAME, changes=words)


def record(daemon: Daemon) -> records.VmRecord:
    return daemon.stored()[NAME]


def file(daemon: Daemon, name: str) -> Path:
    return daemon.fleet.paths.vm_dir(NAME) / name


def fields(found: list[dict[str, Any]]) -> list[str]:
    return [difference["field"] for difference in found]


async def told(daemon: Daemon) -> list[str]:
    """Return the kinds of all config events so far."""
    await daemon.fleet.store.flush()
    found = await daemon.fleet.events.read(0, 1000)
    return [event.type for event in found if "config" in event.type]


async def settled(daemon: Daemon) -> None:
    """Wait until the background work of an operation has ended."""
    async with daemon.fleet.machines[NAME].config:
        pass


# changes of a stopped VM apply at once


async def test_changes_of_a_stopped_vm_all_apply_at_once(daemon: Daemon) -> None:
    await daemon.up()
    await daemon.call("vm.stop", name=NAME)
    result = await change(daemon, cpus="4", memory="8GiB", restart__policy="always")
    assert fields(result["applied"]) == ["cpus", "memory", "restart.policy"]
    assert (result["staged"], result["restart_required"]) == ([], False)
    assert (result["vm"]["cpus"], result["vm"]["memory_bytes"]) == (4, 8 * GIB)
    kept = record(daemon)
    assert kept.spec.processors.count == 4
    assert kept.base is not None and kept.base.processors.count == 2
    assert kept.overrides == {"cpus": "4", "memory": "8GiB", "restart.policy": "always"}
    assert kept.pending is None
    assert file(daemon, copies.CONFIG).read_bytes() == copies.encode(kept.spec)
    assert not file(daemon, copies.PENDING).exists()
    assert await told(daemon) == ["vm.config.updated"]


async def test_changing_a_stopped_vm_clears_its_pending_changes(daemon: Daemon) -> None:
    await daemon.up()
    await change(daemon, cpus="4")
    await daemon.call("vm.stop", name=NAME)
    assert record(daemon).pending is not None
    result = await change(daemon, memory="8GiB")
    assert fields(result["applied"]) == ["cpus", "memory"]
    assert record(daemon).pending is None
    assert not file(daemon, copies.PENDING).exists()


# changes of a running VM


async def test_changes_of_a_running_vm_wait_for_a_restart(daemon: Daemon) -> None:
    await daemon.up()
    result = await change(daemon, cpus="4")
    assert (fields(result["staged"]), result["applied"]) == (["cpus"], [])
    assert result["restart_required"] is True and result["pending_replaced"] is False
    assert result["vm"]["cpus"] == 2
    assert result["vm"]["pending"] == [
        {"field": "cpus", "from": 2, "to": 4, "restart": True, "live": False}
    ]
    kept = record(daemon)
    assert (kept.spec.processors.count, kept.pending and kept.pending.processors.count) == (2, 4)
    assert kept.pending is not None
    assert file(daemon, copies.PENDING).read_bytes() == copies.encode(kept.pending)
    assert file(daemon, copies.CONFIG).read_bytes() == copies.encode(kept.spec)
    assert await told(daemon) == ["vm.config.staged"]


async def test_the_last_write_wins_and_says_that_it_replaced(daemon: Daemon) -> None:
    await daemon.up()
    await change(daemon, cpus="4")
    result = await change(daemon, cpus="8", memory="4GiB")
    assert result["pending_replaced"] is True
    assert record(daemon).overrides == {"cpus": "8", "memory": "4GiB"}
    await change(daemon, cpus="8")
    assert await told(daemon) == [
        "vm.config.staged",
        "vm.config.staged",
    ]


async def test_the_next_start_applies_pending_changes(daemon: Daemon) -> None:
    await daemon.up()
    await change(daemon, cpus="4")
    await daemon.call("vm.stop", name=NAME)
    assert daemon.stored()[NAME].spec.processors.count == 2
    await daemon.call("vm.start", name=NAME)
    assert daemon.driver.calls[0][1]["spec"]["processors"]["count"] == 4
    kept = record(daemon)
    assert (kept.spec.processors.count, kept.pending) == (4, None)
    assert file(daemon, copies.CONFIG).read_bytes() == copies.encode(kept.spec)
    assert not file(daemon, copies.PENDING).exists()
    assert await told(daemon) == ["vm.config.staged", "vm.config.applied"]


async def test_an_up_with_the_same_file_applies_pending_changes(daemon: Daemon) -> None:
    await daemon.up()
    await change(daemon, cpus="4")
    await daemon.call("vm.stop", name=NAME)
    assert (await daemon.up())["vm"]["cpus"] == 4
    assert (await told(daemon))[-1] == "vm.config.applied"


async def test_settings_of_the_daemon_change_while_the_vm_runs(daemon: Daemon) -> None:
    await daemon.up()
    calls = len(daemon.driver.calls)
    result = await change(daemon, restart__maxAttempts=7, autostart=True, stop__grace="5s")
    assert fields(result["applied"]) == ["restart.maxAttempts", "stop.grace", "autostart"]
    assert record(daemon).spec.supervision.restart.max_attempts == 7
    assert record(daemon).pending is None
    assert len(daemon.driver.calls) == calls
    assert await told(daemon) == ["vm.config.updated"]


async def test_disk_and_environment_change_in_the_running_vm(daemon: Daemon) -> None:
    await daemon.up()
    result = await change(daemon, disk="40GiB", env__A="1", cpus="4", watchdog__onHang="restart")
    assert fields(result["applied"]) == ["disk", "env.A", "watchdog.onHang"]
    assert ("watchdog.reaction", {"on_hang": "restart"}) in daemon.driver.calls
    assert record(daemon).spec.supervision.watchdog.on_hang == "restart"
    assert fields(result["staged"]) == ["cpus"]
    assert ("disk.grow", {"size_bytes": 40 * GIB}) in daemon.driver.calls
    assert ("guest.environment", {"env": {"A": "1"}}) in daemon.driver.calls
    kept = record(daemon)
    assert (kept.spec.disk.size_bytes, kept.spec.guest.env) == (40 * GIB, {"A": "1"})
    assert kept.spec.processors.count == 2
    assert kept.pending is not None and kept.pending.processors.count == 4
    await change(daemon, cpus="")
    assert record(daemon).pending is None
    assert record(daemon).spec.disk.size_bytes == 40 * GIB
    assert (await told(daemon))[-1] == "vm.config.discarded"


async def test_a_live_change_alone_leaves_nothing_waiting(daemon: Daemon) -> None:
    await daemon.up()
    await change(daemon, disk="40GiB")
    assert record(daemon).pending is None
    assert not file(daemon, copies.PENDING).exists()
    assert await told(daemon) == ["vm.config.updated"]


async def test_a_live_change_that_fails_applies_at_the_next_start(daemon: Daemon) -> None:
    await daemon.up()
    daemon.launcher.failures["disk.grow"] = errors.DiskFull("no space")
    result = await change(daemon, disk="40GiB")
    assert fields(result["staged"]) == ["disk"]
    assert result["warnings"] == ["disk: not changed in the running VM: no space"]
    assert record(daemon).spec.disk.size_bytes == 20 * GIB
    assert await told(daemon) == ["vm.config.staged"]
    await daemon.call("vm.stop", name=NAME)
    vm = (await daemon.call("vm.start", name=NAME))["vm"]
    assert vm["disk_bytes"] == 40 * GIB


async def test_a_live_change_waits_until_the_guest_answers(daemon: Daemon) -> None:
    await daemon.up()
    await daemon.call("vm.stop", name=NAME)
    daemon.launcher.boot_until = "booting"
    operation = daemon.ctx.starter.begin(daemon.fleet.machines[NAME], created=False)
    await operation.wait(lambda _: None, until="started")
    result = await change(daemon, disk="40GiB")
    assert fields(result["staged"]) == ["disk"]
    assert "as soon as the guest answers" in result["warnings"][0]
    assert "disk.grow" not in [method for method, _ in daemon.driver.calls]
    daemon.driver.boot("ready")
    await operation.wait(lambda _: None)
    vm = daemon.fleet.machines[NAME]
    await vm.until(lambda: vm.record.pending is None)
    assert ("disk.grow", {"size_bytes": 40 * GIB}) in daemon.driver.calls
    assert vm.record.spec.disk.size_bytes == 40 * GIB


async def test_a_live_change_waits_for_the_next_start_if_the_guest_stops(
    daemon: Daemon,
) -> None:
    await daemon.up()
    await daemon.call("vm.stop", name=NAME)
    daemon.launcher.boot_until = "booting"
    operation = daemon.ctx.starter.begin(daemon.fleet.machines[NAME], created=False)
    await operation.wait(lambda _: None, until="started")
    await change(daemon, disk="40GiB")
    await daemon.call("vm.stop", name=NAME)
    kept = record(daemon)
    assert kept.pending is not None and kept.spec.disk.size_bytes == 20 * GIB
    daemon.launcher.boot_until = "ready"
    assert (await daemon.call("vm.start", name=NAME))["vm"]["disk_bytes"] == 40 * GIB
    assert "disk.grow" not in [method for method, _ in daemon.driver.calls]


def test_every_field_that_the_driver_changes_has_a_driver_method() -> None:
    wanted = {field.path for field in diff.FIELDS if field.when is diff.When.DRIVER}
    assert set(live.CHANGES) == wanted


# mistakes and discarding


async def test_a_mistake_changes_nothing(daemon: Daemon) -> None:
    await daemon.up()
    before = record(daemon)
    with pytest.raises(errors.ConfigError, match="did you mean `cpus`"):
        await change(daemon, cpu="4", memory="8GiB")
    with pytest.raises(errors.DiskShrink):
        await change(daemon, disk="10GiB")
    with pytest.raises(errors.InvalidParams, match="nothing to change"):
        await change(daemon)
    assert record(daemon) == before
    assert await told(daemon) == []


async def test_discard_drops_the_layer(daemon: Daemon) -> None:
    await daemon.up()
    await change(daemon, cpus="4")
    result = await daemon.call("vm.config.set", name=NAME, discard=True)
    assert (result["overrides"], result["staged"], result["vm"]["pending"]) == ({}, [], [])
    assert not file(daemon, copies.PENDING).exists()
    assert await told(daemon) == ["vm.config.staged", "vm.config.discarded"]


async def test_discard_reverts_applied_changes_except_the_disk(daemon: Daemon) -> None:
    await daemon.up()
    await daemon.call("vm.stop", name=NAME)
    await change(daemon, cpus="4", disk="40GiB")
    result = await daemon.call("vm.config.set", name=NAME, discard=True)
    assert result["vm"]["cpus"] == 2
    assert (result["vm"]["disk_bytes"], result["overrides"]) == (40 * GIB, {"disk": "40GiB"})
    assert "only grows" in result["warnings"][0]


# the project file under the layer


async def test_a_changed_file_is_applied_and_the_layer_wins(daemon: Daemon) -> None:
    await daemon.up()
    result = await daemon.up(config_text="30")
    assert result["already"] is True
    assert "applied at once: disk" in result["warnings"][0]
    assert result["vm"]["disk_bytes"] == 30 * GIB
    await change(daemon, disk="50GiB")
    result = await daemon.up(config_text="40")
    assert (result["warnings"], result["vm"]["disk_bytes"]) == ([], 50 * GIB)
    kept = record(daemon)
    assert kept.base is not None and kept.base.disk.size_bytes == 40 * GIB
    await daemon.call("vm.stop", name=NAME)
    assert (await daemon.up(config_text="60"))["vm"]["disk_bytes"] == 50 * GIB


async def test_a_changed_file_that_cannot_apply_now_is_staged(daemon: Daemon) -> None:
    await daemon.up()
    daemon.launcher.failures["disk.grow"] = errors.UnknownMethod("an old driver")
    result = await daemon.up(config_text="30")
    assert "applies at the next start: disk" in result["warnings"][1]
    await daemon.call("vm.stop", name=NAME)
    assert (await daemon.up(config_text="30"))["vm"]["disk_bytes"] == 30 * GIB
    assert record(daemon).pending is None


async def test_diff_and_plan_change_nothing(daemon: Daemon) -> None:
    await daemon.up()
    await change(daemon, cpus="4")
    before = record(daemon)
    project = {
        "project_dir": "/src/web",
        "config_path": "/src/web/.lima/config.yaml",
        "config_text": "30",
        "user": {"name": "u", "uid": 1000, "gid": 1000},
    }
    shown = await daemon.call("vm.config.diff", name=NAME, project=project)
    assert (fields(shown["pending"]), fields(shown["file"])) == (["cpus"], ["disk"])
    assert shown["overrides"] == {"cpus": "4"}
    assert (await daemon.call("vm.config.diff", name=NAME))["file"] is None
    plan = await daemon.call(
        "vm.config.plan", name=NAME, changes={"memory": "8GiB", "disk": "25GiB"}
    )
    assert (fields(plan["now"]), fields(plan["next_start"])) == (["disk"], ["cpus", "memory"])
    assert plan["restart_required"] is True
    plan = await daemon.call("vm.config.plan", name=NAME, project=project)
    assert (fields(plan["now"]), fields(plan["next_start"])) == (["disk"], ["cpus"])
    plan = await daemon.call("vm.config.plan", name="other", project=project)
    assert plan["exists"] is False
    with pytest.raises(errors.VmNotFound):
        await daemon.call("vm.config.plan", name="other", changes={})
    assert record(daemon) == before
    assert len(await told(daemon)) == 1


# files


async def test_a_first_up_writes_the_file(daemon: Daemon) -> None:
    await daemon.up()
    await settled(daemon)
    assert file(daemon, copies.CONFIG).read_bytes() == copies.encode(record(daemon).spec)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"format": 1, "spec": {}}'])
async def test_a_damaged_file_is_put_aside_and_rewritten(daemon: Daemon, content: bytes) -> None:
    await daemon.up()
    await settled(daemon)
    path = file(daemon, copies.CONFIG)
    path.write_bytes(content)
    await changes.check_all(daemon.fleet)
    assert path.read_bytes() == copies.encode(record(daemon).spec)
    (kept,) = path.parent.glob("config.json.corrupt-*")
    assert kept.read_bytes() == content
    assert await told(daemon) == ["vm.config.quarantined"]


async def test_an_edited_file_is_damaged(daemon: Daemon) -> None:
    await daemon.up()
    await settled(daemon)
    path = file(daemon, copies.CONFIG)
    path.write_bytes(path.read_bytes().replace(b'"count": 2', b'"count": 8'))
    await daemon.call("vm.stop", name=NAME)
    await daemon.call("vm.start", name=NAME)
    await settled(daemon)
    assert list(path.parent.glob("config.json.corrupt-*"))
    assert daemon.driver.calls[0][1]["spec"]["processors"]["count"] == 2


async def test_intact_but_outdated_files_are_updated_silently(daemon: Daemon) -> None:
    await daemon.up()
    await change(daemon, cpus="4")
    pending = file(daemon, copies.PENDING).read_bytes()
    await change(daemon, cpus="")
    file(daemon, copies.PENDING).write_bytes(pending)
    file(daemon, copies.CONFIG).write_bytes(pending)
    await changes.check_all(daemon.fleet)
    assert not file(daemon, copies.PENDING).exists()
    assert file(daemon, copies.CONFIG).read_bytes() == copies.encode(record(daemon).spec)
    assert "vm.config.quarantined" not in await told(daemon)


async def test_files_of_a_destroyed_vm_are_not_rewritten(daemon: Daemon) -> None:
    await daemon.up()
    vm = daemon.fleet.machines[NAME]
    await daemon.call("vm.destroy", name=NAME)
    await changes.check(vm)
    assert not daemon.fleet.paths.vm_dir(NAME).exists()


# crashes


async def test_a_change_survives_a_crash_before_it_is_applied(daemon: Daemon) -> None:
    """The daemon ends after the transaction and before it calls the driver."""
    await daemon.up()
    gate = _Hang()
    daemon.driver.relay = gate.relay  # type: ignore[method-assign]
    begun = daemon.second.start(change(daemon, disk="40GiB"), name="set", finishable=True)
    await gate.reached.wait()
    kept = record(daemon)
    assert kept.spec.disk.size_bytes == 20 * GIB
    assert kept.pending is not None and kept.pending.disk.size_bytes == 40 * GIB
    begun.cancel()
    # the next daemon
    fleet = Fleet(daemon.fleet.paths, daemon.database, daemon.fleet.events, daemon.second)
    recovery.load(fleet, [msgspec.structs.replace(kept)])
    vm = fleet.machines[NAME]
    await changes.apply_pending(vm)
    assert vm.record.spec.disk.size_bytes == 40 * GIB
    assert vm.record.pending is None
    gate.go.set()


class _Hang:
    """A driver's ``relay`` that does not return."""

    def __init__(self) -> None:
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    async def relay(self, method: str, params: Any, *, timeout_s: float = 5) -> Any:
        self.reached.set()
        await self.go.wait()
        return {}
