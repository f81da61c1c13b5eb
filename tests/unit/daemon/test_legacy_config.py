"""Old clients' config and events match the vectors of the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.daemon.conftest import Call, Daemon

from gaovm import errors
from gaovm.daemon.config import copies
from gaovm.daemon.drivers import driver_link
from gaovm.daemon.legacy import events as legacy_events
from gaovm.daemon.legacy import service
from gaovm.daemon.lifecycle import supervisor
from gaovm.daemon.storage import events
from gaovm.daemon.vms import driver_protocol
from gaovm.driver import liveness
from gaovm.driver import main as driver
from gaovm.ipc import handshake
from gaovm.model import states, supervision
from gaovm.spec.supervision import Restart

DATA = Path(__file__).resolve().parents[2] / "data" / "gaovm" / "v1.2-vectors.json"
VECTORS: dict[str, Any] = json.loads(DATA.read_text())
CASES: list[dict[str, Any]] = VECTORS["config"]["cases"]
GIB = 1 << 30


async def old(daemon: Daemon, method: str, **data: Any) -> Any:
    result = await service.dispatch(daemon.ctx, Call(), method, data)
    msgspec.json.encode(result)
    return result


async def told(daemon: Daemon) -> list[dict[str, Any]]:
    """Return all events so far, as an old client sees them."""
    await daemon.fleet.store.flush()
    found = await daemon.fleet.events.read(0, 1000)
    seen = [legacy_events.translate(event) for event in found]
    return [event for event in seen if event is not None]


async def config_events(daemon: Daemon) -> list[str]:
    return [event["type"] for event in await told(daemon) if "config" in event["type"]]


async def config_payloads(daemon: Daemon) -> list[Any]:
    return [event["payload"] for event in await told(daemon) if "config" in event["type"]]


def has_file(daemon: Daemon, name: str) -> bool:
    return (daemon.fleet.paths.vm_dir("default") / name).exists()


async def bring(daemon: Daemon, *, running: bool) -> None:
    """Create the default VM with a disk that the cases can grow."""
    await daemon.up(name="default", config_text="8")
    if not running:
        await daemon.call("vm.stop", name="default")


async def test_case_set_while_stopped(daemon: Daemon) -> None:
    case = CASES[0]
    await bring(daemon, running=True)
    await old(daemon, "vm.config.patch", patch={"memory": 4 * GIB})
    await daemon.call("vm.stop", name="default")
    result = await old(daemon, "vm.config.set", config=case["change"])
    assert {key: result[key] for key in case["result"]} == case["result"]
    assert (result["current"]["cpu"], result["pending"]) == (4, None)
    # set replaces the whole config: missing fields return to the project file's values
    assert result["current"]["memory"] == VECTORS["config"]["default"]["memory"]
    assert (await config_events(daemon))[1:] == case["events"]
    assert (await config_payloads(daemon))[-1] == {
        "restartRequired": True,
        "applied": True,
        "whileRunning": False,
    }
    assert has_file(daemon, copies.CONFIG) and not has_file(daemon, copies.PENDING)


async def test_cases_patch_while_running_and_start(daemon: Daemon) -> None:
    first, second, start = CASES[1], CASES[2], CASES[4]
    await bring(daemon, running=True)
    before = await old(daemon, "vm.config.get")
    result = await old(daemon, "vm.config.patch", patch=first["change"])
    assert {key: result[key] for key in first["result"]} == first["result"]
    assert (result["current"], result["pending"]["cpu"]) == (before["current"], 4)
    result = await old(daemon, "vm.config.patch", patch=second["change"])
    assert {key: result[key] for key in second["result"]} == second["result"]
    assert (result["pending"]["cpu"], result["pending"]["memory"]) == (4, 4 * GIB)
    assert await config_events(daemon) == [*first["events"], *second["events"]]
    assert await config_payloads(daemon) == 2 * [
        {"restartRequired": True, "currentConfigUnchanged": True}
    ]
    shown = await old(daemon, "vm.config.get")
    assert (shown["hasPending"], shown["pending"]) == (True, result["pending"])
    assert has_file(daemon, copies.PENDING)
    await old(daemon, "vm.stop")
    await old(daemon, "vm.start")
    shown = await old(daemon, "vm.config.get")
    assert (shown["hasPending"], shown["current"]) == (False, result["pending"])
    assert (await config_events(daemon))[2:] == start["events"]
    assert (await config_payloads(daemon))[-1] == {"applied": True}
    assert not has_file(daemon, copies.PENDING)


async def test_case_disk_size_while_running(daemon: Daemon) -> None:
    case = CASES[3]
    await bring(daemon, running=True)
    result = await old(daemon, "vm.config.patch", patch=case["change"])
    assert {key: result[key] for key in case["result"]} == case["result"]
    assert result["current"]["disk"]["sizeMiB"] == 16384
    assert await config_events(daemon) == case["events"]
    assert ("disk.grow", {"size_bytes": 16 * GIB}) in daemon.driver.calls


async def test_a_disk_patched_while_the_guest_boots_grows_without_a_restart(
    daemon: Daemon,
) -> None:
    await bring(daemon, running=False)
    daemon.launcher.boot_until = "booting"
    await old(daemon, "vm.start")
    result = await old(daemon, "vm.config.patch", patch=CASES[3]["change"])
    assert (result["applied"], result["restartRequired"]) == (False, False)
    assert result["pending"]["disk"]["sizeMiB"] == 16384
    assert (await config_payloads(daemon))[-1] == {
        "restartRequired": False,
        "currentConfigUnchanged": True,
    }
    daemon.driver.boot("ready")
    vm = daemon.fleet.machines["default"]
    await vm.until(lambda: vm.record.pending is None)
    assert ("disk.grow", {"size_bytes": 16 * GIB}) in daemon.driver.calls
    assert (await config_events(daemon))[-1] == "config.updated"


async def test_a_field_that_must_wait_makes_the_whole_patch_wait(daemon: Daemon) -> None:
    await bring(daemon, running=True)
    result = await old(daemon, "vm.config.patch", patch={"cpu": 4, "disk": {"sizeMiB": 16384}})
    assert result["applied"] is False
    assert result["current"]["disk"]["sizeMiB"] == 8192
    assert result["pending"]["disk"]["sizeMiB"] == 16384
    assert "disk.grow" not in [method for method, _ in daemon.driver.calls]
    again = await old(daemon, "vm.config.patch", patch={"cpu": 4})
    assert again["pendingReplaced"] is True
    assert (await config_events(daemon))[-1] == "event.pending_config_replaced"


async def test_setting_the_config_that_get_returned_changes_nothing(daemon: Daemon) -> None:
    await bring(daemon, running=True)
    shown = (await old(daemon, "vm.config.get"))["current"]
    result = await old(daemon, "vm.config.set", config=shown)
    assert (result["applied"], result["restartRequired"]) == (True, False)
    assert result["current"] == shown
    assert await config_events(daemon) == []


async def test_every_part_of_the_config_is_translated(daemon: Daemon) -> None:
    await bring(daemon, running=False)
    wanted = {
        "cpu": 3,
        "memory": 3 << 30,
        "boot": {"loader": "auto", "kernelPath": None, "initrdPath": None, "commandLine": "a=1"},
        "disk": {"path": None, "sizeMiB": 9000},
        "network": {"mode": "shared"},
        "graphics": {"enabled": True, "width": 640, "height": 480},
    }
    current = (await old(daemon, "vm.config.set", config=wanted))["current"]
    path = str(daemon.fleet.paths.vm_dir("default") / "disk.qcow2")
    assert current == {
        **wanted,
        "boot": {**wanted["boot"], "loader": "linux"},  # type: ignore[dict-item]
        "disk": {"path": path, "sizeMiB": 9000},
    }
    spec = daemon.stored()["default"].spec
    assert (spec.boot.extra_arguments, spec.graphics.enabled) == ("a=1", True)
    current = (await old(daemon, "vm.config.patch", patch={"boot": {"commandLine": None}}))[
        "current"
    ]
    assert current["boot"]["commandLine"] is None
    # settings that old clients do not know keep their values
    await daemon.call("vm.config.set", name="default", changes={"env.A": "1"})
    await old(daemon, "vm.config.set", config={})
    kept = daemon.stored()["default"].overrides
    assert kept == {"env.A": "1", "disk": f"{9000 << 20}B"}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"cpu": 0}, "config.cpu"),
        ({"cpu": "4"}, "config.cpu"),
        ({"cpu": True}, "config.cpu"),
        ({"memory": 134217727}, "config.memory"),
        ({"disk": {"sizeMiB": 63}}, "config.disk.sizeMiB"),
        ({"graphics": {"width": 63}}, "config.graphics.width"),
        ({"graphics": {"height": 63}}, "config.graphics.height"),
        ({"graphics": {"enabled": 1}}, "config.graphics.enabled"),
        ({"network": {"mode": "bridged"}}, "config.network.mode"),
        ({"boot": {"loader": "efi"}}, "config.boot.loader"),
        ({"boot": {"kernelPath": "/k"}}, "boot.kernelPath"),
        ({"boot": {"initrdPath": "/i"}}, "boot.initrdPath"),
        ({"disk": {"path": "/other"}}, "disk.path"),
        ({"disk": {"sizeMiB": 64}}, "disk"),
        ({"cpu": 100000}, "cpus"),
        ({"unknown": 1}, "config"),
        ({"boot": {"unknown": 1}}, "config.boot"),
        ({"disk": {"unknown": 1}}, "config.disk"),
        ({"network": {"unknown": 1}}, "config.network"),
        ({"graphics": {"unknown": 1}}, "config.graphics"),
        (None, "config"),
    ],
)
async def test_a_wrong_config_is_refused_by_name(
    daemon: Daemon, config: dict[str, Any], field: str
) -> None:
    await bring(daemon, running=False)
    before = daemon.stored()["default"]
    for method, key in (("vm.config.set", "config"), ("vm.config.patch", "patch")):
        with pytest.raises(errors.InvalidParams) as caught:
            await old(daemon, method, **{key: config})
        assert caught.value.rpc_code == -32602
        assert caught.value.field == field.replace("config", key)
    assert daemon.stored()["default"] == before
    assert await config_events(daemon) == []


async def test_unknown_parameters_and_vms_are_refused(daemon: Daemon) -> None:
    for data in ({}, {"config": {}, "more": 1}, {"config": {}, "id": "other"}):
        with pytest.raises(errors.InvalidParams):
            await old(daemon, "vm.config.set", **data)
    with pytest.raises(errors.InvalidParams, match="There is no VM"):
        await old(daemon, "vm.config.set", config={})


# supervision


def leaves(part: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(part, dict):
        return {path: part}
    return {
        where: value
        for key, below in part.items()
        for where, value in leaves(below, f"{path}.{key}" if path else key).items()
    }


#: Numbers that differ from the contract; docs/decisions/0030 says why.
OTHERS = {
    "heartbeat.timeout_seconds": driver_link.PING_LIMIT_S,
    "connect.deadline_seconds": None,
    "connect.retry_milliseconds": None,
    "stop.eof_wait_ms": None,
    "stop.sigterm_wait_s": None,
    "stop.sigkill_wait_s": driver_protocol.LEAVE_S,
}


def test_every_number_equals_the_contracts_or_is_decided_otherwise() -> None:
    usual = Restart()
    ours = {
        "backoff_seconds": [supervision.backoff_s(n, usual.max_delay_s) for n in range(1, 6)],
        "formula": f"min(2^(n-1), {supervision.backoff_s(9, usual.max_delay_s):g})",
        "max_attempts": usual.max_attempts,
        "window.limit": supervision.WINDOW_LIMIT,
        "window.seconds": supervision.WINDOW_S,
        "reconcile_tick_seconds": supervisor.RECONCILE_S,
        "heartbeat.interval_seconds": driver_link.PING_INTERVAL_S,
        "heartbeat.driver_self_exit_seconds": liveness.LIMIT_S,
        "heartbeat.driver_exit_code": driver.ABANDONED,
        "handshake_timeout_seconds": handshake.LIMIT_S,
        "after_limit.desired": states.Desired.STOPPED,
        "after_limit.event": "driver.permanent_failure",
    }
    found = leaves(VECTORS["supervision"])
    assert {path: found[path] for path in ours} == ours
    assert set(found) == {*ours, *OTHERS}
    for path, other in OTHERS.items():
        assert found[path] != other


async def test_restart_and_failure_events_keep_their_old_shapes(daemon: Daemon) -> None:
    def seen(kind: str, **payload: Any) -> Any:
        event = events.Event(seq=1, type=kind, vm="default", payload=payload, ts="now")
        translated = legacy_events.translate(event)
        return None if translated is None else translated["payload"]

    restart = {"attempt": 3, "max_attempts": 5, "delay_s": 3.7, "nominal_s": 4.0, "reason": "x"}
    assert seen("driver.restart_scheduled", **restart) == {"attempt": 3, "delaySeconds": 4}
    failure = {"reason": "x", "attempts": 5, "max_attempts": 5, "serial_tail": []}
    assert seen("driver.permanent_failure", **failure) == {"reason": "x", "attempts": 5}
    assert seen("driver.permanent_failure", **failure, window_limit=5, window_s=300.0) == {
        "reason": "x",
        "attempts": 5,
        "windowLimit": 5,
        "windowSeconds": 300,
    }
    assert seen("driver.exited", pid=1, exit_code=-9, expected=False) == {"pid": 1, "exitCode": -9}
    assert seen("driver.exited", pid=1, exit_code=0, expected=True) is None
    assert seen("vm.state", state="running") is None
    for replaced, name in ((False, "written"), (True, "replaced")):
        payload = {"fields": ["cpus"], "restart_required": True, "replaced": replaced}
        staged = events.Event(
            seq=1, type="vm.config.staged", vm="default", payload=payload, ts="now"
        )
        assert legacy_events.translate(staged) == {
            "type": f"event.pending_config_{name}",
            "payload": {"restartRequired": True, "currentConfigUnchanged": True},
            "ts": "now",
        }
    assert seen("vm.config.quarantined", file="x") is None


async def test_a_dead_driver_and_its_restart_emit_old_events(daemon: Daemon) -> None:
    await bring(daemon, running=True)
    vm = daemon.fleet.machines["default"]
    daemon.driver.die(-9)
    await vm.until(lambda: vm.record.restarts.attempts == 1)
    status = await old(daemon, "vm.status")
    assert (status["desired"], status["restartAttempts"]) == ("running", 1)
    assert status["maxRestartAttempts"] == 5
    assert "signal 9" in status["lastFailure"]
    kinds = [event["type"] for event in await told(daemon)]
    assert kinds[-2:] == ["driver.exited", "driver.restart_scheduled"]
    await old(daemon, "vm.stop")
