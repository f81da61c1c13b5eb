"""Stop, destroy, sessions, ports, status and the daemon's own methods."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.unit.daemon.conftest import Call, Daemon

from gaovm import errors
from gaovm.daemon.dispatch import service
from gaovm.daemon.dispatch.methods import sessions
from gaovm.daemon.vms import reports, status
from gaovm.ipc import methods
from gaovm.spec import diff
from gaovm.spec.shares import Share
from gaovm.wire.agent import info
from gaovm.wire.control.progress import Progress
from gaovm.wire.driver import results

STATUS_FIELDS = """
    name project state detail desired observed readiness first_up created_at started_at vm_type arch
    cpus memory_bytes disk_bytes image machine accelerator mounts ports network user driver_pid
    hypervisor_pid boot restarts last_error dir run_dir logs message overrides pending paused usage
    confinement ssh additional_disks ports_problem config_path protected
""".split()  # noqa: SIM905 - a list of many words


def test_the_dispatch_table_has_every_method_of_the_protocol() -> None:
    assert set(service.HANDLERS) | {"hello"} == set(methods.CONTROL_METHODS)


async def test_status_has_every_field(daemon: Daemon) -> None:
    await daemon.up()
    assert sorted(await daemon.status()) == sorted(STATUS_FIELDS)
    with_guest = await daemon.call("vm.status", name="web-dev", guest=True)
    assert with_guest["guest"]["hostname"] == "web-dev"
    await daemon.call("vm.stop", name="web-dev")
    stopped = await daemon.call("vm.status", name="web-dev", guest=True)
    assert sorted(stopped) == sorted([*STATUS_FIELDS, "guest"])
    assert stopped["guest"] is None
    assert stopped["boot"] is None


async def test_status_names_the_back_end(daemon: Daemon) -> None:
    await daemon.up()
    assert (await daemon.status())["vm_type"] == "qemu", "the default one"
    vm = daemon.fleet.machines["web-dev"]
    boot = msgspec.structs.replace(vm.record.spec.boot, backend="toy")
    await vm.update(spec=msgspec.structs.replace(vm.record.spec, boot=boot))
    assert (await daemon.status())["vm_type"] == "toy"


async def test_a_hung_guest_does_not_block_status(daemon: Daemon) -> None:
    await daemon.up()
    daemon.launcher.failures["guest.info"] = errors.TimeLimit("no answer")
    assert (await daemon.call("vm.status", name="web-dev", guest=True))["guest"] is None


async def test_stop_is_graceful_idempotent_and_forced_on_request(daemon: Daemon) -> None:
    await daemon.up()
    vm = await daemon.call("vm.stop", name="web-dev", timeout_s=7)
    assert (vm["state"], vm["desired"], vm["driver_pid"]) == ("stopped", "stopped", None)
    assert ("vm.stop", {"grace_s": 7, "force_s": 5.0}) in daemon.driver.calls
    assert (await daemon.call("vm.stop", name="web-dev"))["state"] == "stopped"
    await daemon.up()
    await daemon.call("vm.stop", name="web-dev", force=True)
    assert ("vm.stop", {"grace_s": 0.0, "force_s": 5.0}) in daemon.driver.calls


async def test_a_restart_completes_if_its_caller_leaves_during_the_stop(daemon: Daemon) -> None:
    await daemon.up()
    first, machine = daemon.driver, daemon.fleet.machines["web-dev"]
    restart = asyncio.ensure_future(daemon.call("vm.restart", name="web-dev"))
    await asyncio.sleep(0)
    restart.cancel()
    await asyncio.wait([restart])
    await machine.until(lambda: daemon.driver is not first and machine.up is None)
    assert (machine.state.desired, machine.state.readiness) == ("running", "ready")
    assert daemon.supervisor.mended == 0


async def test_a_restart_completes_if_its_caller_leaves_during_the_start(daemon: Daemon) -> None:
    await daemon.up()
    machine = daemon.fleet.machines["web-dev"]
    daemon.launcher.boot_until = "provisioning"
    restart = asyncio.ensure_future(daemon.call("vm.restart", name="web-dev"))
    await machine.until(lambda: machine.state.readiness == "provisioning")
    await daemon.rest()
    restart.cancel()
    await asyncio.wait([restart])
    await daemon.rest()
    assert (machine.state.desired, machine.state.observed) == ("running", "running")


async def test_a_restart_that_does_not_wait_returns_once_it_is_on_disk(daemon: Daemon) -> None:
    await daemon.up()
    first, machine = daemon.driver, daemon.fleet.machines["web-dev"]
    told = await daemon.call("vm.restart", name="web-dev", wait="none")
    assert told["vm"]["observed"] in {"stopping", "starting"}
    assert daemon.stored()["web-dev"].state.desired == "running"
    await machine.until(lambda: daemon.driver is not first and machine.up is None)
    assert machine.state.readiness == "ready"


async def test_a_stop_completes_if_its_caller_leaves(daemon: Daemon) -> None:
    await daemon.up()
    stop = asyncio.ensure_future(daemon.call("vm.stop", name="web-dev"))
    await asyncio.sleep(0)
    stop.cancel()
    await asyncio.wait([stop])
    machine = daemon.fleet.machines["web-dev"]
    await machine.until(lambda: machine.state.observed == "stopped")


async def test_a_driver_that_refuses_to_stop_is_ended(daemon: Daemon) -> None:
    await daemon.up()
    daemon.launcher.failures["vm.stop"] = errors.TimeLimit("stuck")
    vm = await daemon.call("vm.stop", name="web-dev")
    assert (vm["state"], vm["driver_pid"]) == ("stopped", None)


async def test_destroy_leaves_nothing_and_reports_the_freed_bytes(daemon: Daemon) -> None:
    await daemon.up()
    vm_dir = daemon.fleet.paths.vm_dir("web-dev")
    (vm_dir / "disk.qcow2").write_bytes(b"x" * 100_000)
    result = await daemon.call("vm.destroy", name="web-dev")
    assert result["name"] == "web-dev"
    assert result["freed_bytes"] >= 100_000
    assert not vm_dir.exists()
    assert daemon.stored() == {}
    with pytest.raises(errors.VmNotFound):
        await daemon.status()
    assert (await daemon.up())["created"] is True


async def test_two_destroys_end_with_not_found(daemon: Daemon) -> None:
    await daemon.up()
    results = await asyncio.gather(
        *(daemon.call("vm.destroy", name="web-dev") for _ in range(2)), return_exceptions=True
    )
    assert isinstance(results[1], errors.VmNotFound)


async def test_an_up_during_a_destroy_creates_a_new_vm(daemon: Daemon) -> None:
    await daemon.up()
    destroy = asyncio.ensure_future(daemon.call("vm.destroy", name="web-dev"))
    machine = daemon.fleet.machines["web-dev"]
    while not machine.record.deleting:
        await asyncio.sleep(0)
    assert (await daemon.up())["created"] is True
    await destroy
    assert (await daemon.status())["state"] == "running"


async def test_vms_work_in_parallel_and_reads_never_wait(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    slow = asyncio.ensure_future(daemon.up())
    while "web-dev" not in daemon.fleet.machines:
        await asyncio.sleep(0)
    machine = daemon.fleet.machines["web-dev"]
    await machine.until(lambda: machine.state.readiness is not None)
    daemon.launcher.boot_until = "ready"
    assert (await daemon.up(name="other", project_dir="/src/b"))["vm"]["state"] == "running"
    listed = (await daemon.call("vm.list"))["vms"]
    assert [(vm["name"], vm["readiness"]) for vm in listed] == [
        ("other", "ready"),
        ("web-dev", "booting"),
    ]
    slow.cancel()
    await asyncio.wait([slow])


async def test_a_copy_learns_which_directories_guests_can_write(daemon: Daemon) -> None:
    await daemon.up()
    await daemon.up(name="other", project_dir="/src/other")
    for name, writable in (("web-dev", False), ("other", True)):
        vm = daemon.fleet.machines[name]
        share = Share(location=f"/src/{name}", mount_point="/mnt", writable=writable)
        spec = msgspec.structs.replace(vm.record.spec, shares=(share,))
        vm.record = msgspec.structs.replace(vm.record, spec=spec)
    session = await daemon.call("vm.session", name="web-dev", kind="copy")
    assert session["shared"] == ["/src/other"]
    assert "shared" not in await daemon.call("vm.session", name="web-dev", kind="exec")


async def test_a_session_has_the_name_that_the_config_gives_it(daemon: Daemon) -> None:
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    envs: tuple[tuple[dict[str, str], str | None], ...] = (
        ({}, None),
        ({"ZELLIJ_SESSION": ""}, None),
        ({"ZELLIJ_SESSION": "a b"}, "a b"),
    )
    for env, name in envs:
        guest = msgspec.structs.replace(vm.record.spec.guest, env=env)
        spec = msgspec.structs.replace(vm.record.spec, guest=guest)
        vm.record = msgspec.structs.replace(vm.record, spec=spec)
        opened = await daemon.call("vm.session", name="web-dev", kind="exec")
        assert opened.get("session") == name
        assert "session" not in await daemon.call("vm.session", name="web-dev", kind="copy")


async def test_a_session_needs_an_agent(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    up = asyncio.ensure_future(daemon.up())
    while "web-dev" not in daemon.fleet.machines:
        await asyncio.sleep(0)
    vm = daemon.fleet.machines["web-dev"]
    await vm.until(lambda: vm.state.readiness == "booting")
    await asyncio.sleep(0)  # lets the fake send its own report before ours
    with pytest.raises(errors.GuestUnavailable):
        await daemon.call("vm.session", name="web-dev", kind="exec")
    daemon.driver.boot("ready")
    await up
    session = await daemon.call("vm.session", name="web-dev", kind="exec")
    assert sorted(session) == ["home", "mounts", "socket", "ticket", "user"]
    run_dir = daemon.fleet.paths.run_dir(vm.record.run_id)
    assert session["socket"] == str(run_dir / "driver.sock"), "the daemon ignores the driver's path"
    assert daemon.driver.calls[-1] == ("session.open", {"ttl_s": 30.0, "kind": "exec"})
    await daemon.call("vm.stop", name="web-dev")
    with pytest.raises(errors.StateConflict, match="not running"):
        await daemon.call("vm.session", name="web-dev", kind="exec")


async def test_a_caller_waiting_for_a_session_learns_that_the_driver_is_silent(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PATIENCE_S", 0)
    await daemon.up()
    call, told = Call(), asyncio.Event()

    def progress(data: Progress) -> None:
        call.seen.append(msgspec.to_builtins(data))
        told.set()

    monkeypatch.setattr(call, "progress", progress)

    async def late(*_: Any, **__: Any) -> dict[str, Any]:
        await told.wait()
        raise errors.TimeLimit("no answer within 5 s")

    monkeypatch.setattr(daemon.driver, "call", late)
    with pytest.raises(errors.GuestUnavailable, match="does not answer") as caught:
        await daemon.call("vm.session", call, name="web-dev", kind="exec")
    assert caught.value.actions == (errors.Action("force_stop_vm", name="web-dev"),)
    assert f"(process {daemon.driver.pid}) does not answer" in call.seen[0]["message"]


async def test_added_ports_are_stored_and_applied_live(daemon: Daemon) -> None:
    await daemon.up()
    port = await daemon.call("vm.ports.add", name="web-dev", guest_port=80, host_port=8080)
    assert (port["host_port"], port["source"]) == (8080, "added")
    assert daemon.driver.calls[-2][0] == "ports.add"
    with pytest.raises(errors.PortTaken):
        await daemon.call("vm.ports.add", name="web-dev", guest_port=81, host_port=8080)
    with pytest.raises(errors.PortTaken, match=r"127\.0\.0\.1:8080 already"):
        await daemon.call(
            "vm.ports.add", name="web-dev", guest_port=81, host_port=8080, host_ip="0.0.0.0"
        )
    await daemon.call("vm.stop", name="web-dev")
    stopped = await daemon.call("vm.ports.list", name="web-dev")
    assert stopped["ports"][0]["state"] == "stopped"
    await daemon.up()
    sent = daemon.driver.calls[0][1]["spec"]["network"]["forwards"]
    assert [forward["host_port"] for forward in sent] == [8080]
    listed = await daemon.call("vm.ports.list", name="web-dev")
    assert listed["ports"][0]["state"] == "no_listener"
    removed = await daemon.call("vm.ports.remove", name="web-dev", host_port=8080)
    assert removed["removed"][0]["guest_port"] == 80
    assert daemon.stored()["web-dev"].added_ports == ()
    with pytest.raises(errors.NotFound):
        await daemon.call("vm.ports.remove", name="web-dev", host_port=8080)


async def test_a_free_port_is_requested_again_and_a_lost_port_is_reported(daemon: Daemon) -> None:
    await daemon.up()
    for guest, host in ((80, 0), (81, 8081), (82, 0)):
        await daemon.call("vm.ports.add", name="web-dev", guest_port=guest, host_port=host)
    await daemon.call("vm.stop", name="web-dev")
    result = await daemon.up()
    assert result["warnings"] == []
    before = {port["guest_port"]: port["host_port"] for port in result["vm"]["ports"]}
    await daemon.call("vm.stop", name="web-dev")
    daemon.launcher.lost_ports = {82}
    result = await daemon.up()
    sent = daemon.driver.calls[0][1]["host_ports"]
    assert sent == [before[80], 0, before[82]]
    (warning,) = result["warnings"]
    assert f"host port {before[82]} of guest port 82 is taken" in warning


@pytest.mark.parametrize(
    ("proto", "address", "port", "guest_ip", "state"),
    [
        ("tcp", "127.0.0.1", 80, "127.0.0.1", "listening"),
        ("tcp", "0.0.0.0", 80, "127.0.0.1", "listening"),
        ("tcp", "::", 80, "127.0.0.1", "listening"),
        ("tcp", "127.0.0.1", 80, "127.0.0.2", "no_listener"),
        ("tcp", "127.0.0.1", 81, "127.0.0.1", "no_listener"),
        ("udp", "127.0.0.1", 80, "127.0.0.1", "no_listener"),
        ("tcp", "0.0.0.0", 80, "::1", "no_listener"),
    ],
)
async def test_a_port_is_listening_if_a_program_in_the_guest_listens(
    daemon: Daemon, proto: str, address: str, port: int, guest_ip: str, state: str
) -> None:
    await daemon.up()
    await daemon.call("vm.ports.add", name="web-dev", guest_port=80, guest_ip=guest_ip)
    await daemon.call("vm.restart", name="web-dev")
    daemon.launcher.listeners = [info.Listener(proto=proto, address=address, port=port)]
    (found,) = (await daemon.call("vm.ports.list", name="web-dev"))["ports"]
    assert found["state"] == state
    assert (await daemon.status())["ports"][0][
        "state"
    ] == "forwarded"  # status does not ask the guest


async def test_a_port_of_a_silent_guest_is_shown_as_forwarded(daemon: Daemon) -> None:
    await daemon.up()
    await daemon.call("vm.ports.add", name="web-dev", guest_port=80)
    await daemon.call("vm.restart", name="web-dev")
    daemon.launcher.failures["guest.info"] = errors.TimeLimit("no answer")
    (found,) = (await daemon.call("vm.ports.list", name="web-dev"))["ports"]
    assert found["state"] == "forwarded"


async def test_a_port_that_the_driver_refuses_is_not_stored(daemon: Daemon) -> None:
    await daemon.up()
    daemon.launcher.failures["ports.add"] = errors.PortTaken("port 80 is taken by nginx")
    with pytest.raises(errors.PortTaken):
        await daemon.call("vm.ports.add", name="web-dev", guest_port=80, host_port=80)
    assert daemon.fleet.machines["web-dev"].record.added_ports == ()


@pytest.mark.parametrize(
    "bad",
    [{"guest_port": 0}, {"guest_port": 70000}, {"guest_port": 1, "host_ip": "not-an-address"}],
)
async def test_bad_ports_are_refused(daemon: Daemon, bad: dict[str, Any]) -> None:
    await daemon.up()
    with pytest.raises(errors.InvalidParams):
        await daemon.call("vm.ports.add", name="web-dev", **bad)


async def test_daemon_status_and_events(daemon: Daemon) -> None:
    call = Call()
    assert await daemon.call("events.subscribe", call) == {"ok": True, "seq": 0, "oldest": 1}
    assert call.subscribed
    await daemon.up()
    status = await daemon.call("daemon.status")
    assert status["vms"] == {"running": 1, "total": 1}
    assert status["rss_bytes"] > 1 << 20
    events = [await anext(daemon.events) for _ in range(3)]
    assert [event.seq for event in events] == [1, 2, 3]
    assert events[0].type == "vm.created"
    assert events[1].payload["observed"] == "starting"


async def test_a_vms_log_level_applies_to_its_driver_now_and_at_the_next_start(
    daemon: Daemon,
) -> None:
    await daemon.up()
    set_now = await daemon.call("log.level", name="web-dev", level="debug")
    assert set_now == {"name": "web-dev", "level": "debug", "running": True}
    assert daemon.driver.log_level == "debug"
    await daemon.call("vm.stop", name="web-dev")
    asked = await daemon.call("log.level", name="web-dev")
    assert asked == {"name": "web-dev", "level": "debug", "running": False}
    with pytest.raises(errors.VmNotFound):
        await daemon.call("log.level", name="web", level="debug")
    with pytest.raises(errors.InvalidParams, match="level"):
        await daemon.call("log.level", name="web-dev", level="loud")


async def test_the_log_level_of_the_daemon(daemon: Daemon) -> None:
    before = await daemon.call("log.level")
    try:
        assert (await daemon.call("log.level", level="error"))["level"] == "error"
        assert (await daemon.call("log.level"))["level"] == "error"
    finally:
        await daemon.call("log.level", level=before["level"])


@pytest.mark.parametrize(
    ("network", "opened", "told"),
    [
        ({"type": "passt", "reason": "it is usable", "problem": None}, False, []),
        ({"type": "slirp", "reason": "no passt"}, False, ["reaches servers on the host's 127"]),
        ({"type": "slirp", "reason": "no passt"}, True, []),
        ({"type": "passt", "reason": "usable", "problem": "it ended"}, False, ["it ended"]),
    ],
)
async def test_up_warns_about_limits_of_the_network(
    daemon: Daemon, network: dict[str, Any], opened: bool, told: list[str]
) -> None:
    daemon.launcher.network = results.Network(**network)
    result = await daemon.up()
    assert (await daemon.status())["network"] == {
        "problem": None,
        **network,
        "host_access": False,
    }
    record = daemon.fleet.machines["web-dev"].record
    if opened:
        spec = diff.with_values(record.spec, {"network.host_access": True})
        record = msgspec.structs.replace(record, spec=spec)
    else:
        assert result["warnings"] == status.warnings(record)
    lines = status.warnings(record)
    assert len(lines) == len(told)
    assert all(part in line for part, line in zip(told, lines, strict=True))


async def test_status_shows_a_network_problem_while_it_lasts(daemon: Daemon) -> None:
    daemon.launcher.network = results.Network(type="passt", reason="usable", problem="no route")
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    for kind, problem in (
        ("network_back", None),
        ("network_lost", "passt ended"),
        ("network_back", None),
    ):
        reports.on_notification(vm, "health", {"kind": kind, "detail": problem or "it is back"})
        known = (await daemon.status())["network"]
        assert (known["problem"], known["type"]) == (problem, "passt")
        assert len(status.warnings(vm.record)) == (problem is not None)
