"""A new daemon restores the state that the last daemon stored."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.unit.daemon.conftest import Daemon

from gaovm import errors
from gaovm.aio import files
from gaovm.daemon.drivers import occupancy
from gaovm.daemon.lifecycle import recovery, supervisor
from gaovm.daemon.vms.fleet import Fleet
from gaovm.model import states
from gaovm.spec.supervision import Supervision


async def restart(daemon: Daemon, boot_id: str = "boot-1") -> None:
    """Drop all memory, as kill -9 does, and start again from the database."""
    await daemon.fleet.store.flush()
    await daemon.fleet.owner.aclose()
    daemon.launcher.launched.clear()
    daemon.fleet = Fleet(daemon.fleet.paths, daemon.database, daemon.fleet.events, daemon.second)
    daemon.ctx.fleet = daemon.fleet
    daemon.supervisor = supervisor.Supervisor(daemon.fleet, daemon.ctx.starter, chance=lambda: 0.5)
    recovery.load(daemon.fleet, daemon.database.load())
    recovery.sweep(daemon.fleet)
    await recovery.recover(daemon.fleet, daemon.supervisor, boot_id)
    for vm in daemon.fleet.machines.values():
        if vm.up is not None:
            await vm.up.ended()


async def test_vms_that_should_run_start_again(daemon: Daemon) -> None:
    await daemon.up()
    await restart(daemon)
    vm = await daemon.status()
    assert (vm["state"], vm["desired"]) == ("running", "running")
    assert len(daemon.launcher.launched) == 1


async def test_stopped_vms_stay_stopped(daemon: Daemon) -> None:
    await daemon.up()
    await daemon.call("vm.stop", name="web-dev")
    await restart(daemon)
    assert (await daemon.status())["state"] == "stopped"
    assert daemon.launcher.launched == []


async def test_a_failed_start_is_retried(daemon: Daemon) -> None:
    await daemon.up()
    daemon.launcher.failures["vm.start"] = errors.HypervisorFailed("no")
    await restart(daemon)
    vm = await daemon.status()
    assert (vm["state"], vm["desired"], vm["restarts"]["attempts"]) == ("restarting", "running", 1)
    assert vm["detail"].endswith("no")
    assert vm["restarts"]["due_at"] > vm["last_error"]["at"]
    daemon.launcher.failures.clear()
    await daemon.call("vm.start", name="web-dev")
    vm = await daemon.status()
    assert (vm["state"], vm["restarts"]["attempts"]) == ("running", 0), (
        "a user's start resets the count"
    )


async def test_a_reboot_of_the_host_starts_nothing(daemon: Daemon) -> None:
    await daemon.up()
    await restart(daemon, "boot-2")
    vm = await daemon.status()
    assert (vm["state"], vm["desired"]) == ("stopped", "stopped")
    assert vm["last_error"]["message"] == "stopped by a reboot of the host"
    assert vm["detail"] == "stopped by a reboot of the host"


async def test_autostart_survives_a_reboot(daemon: Daemon) -> None:
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    wanted = Supervision(autostart=True)
    spec = msgspec.structs.replace(vm.record.spec, supervision=wanted)
    await vm.update(spec=spec)
    await restart(daemon, "boot-2")
    assert (await daemon.status())["state"] == "running"


async def test_an_interrupted_first_up_continues(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    daemon.launcher.boot_until = "ready"
    await restart(daemon)
    up.cancel()
    await asyncio.wait([up])
    vm = await daemon.status()
    assert (vm["state"], vm["first_up"]) == ("running", "done")
    assert len(daemon.launcher.launched) == 1


async def test_a_first_up_that_fails_again_is_not_repeated(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    daemon.launcher.failures["vm.start"] = errors.HypervisorFailed("no")
    await restart(daemon)
    up.cancel()
    await asyncio.wait([up])
    vm = await daemon.status()
    assert (vm["state"], vm["desired"], vm["detail"]) == ("first-up-failed", "stopped", "no")


async def test_an_interrupted_removal_is_finished(daemon: Daemon) -> None:
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    await vm.update(deleting=True)
    await restart(daemon)
    assert daemon.stored() == {}
    assert not daemon.fleet.paths.vm_dir("web-dev").exists()
    assert list(daemon.fleet.paths.run.iterdir()) == []


async def test_recovery_waits_for_an_old_driver(daemon: Daemon) -> None:
    await daemon.up()
    lock = files.Lock(daemon.fleet.paths.vm_dir("web-dev") / "lock")
    assert lock.acquire()
    # A lock without the holder's pid, as after a truncated write.
    lock.path.write_text("")
    restarting = asyncio.ensure_future(restart(daemon))
    while (vm := await daemon.status())["state"] != "stopping":
        await asyncio.sleep(0.01)
    assert vm["detail"] == "waiting for the old driver to leave"
    assert vm["desired"] == "running"
    assert daemon.launcher.launched == []
    lock.release()
    await restarting
    assert (await daemon.status())["state"] == "running"


async def test_an_old_driver_that_stays_is_an_error(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occupancy, "OLD_DRIVER_S", 0.05)
    await daemon.up()
    await daemon.call("vm.stop", name="web-dev")
    lock = files.Lock(daemon.fleet.paths.vm_dir("web-dev") / "lock")
    assert lock.acquire()
    await restart(daemon)
    vm = await daemon.status()
    assert (vm["state"], vm["last_error"]["code"]) == ("stopped", "lock_held")
    lock.release()


async def test_recovery_removes_stale_run_directories_and_keeps_disks(daemon: Daemon) -> None:
    where = daemon.fleet.paths
    stale, foreign, disk = where.run / "0123abcd", where.run / "notes", where.vms / "unknown"
    for path in (stale, foreign, disk):
        path.mkdir()
    await restart(daemon)
    assert (stale.exists(), foreign.exists(), disk.exists()) == (False, True, True)


async def test_power_off_in_the_guest_sets_desired_to_stopped_at_once(daemon: Daemon) -> None:
    await daemon.up()
    daemon.driver.report("stopped", reason="guest")
    vm = await daemon.status()
    assert (vm["state"], vm["desired"]) == ("stopped", "stopped")
    await daemon.fleet.machines["web-dev"].until(
        lambda: daemon.fleet.machines["web-dev"].driver is None
    )
    await daemon.fleet.store.flush()
    assert daemon.stored()["web-dev"].state.desired is states.Desired.STOPPED


async def test_a_client_that_joins_a_recovery_and_leaves_does_not_undo_it(daemon: Daemon) -> None:
    await daemon.up()
    daemon.launcher.boot_until = "booting"
    restarting = asyncio.ensure_future(restart(daemon))
    while not daemon.launcher.launched or daemon.launcher.launched[-1].calls == []:
        await asyncio.sleep(0.01)
    joined = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    joined.cancel()
    await asyncio.wait([joined])
    daemon.driver.boot("ready")
    await restarting
    assert (await daemon.status())["state"] == "running"
