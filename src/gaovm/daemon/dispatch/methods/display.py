"""``vm.display.*``: a VM's window and a picture of its screen, both from its driver."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from gaovm import errors
from gaovm.daemon.dispatch import context
from gaovm.daemon.dispatch.methods import sessions
from gaovm.daemon.vms import driver_protocol, machine
from gaovm.model import states
from gaovm.wire.control import display as wire
from gaovm.wire.control import target
from gaovm.wire.driver import params, results, table
from gaovm.wire.method import Method

P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

#: Longer than the driver's own limits of 30 s, because the driver says what took so long.
CALL_LIMIT_S = 45.0


async def open_window(
    ctx: context.Daemon, call: context.Call, args: wire.Open
) -> wire.DisplayStatus:
    """Open the window on the caller's desktop; a window that is open comes to the front.

    Raises:
        errors.StateConflict: the VM has no display, or does not run.
        errors.ProgramMissing, errors.HostError: there is no PySide6, or no desktop.
        errors.CapabilityError: the VM's driver has no window.
    """
    vm = ctx.find(args.name)
    return _status(vm, await _call(vm, table.DISPLAY_OPEN, params.OpenDisplay(seat=args.seat)))


async def close_window(
    ctx: context.Daemon, call: context.Call, args: target.Named
) -> wire.DisplayStatus:
    """Close the window, if it is open; the VM goes on."""
    vm = ctx.find(args.name)
    if not _has_display(vm):
        return _closed(vm)
    return _status(vm, await _call(vm, table.DISPLAY_CLOSE, params.NOTHING))


async def show(ctx: context.Daemon, call: context.Call, args: target.Named) -> wire.DisplayStatus:
    """Tell whether there is a display and a window, and the picture's last known size."""
    vm = ctx.find(args.name)
    if not _has_display(vm):
        return _closed(vm)
    return _status(vm, await _call(vm, table.DISPLAY_STATUS, params.NOTHING))


async def screenshot(
    ctx: context.Daemon, call: context.Call, args: target.Named
) -> wire.Screenshot:
    """Write what the display shows to a file in the VM's directory.

    ``shared`` as in a ticket for a copy: the caller writes the picture where guests may have put
    symbolic links.

    Raises:
        errors.StateConflict: the VM has no display, or does not run.
        errors.CapabilityError: the VM's driver makes no pictures.
    """
    vm = ctx.find(args.name)
    taken = await _call(vm, table.DISPLAY_SCREENSHOT, params.NOTHING)
    # the caller opens this path, with its own rights: a driver does not choose it
    path = ctx.fleet.paths.vm_dir(vm.name) / "screenshot.png"
    return wire.Screenshot(
        name=vm.name,
        path=str(path),
        format="png",
        width=taken.width,
        height=taken.height,
        size_bytes=taken.size_bytes,
        shared=tuple(sessions.guest_writable(ctx)),
    )


def _has_display(vm: machine.Machine) -> bool:
    running = vm.state.observed is states.Observed.RUNNING and vm.driver is not None
    return running and vm.record.spec.graphics.enabled


def _closed(vm: machine.Machine) -> wire.DisplayStatus:
    graphics = vm.record.spec.graphics
    return wire.DisplayStatus(
        name=vm.name,
        enabled=graphics.enabled,
        open=False,
        width=graphics.width if graphics.enabled else 0,
        height=graphics.height if graphics.enabled else 0,
        opened_count=0,
        window_pid=None,
    )


def _status(vm: machine.Machine, told: results.Display) -> wire.DisplayStatus:
    """Return what the driver reported about its window, as clients see it."""
    return wire.DisplayStatus(name=vm.name, **msgspec.structs.asdict(told))


async def _call(vm: machine.Machine, row: Method[P, R], arguments: P) -> R:
    driver = _driver(vm)
    try:
        return await driver.call(row, arguments, timeout_s=CALL_LIMIT_S)
    except errors.CapabilityError as exc:
        raise errors.CapabilityError(
            f"the driver of VM {vm.name} does not offer {row.name}",
            remedy="restart the VM: a new driver offers it",
            details={"missing": [row.name]},
        ) from exc


def _driver(vm: machine.Machine) -> driver_protocol.Driver:
    driver = vm.driver
    if not vm.record.spec.graphics.enabled:
        raise errors.StateConflict(
            f"VM {vm.name} is headless: it has no display",
            field="graphics.enabled",
            remedy="give it a display, then restart the VM",
            actions=(
                errors.Action("set_config", name=vm.name, key="graphics.enabled", value="true"),
                errors.Action("restart_vm", name=vm.name),
            ),
        )
    if driver is None or vm.state.observed is not states.Observed.RUNNING:
        word, detail = vm.describe()
        raise errors.StateConflict(
            f"VM {vm.name} is not running ({word}{': ' if detail else ''}{detail})",
            actions=(errors.Action("start_vm", name=vm.name),),
        )
    return driver
