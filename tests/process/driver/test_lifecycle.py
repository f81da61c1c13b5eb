"""A driver's life on the fake hypervisor: start, readiness, the ways to stop, what is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from tests.process.driver import harness
from tests.process.driver.backends import EVERY_BACKEND
from tests.process.driver.harness import Zygote, launch_request

from gaovm import errors
from gaovm.aio import files

pytestmark = EVERY_BACKEND
STOP = {"grace_s": 2, "force_s": 1}


async def up(
    zygote: Zygote, base: Path, spec: dict[str, Any] | None = None, **more: Any
) -> harness.Link:
    """Return a driver with a running VM."""
    request = launch_request(base, spec, **more)
    link = await zygote.fork("test", base / "vm" / "driver.log")
    await link.call("vm.configure", request)
    await link.call("vm.start")
    return link


def assert_free(base: Path) -> None:
    lock = files.Lock(base / "vm" / "lock")
    assert lock.acquire()
    lock.release()


async def test_from_fork_to_stop(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    assert [state["readiness"] for state in link.states] == ["booting", "agent", "ready"]
    status = await link.call("vm.status")
    assert status["observed"] == "running"
    assert status["boot"]["agent_ms"] > 0
    assert await link.call("guest.info")
    below = harness.descendants(link.pid)
    assert await link.call("vm.stop", STOP) == {"how": "agent"}
    assert link.states[-1]["observed"] == "stopped"
    assert link.states[-1]["reason"] == "stop"
    await link.call("exit")
    assert await zygote.exited(link.pid) == 0
    await harness.gone(below)
    assert list((base / "run").iterdir()) == []
    assert_free(base)
    assert stat.S_IMODE((base / "vm" / "driver.log").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("zygote", "how", "acpi_s"),
    [({"power": "ignore-agent"}, "acpi", 30), ({"power": "ignore"}, "force", 0.5)],
    indirect=["zygote"],
)
async def test_ways_to_stop(zygote: Zygote, base: Path, how: str, acpi_s: float) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    assert await link.call("vm.stop", {"grace_s": 0.5, "force_s": acpi_s}) == {"how": how}


async def test_a_forced_stop_of_a_vm_that_ends_at_once(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    first, second = await asyncio.gather(
        link.call("vm.stop", {"grace_s": 0, "force_s": 1}), link.call("vm.stop", STOP)
    )
    assert first["how"] == "force"
    assert second["how"] in {"force", "gone", "agent"}
    assert await link.call("vm.stop", STOP) == {"how": "gone"}


async def test_the_log_is_json_lines_at_the_level_asked_for(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    assert await link.call("log.level") == {"level": "info"}
    assert await link.call("log.level", {"level": "error"}) == {"level": "error"}
    await link.call("vm.stop", STOP)
    await link.call("exit")
    assert await zygote.exited(link.pid) == 0
    text = (base / "vm" / "driver.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["vm"] for line in lines} == {"test"}
    assert lines[0]["message"] == f"driver of test, pid {link.pid}"
    assert {line["level"] for line in lines} == {"info"}
    assert "log level is now" not in text and "hypervisor ended" not in text


async def test_end_of_file_ends_everything(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    below = harness.descendants(link.pid)
    assert below
    await link.connection.aclose()
    assert await zygote.exited(link.pid) == 0
    await harness.gone(below)


async def test_sigterm_ends_everything(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    below = harness.descendants(link.pid)
    os.kill(link.pid, signal.SIGTERM)
    assert await zygote.exited(link.pid) == 0
    await harness.gone(below)


async def test_kill_of_the_driver_leaves_nothing(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    below = harness.descendants(link.pid)
    os.kill(link.pid, signal.SIGKILL)
    assert await zygote.exited(link.pid) == -signal.SIGKILL
    await harness.gone(below)
    assert_free(base)
    again = await up(zygote, base)  # it replaces the stale socket file
    await again.until(readiness="ready")


async def test_kill_of_the_hypervisor_is_told_at_once(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    pid = (await link.call("vm.status"))["hypervisor_pid"]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    state = await link.until(observed="failed")
    assert state["reason"] == "killed"
    assert state["error"]["code"] == "hypervisor_failed"
    assert "signal 9" in state["error"]["message"]
    told = [(method, params) for method, params in link.notified if method != "progress"]
    method, params = told[-2]
    assert (method, params["pid"], params["status"]) == ("hypervisor", pid, -signal.SIGKILL)
    assert began <= params["at"] <= time.monotonic()
    assert await zygote.exited(link.pid) == 0


async def test_the_zygotes_end_leaves_drivers_alone(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    os.kill(zygote.process.pid, signal.SIGKILL)
    zygote.process.wait()
    assert await link.call("ping")
    await link.call("exit")
    await harness.gone({link.pid})


@pytest.mark.parametrize(
    "zygote", [{"exit": [1, "qemu-system-x86_64: cannot set up guest memory"]}], indirect=True
)
async def test_a_hypervisor_that_refuses(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    state = await link.until(observed="failed")
    assert "status 1: qemu-system-x86_64: cannot set up guest memory" in state["error"]["message"]
    assert await zygote.exited(link.pid) == 0


@pytest.mark.parametrize(
    "zygote",
    [{"agent": "silent", "console": "boot\nKernel panic - not syncing: no root\nend\n"}],
    indirect=True,
)
async def test_a_panic_fails_the_boot_with_the_console(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    state = await link.until(observed="failed")
    assert state["error"]["code"] == "boot_failed"
    assert state["error"]["details"]["serial_tail"][-2:] == [
        "Kernel panic - not syncing: no root",
        "end",
    ]
    assert "Kernel panic" in (base / "vm" / "serial.log").read_text()


@pytest.mark.parametrize(
    "zygote", [{"agent": "silent", "env": {"GAOVM_BOOT_TIMEOUT_S": "0.5"}}], indirect=True
)
async def test_a_guest_that_never_answers(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    state = await link.until(observed="failed")
    assert "did not answer within 0.5 s" in state["error"]["message"]


@pytest.mark.parametrize("zygote", [{"agent": "garbage"}, {"agent": "broken"}], indirect=True)
async def test_an_agent_of_garbage_harms_nobody_else(zygote: Zygote, base: Path) -> None:
    bad = await up(zygote, base / "a")
    with pytest.raises(errors.GuestUnavailable):
        await bad.call("guest.info")
    assert (await bad.call("vm.stop", {"grace_s": 1, "force_s": 1}))["how"] in {"acpi", "force"}


async def test_the_lock_names_its_holder(zygote: Zygote, base: Path) -> None:
    first = await up(zygote, base)
    second = await zygote.fork("test", base / "vm" / "driver.log")
    with pytest.raises(errors.LockHeld, match=f"process {first.pid}"):
        await second.call("vm.configure", launch_request(base))


async def test_a_taken_port_fails_before_the_start_and_gives_all_back(
    zygote: Zygote, base: Path
) -> None:
    link = await zygote.fork("test", base / "driver.log")
    port = harness.quiet_port()
    with socket.create_server(("127.0.0.1", port)):
        forward = {"guest_port": 80, "host_port": port, "field": "portForwards[0].hostPort"}
        request = launch_request(base, {"network": {"forwards": [forward]}})
        with pytest.raises(errors.PortTaken, match=rf"{port} is taken by \S+ \(pid") as caught:
            await link.call("vm.configure", request)
        assert caught.value.field == "portForwards[0].hostPort"
    chosen = await link.call("vm.configure", request)
    assert chosen["ports"][0]["host_port"] == port


async def test_disk_grows_and_never_shrinks(zygote: Zygote, base: Path) -> None:
    link = await zygote.fork("test", base / "driver.log")
    for size in (128, 256):
        await link.call("vm.configure", launch_request(base, {"disk": {"size_bytes": size << 20}}))
    with pytest.raises(errors.DiskShrink):
        await link.call("vm.configure", launch_request(base, {"disk": {"size_bytes": 128 << 20}}))


async def test_a_missing_mount(zygote: Zygote, base: Path) -> None:
    link = await zygote.fork("test", base / "driver.log")
    share = {"location": str(base / "nowhere"), "mount_point": "/src"}
    with pytest.raises(errors.MountMissing, match="nowhere"):
        await link.call("vm.configure", launch_request(base, {"shares": [share]}))


@pytest.mark.parametrize("zygote", [{"agent": "bad-mount"}], indirect=True)
async def test_a_mount_that_fails_in_the_guest_is_named(
    zygote: Zygote, base: Path, tmp_path: Path
) -> None:
    share = {"location": str(tmp_path), "mount_point": "/src", "type": "9p"}
    link = await up(zygote, base, {"shares": [share]})
    state = await link.until(readiness="degraded")
    assert "/src" in state["error"]["message"]


async def test_a_wrong_token_ends_the_driver(zygote: Zygote, base: Path) -> None:
    with pytest.raises(errors.AuthError):
        await zygote.fork("test", base / "driver.log", token="wrong")
    (pid,) = zygote._exits
    assert await zygote.exited(pid) == 1


async def test_calls_out_of_order(zygote: Zygote, base: Path) -> None:
    link = await zygote.fork("test", base / "driver.log")
    with pytest.raises(errors.StateConflict):
        await link.call("vm.start")
    with pytest.raises(errors.GuestUnavailable):
        await link.call("session.open", {"ttl_s": 5})
    with pytest.raises(errors.InvalidParams, match="spec"):
        await link.call("vm.configure", {"spec": {}})
