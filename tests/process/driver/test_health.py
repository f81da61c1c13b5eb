"""Hung guests, panics, resets, pauses: the daemon hears what hypervisor and agent report."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.driver import harness
from tests.process.driver.backends import EVERY_BACKEND
from tests.process.driver.harness import Link, Zygote
from tests.process.driver.test_lifecycle import STOP, up

from gaovm import errors
from gaovm.wire import anyjson

pytestmark = EVERY_BACKEND
PANIC = "[1.0] Kernel panic - not syncing: sysrq triggered crash\r\n"
#: The shortest timeout that a spec allows; a ping then goes out after a third of it.
QUICK = {"supervision": {"watchdog": {"timeout_s": 5}}}


@pytest.fixture
async def control(base: Path) -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fq", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
async def zygote(base: Path, backend: str, control: Path) -> AsyncIterator[Zygote]:
    path = harness.fake_qemu_path(base / "bin")
    options = json.dumps({"control": str(control)})
    async with Zygote(backend, PATH=path, GAOVM_FAKE_QEMU=options) as started:
        yield started


#: Events as QEMU reports them; the toy uses these names.
QMP: dict[str, tuple[str, dict[str, Any]]] = {
    "watchdog": ("WATCHDOG", {"action": "none"}),
    "panicked": ("GUEST_PANICKED", {"action": "poweroff"}),
    "panicked-paused": ("GUEST_PANICKED", {"action": "pause"}),
    "reset": ("RESET", {"guest": True, "reason": "guest-reset"}),
    "disk-reported": ("BLOCK_IO_ERROR", {"action": "report", "nospace": False}),
    "disk-full": ("BLOCK_IO_ERROR", {"action": "stop", "nospace": True}),
    "paused": ("STOP", {}),
    "resumed": ("RESUME", {}),
    "port-closed": ("VSERPORT_CHANGE", {"id": "agent-port", "open": False}),
}


class Vm:
    """A VM that is ready, and a socket that the fake hypervisor listens on."""

    def __init__(self, link: Link, control: Path, pid: int, backend: str = "qemu") -> None:
        self.link, self.pid, self._backend = link, pid, backend
        self._address = str(control / str(pid))

    def order(self, **what: Any) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(json.dumps(what).encode(), self._address)

    def event(self, name: str) -> None:
        told, data = QMP[name] if self._backend == "qemu" else (name, {})
        self.order(event=told, data=data)

    async def heard(self, kind: str, limit_s: float = harness.STEP_S) -> anyjson.Object:
        """Return the first ``health`` notification of a kind."""
        return await self.link.heard("health", limit_s, kind=kind)

    def kinds(self) -> list[str]:
        return [params["kind"] for method, params in self.link.notified if method == "health"]


async def ready(
    zygote: Zygote, base: Path, control: Path, spec: dict[str, Any] | None = None
) -> Vm:
    link = await up(zygote, base, spec)
    await link.until(readiness="ready")
    pid = (await link.call("vm.status"))["hypervisor_pid"]
    return Vm(link, control, pid, zygote.backend)


async def test_a_watchdog_is_told_and_nothing_more(
    zygote: Zygote, base: Path, control: Path
) -> None:
    vm = await ready(zygote, base, control)
    vm.event("watchdog")
    assert "not fed" in (await vm.heard("watchdog"))["detail"]
    assert (await vm.link.call("vm.status"))["readiness"] == "ready"
    assert vm.kinds() == ["watchdog"]


async def test_a_kill_ends_the_vm_with_its_reason(
    zygote: Zygote, base: Path, control: Path
) -> None:
    vm = await ready(zygote, base, control)
    vm.order(console="the last line\r\n")
    vm.event("watchdog")  # comes after the line, so the driver has the line when this is reported
    await vm.link.heard("health", kind="watchdog")
    with pytest.raises(errors.InvalidParams, match="reason"):
        await vm.link.call("vm.kill", {"reason": "no such Word"})
    await vm.link.call("vm.kill", {"reason": "watchdog"})
    state = await vm.link.until(observed="failed")
    assert state["reason"] == "watchdog"
    assert state["error"]["code"] == "guest_failed"
    assert state["error"]["message"].endswith("its watchdog was not fed: the last line")
    assert await zygote.exited(vm.link.pid) == 0


async def test_a_panic_ends_the_vm_as_failed(zygote: Zygote, base: Path, control: Path) -> None:
    vm = await ready(zygote, base, control)
    vm.order(console="".join([PANIC, *(f"[1.1] line {n}\r\n" for n in range(99))]))
    vm.event("panicked")
    vm.order(exit=0)
    state = await vm.link.until(observed="failed")
    assert state["reason"] == "panic"
    assert state["error"]["code"] == "guest_failed"
    assert state["error"]["message"] == f"the guest's kernel panicked: {PANIC.strip()}"
    assert state["error"]["details"]["serial_tail"][0] == PANIC.strip()
    assert vm.kinds() == ["panic"]


async def test_a_panic_that_pauses_waits_for_whoever_looks(
    zygote: Zygote, base: Path, control: Path
) -> None:
    vm = await ready(zygote, base, control)
    vm.event("panicked-paused")
    vm.event("paused")
    state = await vm.link.until(reason="panic")
    assert (state["observed"], state["readiness"]) == ("running", "degraded")
    assert (await vm.heard("paused"))["detail"] == "panic"
    assert (await vm.link.call("vm.status"))["paused"]
    assert await vm.link.call("vm.stop", {"grace_s": 60, "force_s": 1}) == {"how": "force"}


async def test_a_reset_after_a_panic_is_no_reboot(
    zygote: Zygote, base: Path, control: Path
) -> None:
    vm = await ready(zygote, base, control)
    vm.order(console=PANIC)
    # Two sockets have no order between them. This event follows the panic, and once the driver has
    # told it and answered a call, it has read the console too.
    vm.event("watchdog")
    await vm.heard("watchdog")
    await vm.link.call("vm.status")
    vm.event("reset")
    assert (await vm.link.until(observed="failed"))["reason"] == "panic"
    assert vm.kinds() == ["watchdog", "panic"]


async def test_a_reset_is_a_reboot(zygote: Zygote, base: Path, control: Path) -> None:
    vm = await ready(zygote, base, control)
    vm.order(console="[9.0] reboot: Restarting system\r\n")
    vm.event("reset")
    assert (await vm.link.until(reason="reset"))["readiness"] == "booting"
    vm.event("reset")  # the firmware's own reset, as SeaBIOS does
    assert vm.kinds() == []
    # what follows is a boot like the first, which may fail
    vm.order(console=PANIC)
    assert (await vm.link.until(observed="failed"))["error"]["code"] == "boot_failed"


async def test_pause_and_resume(zygote: Zygote, base: Path, control: Path) -> None:
    vm = await ready(zygote, base, control)
    for _ in range(2):
        assert await vm.link.call("vm.pause") == {"paused": True}
    assert (await vm.heard("paused"))["detail"] == "asked"
    assert (await vm.link.call("vm.status"))["paused"]
    for _ in range(2):
        assert await vm.link.call("vm.resume") == {"paused": False}
    await vm.heard("resumed")
    assert await vm.link.call("guest.info")
    assert vm.kinds() == ["paused", "resumed"]


async def test_a_paused_vm_is_resumed_for_its_stop(
    zygote: Zygote, base: Path, control: Path
) -> None:
    vm = await ready(zygote, base, control)
    await vm.link.call("vm.pause")
    assert await vm.link.call("vm.stop", STOP) == {"how": "agent"}
    with pytest.raises(errors.StateConflict):
        await vm.link.call("vm.pause")
    with pytest.raises(errors.StateConflict):
        await vm.link.call("vm.kill", {"reason": "watchdog"})


async def test_a_full_disk_pauses_and_a_resume_recovers(
    zygote: Zygote, base: Path, control: Path
) -> None:
    vm = await ready(zygote, base, control)
    vm.event("disk-reported")  # this concerns only the guest
    vm.event("disk-full")
    vm.event("paused")
    state = await vm.link.until(reason="io_error")
    assert state["error"]["code"] == "disk_full"
    assert (await vm.heard("paused"))["detail"] == "io_error"
    seen = len(vm.link.states)
    vm.event("resumed")
    await vm.heard("resumed")
    await vm.link.until(readiness="ready", after=seen)


async def test_a_silent_agent_is_told_once_and_so_is_its_return(
    zygote: Zygote, base: Path, control: Path
) -> None:
    vm = await ready(zygote, base, control, QUICK)
    vm.order(mute=True)
    await vm.heard("unresponsive")
    state = await vm.link.until(reason="unresponsive")
    assert state["readiness"] == "degraded"
    seen = len(vm.link.states)
    with pytest.raises(errors.GuestUnavailable):
        await vm.link.call("guest.info")
    vm.order(mute=False)
    await vm.heard("responsive")
    await vm.link.until(readiness="ready", after=seen)
    assert vm.kinds() == ["unresponsive", "responsive"]


async def test_a_paused_guest_is_not_unresponsive(
    zygote: Zygote, base: Path, control: Path
) -> None:
    vm = await ready(zygote, base, control, QUICK)
    await vm.link.call("vm.pause")
    await asyncio.sleep(6)  # longer than its timeout
    await vm.link.call("vm.resume")
    assert await vm.link.call("guest.info")
    assert vm.kinds() == ["paused", "resumed"]


async def test_without_a_heartbeat_silence_is_not_seen(
    zygote: Zygote, base: Path, control: Path
) -> None:
    spec = {"supervision": {"watchdog": {"timeout_s": 5, "heartbeat": False}}}
    vm = await ready(zygote, base, control, spec)
    vm.order(mute=True)
    await asyncio.sleep(6)
    assert vm.kinds() == []


async def test_a_closed_port_is_a_lost_agent(zygote: Zygote, base: Path, control: Path) -> None:
    vm = await ready(zygote, base, control, QUICK)
    vm.event("port-closed")
    state = await vm.link.until(reason="agent_lost")
    assert state["readiness"] == "degraded"
    await vm.heard("unresponsive")
    assert vm.kinds() == ["unresponsive"]


async def test_a_watchdog_that_nobody_feeds_is_told(
    zygote: Zygote, base: Path, control: Path
) -> None:
    link = await up(zygote, base, {"supervision": {"watchdog": {"device": True}}})
    state = await link.until(readiness="degraded")
    assert state["error"]["field"] == "vmOpts.gaovm.watchdog.device"


async def test_an_image_with_its_own_loader(zygote: Zygote, base: Path, control: Path) -> None:
    """It gets UEFI variables of its own and the seed, and may reset itself while it boots."""
    disk = harness.launch_request(base)["artefacts"]["disk"]
    seed = base / "vm" / "cidata.iso"
    seed.write_bytes(bytes(4096))
    files = {"disk": disk, "loader": "uefi", "seed": str(seed)}
    link = await up(zygote, base, artefacts=files)
    await link.until(readiness="ready")
    vm = Vm(link, control, (await link.call("vm.status"))["hypervisor_pid"], zygote.backend)
    if zygote.backend == "qemu":
        assert (base / "vm" / "uefi-variables.fd").stat().st_size > 0
    for _ in range(3):
        vm.event("reset")
    assert (await link.until(reason="reset"))["readiness"] == "booting"
    assert (await link.call("vm.status"))["observed"] == "running"
    await link.call("vm.stop", {"grace_s": 0, "force_s": 1})
