"""Old clients get results in the shapes of ``gaovm.v1.2``."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.unit.daemon.conftest import Call, Daemon

from gaovm import errors
from gaovm.daemon.legacy import events as legacy_events
from gaovm.daemon.legacy import service
from gaovm.ipc import methods

STATUS = [
    "actual",
    "desired",
    "driverPid",
    "driverSocketPath",
    "lastFailure",
    "maxRestartAttempts",
    "restartAttempts",
]


async def old(daemon: Daemon, called: str, /, call: Call | None = None, **data: Any) -> Any:
    result = await service.dispatch(daemon.ctx, call or Call(), called, data)
    return msgspec.json.decode(msgspec.json.encode(result))


def test_all_methods_are_listed_in_the_old_order() -> None:
    assert service.CAPABILITIES == methods.LEGACY_METHODS
    assert {"hello", *service.METHODS} == set(service.CAPABILITIES)


async def test_the_lifecycle_of_the_default_vm(daemon: Daemon) -> None:
    await daemon.up(name="default")
    await daemon.call("vm.stop", name="default")
    stopped = await old(daemon, "vm.status")
    assert sorted(stopped) == STATUS
    assert (stopped["desired"], stopped["actual"], stopped["driverPid"]) == (
        "stopped",
        "stopped",
        None,
    )
    running = await old(daemon, "vm.start", id="default")
    assert sorted(running) == sorted([*STATUS, "driverVm"])
    assert (running["actual"], running["maxRestartAttempts"]) == ("running", 5)
    assert running["driverVm"]["state"] == "running"
    assert await old(daemon, "list_vms") == [
        {
            "id": "default",
            "desired": "running",
            "actual": "running",
            "driverPid": running["driverPid"],
        }
    ]
    assert (await old(daemon, "vm.stop"))["actual"] == "stopped"
    assert (await old(daemon, "vm.stop"))["actual"] == "stopped"


async def test_start_returns_when_the_vm_runs_not_when_it_is_ready(daemon: Daemon) -> None:
    await daemon.up(name="default")
    await daemon.call("vm.stop", name="default")
    daemon.launcher.boot_until = "booting"
    status = await asyncio.wait_for(old(daemon, "vm.start"), 60)
    assert status["driverVm"]["state"] == "running"


async def test_config_is_translated(daemon: Daemon) -> None:
    await daemon.up(name="default")
    result = await old(daemon, "vm.config.get")
    assert (result["pending"], result["hasPending"]) == (None, False)
    assert result["current"] == {
        "cpu": 2,
        "memory": 2147483648,
        "boot": {"loader": "linux", "kernelPath": None, "initrdPath": None, "commandLine": None},
        "disk": {
            "path": str(daemon.fleet.paths.vm_dir("default") / "disk.qcow2"),
            "sizeMiB": 20480,
        },
        "network": {"mode": "shared"},
        "graphics": {"enabled": False, "width": 1280, "height": 800},
    }


async def test_methods_answer_even_without_the_vm(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await old(daemon, "list_vms") == []
    for method in ("vm.start", "vm.stop", "vm.status", "vm.config.get"):
        with pytest.raises(errors.InvalidParams) as caught:
            await old(daemon, method)
        assert caught.value.rpc_code == -32602
    await daemon.up()
    monkeypatch.setenv("GAOVM_DEFAULT_VM", "web-dev")
    assert (await old(daemon, "vm.status"))["actual"] == "running"
    with pytest.raises(errors.InvalidParams, match="Unknown VM: other"):
        await old(daemon, "vm.status", id="other")


async def test_a_missing_display_is_an_internal_error(daemon: Daemon) -> None:
    await daemon.up(name="default")
    with pytest.raises(errors.StateConflict, match="headless"):
        await old(daemon, "vm.open_display")
    assert (await old(daemon, "vm.close_display"))["open"] is False


async def test_driver_exec_is_off_by_default(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    await daemon.up(name="default")
    with pytest.raises(errors.UnknownMethod, match=r"driver\.exec is disabled"):
        await old(daemon, "driver.exec", method="ping")
    monkeypatch.setenv("GAOVM_ENABLE_DRIVER_EXEC", "1")
    done = await old(daemon, "driver.exec", method="ping", params={})
    assert done == {"method": "ping", "driverResult": {"ok": True, "ts": 0.0}}
    with pytest.raises(errors.InvalidParams):
        await old(daemon, "driver.exec")
    await daemon.call("vm.stop", name="default")
    with pytest.raises(errors.StateConflict, match="not running"):
        await old(daemon, "driver.exec", method="ping")


async def test_unknown_methods_have_the_old_text(daemon: Daemon) -> None:
    with pytest.raises(errors.UnknownMethod, match=r"^Unknown method: nope$") as caught:
        await old(daemon, "nope")
    assert caught.value.rpc_code == -32601


async def test_doctor_and_ping(daemon: Daemon) -> None:
    assert (await old(daemon, "ping"))["ok"] is True
    doctor = await old(daemon, "doctor")
    assert sorted(doctor["checks"]) == [
        "driverBinaryExists",
        "driverBinaryPath",
        "driverSocketExists",
        "driverSocketPath",
        "stateDir",
        "stateDirExists",
    ]
    assert doctor["ok"] is True


async def test_events_of_the_default_vm_only(daemon: Daemon) -> None:
    call = Call()
    assert await old(daemon, "subscribe_events", call) == {"ok": True}
    assert call.subscribed
    await daemon.up(name="other")
    await daemon.up(name="default", project_dir="/d")
    started = daemon.driver
    await daemon.call("vm.stop", name="default")
    await daemon.up(name="default", project_dir="/d")
    daemon.driver.die(-9)
    machine = daemon.fleet.machines["default"]
    await machine.until(lambda: machine.driver is None)
    await daemon.database.flush()
    daemon.fleet.events.close()
    seen = [legacy_events.translate(event) async for event in daemon.events]
    known = [event for event in seen if event is not None]
    assert [event["type"] for event in known] == [
        "driver.started",
        "driver.stopped",
        "driver.started",
        "driver.exited",
        "driver.restart_scheduled",
    ]
    assert known[0]["payload"]["pid"] == started.pid
    assert known[0]["payload"]["socketPath"].endswith("/driver.sock")
    assert known[1]["payload"] == {}
    assert known[3]["payload"] == {"pid": daemon.driver.pid, "exitCode": -9}
