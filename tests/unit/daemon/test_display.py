"""The display as clients see it: opening a window, refusals and events."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.daemon.conftest import Daemon

from gaovm import errors
from gaovm.daemon.vms import reports
from gaovm.spec.graphics import Graphics

SEAT = {"DISPLAY": ":1", "XAUTHORITY": "/run/x"}


async def with_display(daemon: Daemon) -> None:
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    spec = msgspec.structs.replace(vm.record.spec, graphics=Graphics(enabled=True))
    await vm.update(spec=spec)


async def test_the_call_carries_the_callers_desktop(daemon: Daemon) -> None:
    await with_display(daemon)
    opened = await daemon.call("vm.display.open", name="web-dev", seat=SEAT)
    assert (opened["name"], opened["open"], opened["width"]) == ("web-dev", True, 1024)
    assert ("display.open", {"seat": SEAT}) in daemon.driver.calls
    assert (await daemon.call("vm.display.status", name="web-dev"))["open"] is True
    assert (await daemon.call("vm.display.close", name="web-dev"))["open"] is False


@pytest.mark.parametrize("method", ["open", "screenshot"])
async def test_a_headless_vm_says_how_to_enable_its_display(daemon: Daemon, method: str) -> None:
    await daemon.up()
    with pytest.raises(errors.StateConflict, match="headless") as info:
        await daemon.call(f"vm.display.{method}", name="web-dev")
    assert info.value.field == "graphics.enabled"
    assert info.value.actions[0].code == "set_config"
    assert info.value.actions[0].args["key"] == "graphics.enabled"
    assert not [name for name, _ in daemon.driver.calls if name.startswith("display.")]


async def test_status_and_close_are_no_error_on_a_headless_vm(daemon: Daemon) -> None:
    await daemon.up()
    for method in ("status", "close"):
        status = await daemon.call(f"vm.display.{method}", name="web-dev")
        assert (status["enabled"], status["open"], status["width"]) == (False, False, 0)


async def test_a_stopped_vm_has_no_window(daemon: Daemon) -> None:
    await with_display(daemon)
    await daemon.call("vm.stop", name="web-dev")
    status = await daemon.call("vm.display.status", name="web-dev")
    assert (status["enabled"], status["open"], status["width"]) == (True, False, 1280)
    with pytest.raises(errors.StateConflict, match="is not running") as info:
        await daemon.call("vm.display.open", name="web-dev")
    assert [action.code for action in info.value.actions] == ["start_vm"]


async def test_an_old_driver_is_refused_with_the_name_of_its_vm(daemon: Daemon) -> None:
    await with_display(daemon)
    daemon.launcher.failures["display.open"] = errors.CapabilityError("not served")
    with pytest.raises(
        errors.CapabilityError, match=r"web-dev does not offer display\.open"
    ) as info:
        await daemon.call("vm.display.open", name="web-dev", seat=SEAT)
    assert info.value.details == {"missing": ["display.open"]}


async def test_opening_and_closing_windows_emits_events(daemon: Daemon) -> None:
    await with_display(daemon)
    vm = daemon.fleet.machines["web-dev"]
    seen = daemon.fleet.events.subscribe()
    with seen:
        for report in (
            {"open": True, "width": 640, "height": 480},
            {"open": "perhaps"},
            {"open": False, "reason": "user", "later": "field"},
        ):
            reports.on_notification(vm, "display", report)
        opened, closed = await anext(seen), await anext(seen)
    assert (opened.type, opened.vm) == ("display.opened", "web-dev")
    assert opened.payload == {"width": 640, "height": 480}
    assert (closed.type, closed.payload) == ("display.closed", {"reason": "user"})


async def test_seat_parameters_have_limits(daemon: Daemon) -> None:
    await with_display(daemon)
    with pytest.raises(errors.InvalidParams):
        await daemon.call("vm.display.open", name="web-dev", seat={"DISPLAY": "x" * 5000})
