"""The window from the driver's view: a child that comes and goes, on the fake hypervisor.

Qt draws to memory here (its ``offscreen`` platform); ``tests/e2e`` has a real X server and VM.
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import struct
from pathlib import Path
from typing import Any

import pytest
from tests.process.driver import harness
from tests.process.driver.harness import Zygote, launch_request

from gaovm import errors

STOP = {"grace_s": 2, "force_s": 1}
SHOWN = {"graphics": {"enabled": True}, "guest": {}}
SEAT = {"seat": {"QT_QPA_PLATFORM": "offscreen"}}
NO_QT = "raise ModuleNotFoundError(\"No module named 'PySide6'\", name='PySide6')\n"


async def up(zygote: Zygote, base: Path, spec: dict[str, Any] | None = None) -> harness.Link:
    request = launch_request(base, SHOWN if spec is None else spec)
    link = await zygote.fork("test", base / "vm" / "driver.log")
    await link.call("vm.configure", request)
    await link.call("vm.start")
    await link.until(readiness="ready")
    return link


async def hypervisor(link: harness.Link) -> int:
    status = await link.call("vm.status")
    assert status["observed"] == "running"
    return int(status["hypervisor_pid"])


async def test_a_window_opens_and_closes_any_number_of_times(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    pid = await hypervisor(link)
    pids = set()
    for count in range(1, 4):
        opened = await link.call("display.open", SEAT)
        size = (opened["width"], opened["height"])
        assert (opened["open"], size, opened["opened_count"]) == (True, (320, 200), count)
        assert opened["window_pid"] in harness.descendants(link.pid)
        # a second open returns the same window
        again = await link.call("display.open", SEAT)
        assert again == opened
        pids.add(opened["window_pid"])
        closed = await link.call("display.close")
        assert (closed["open"], closed["window_pid"]) == (False, None)
        assert (await link.call("display.close"))["open"] is False
    assert len(pids) == 3
    await harness.gone(pids)
    assert await hypervisor(link) == pid
    assert [(told["open"], told.get("reason")) for told in link.displays] == [
        (True, None),
        (False, "asked"),
    ] * 3
    await link.call("vm.stop", STOP)


async def test_two_at_once_open_one_window(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    first, second = await asyncio.gather(
        link.call("display.open", SEAT), link.call("display.open", SEAT)
    )
    assert first["window_pid"] == second["window_pid"]
    await link.call("vm.stop", STOP)


async def test_a_window_that_is_killed_leaves_the_vm_alone(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    pid = await hypervisor(link)
    opened = await link.call("display.open", SEAT)
    os.kill(opened["window_pid"], signal.SIGKILL)
    told = await link.until_display(open=False)
    assert told["reason"] == "crashed"
    assert (await link.call("display.status"))["open"] is False
    assert await hypervisor(link) == pid
    assert (await link.call("display.open", SEAT))["open"] is True
    await link.call("vm.stop", STOP)


async def test_the_window_ends_with_its_vm(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    opened = await link.call("display.open", SEAT)
    await link.call("vm.stop", STOP)
    await harness.gone({opened["window_pid"]})
    assert list((base / "run").iterdir()) == []
    assert (await link.until_display(open=False))["reason"] == "vm"


async def test_the_window_ends_with_its_driver(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    opened = await link.call("display.open", SEAT)
    os.kill(link.pid, signal.SIGKILL)
    await harness.gone({opened["window_pid"]})


async def test_the_sockets_and_pictures_are_the_owners(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    taken = await link.call("display.screenshot")
    assert stat.S_IMODE((base / "run" / "vnc.sock").stat().st_mode) == 0o600
    path = Path(taken["path"])
    assert path == base / "vm" / "screenshot.png"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert struct.unpack(">II", path.read_bytes()[16:24]) == (320, 200)
    assert (taken["width"], taken["height"], taken["format"]) == (320, 200, "png")
    assert taken["size_bytes"] == path.stat().st_size
    assert list(path.parent.glob("*.new")) == []
    await link.call("vm.stop", STOP)


async def test_a_headless_vm_has_nothing_of_it(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base, {"guest": {}})
    assert not (base / "run" / "vnc.sock").exists()
    assert (await link.call("display.status"))["enabled"] is False
    for method in ("display.open", "display.screenshot"):
        with pytest.raises(errors.StateConflict):
            await link.call(method)
    await link.call("vm.stop", STOP)


async def refused(link: harness.Link, seat: dict[str, str]) -> errors.GaoError:
    """Return the error of an open that fails; no window is left, and the VM runs."""
    pid = await hypervisor(link)
    with pytest.raises(errors.GaoError) as info:
        await link.call("display.open", {"seat": seat})
    below = harness.descendants(link.pid)
    assert not [pid for pid in below if b"gaovm.display" in harness.command_line(pid)]
    assert (await link.call("display.status"))["open"] is False
    assert await hypervisor(link) == pid
    assert link.displays == []
    return info.value


async def test_a_desktop_that_is_not_there_is_told(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    error = await refused(link, {"DISPLAY": ":9999"})
    assert isinstance(error, errors.HostError)
    assert "the window ended with" in error.message
    error = await refused(link, {"XDG_RUNTIME_DIR": "/nonexistent"})
    assert isinstance(error, errors.HostError)
    assert "neither DISPLAY nor WAYLAND_DISPLAY" in error.message
    await link.call("vm.stop", STOP)


async def test_a_seat_is_only_a_desktop(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    error = await refused(link, {"LD_PRELOAD": "/tmp/x.so"})
    assert isinstance(error, errors.InvalidParams)
    await link.call("vm.stop", STOP)


@pytest.mark.parametrize("zygote", [{"vnc": "garbage"}], indirect=True)
async def test_a_server_that_talks_nonsense_ends_the_window_only(
    zygote: Zygote, base: Path
) -> None:
    link = await up(zygote, base)
    error = await refused(link, SEAT["seat"])
    assert isinstance(error, errors.HostError)
    await link.call("vm.stop", STOP)


async def test_without_qt_the_remedy_is_the_extra(base: Path) -> None:
    stub = base / "stub" / "PySide6"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text(NO_QT)
    path = harness.fake_qemu_path(base / "bin")
    async with Zygote(PATH=path, PYTHONPATH=str(stub.parent)) as zygote:
        link = await up(zygote, base)
        error = await refused(link, SEAT["seat"])
        assert isinstance(error, errors.ProgramMissing)
        assert error.remedy == "pip install 'gaovm[desktop]'"
        # a screenshot needs no window
        assert (await link.call("display.screenshot"))["width"] == 320
        await link.call("vm.stop", STOP)
