"""``vm.session``: a socket and a ticket for bulk bytes, which bypass the daemon."""

from __future__ import annotations

import asyncio

from gaovm import errors
from gaovm.daemon.dispatch import context
from gaovm.daemon.vms import driver_protocol, machine
from gaovm.model import states
from gaovm.wire.control import sessions as wire
from gaovm.wire.control.progress import Progress
from gaovm.wire.driver import params, results, table

#: A ticket is void after this time, in seconds.
TICKET_S = 30.0
#: If the driver takes longer than this, the caller learns what it waits for. In seconds.
PATIENCE_S = 1.0
#: The variable of a config's ``env`` that names the terminal session of its project (PRD-04).
SESSION = "ZELLIJ_SESSION"


async def open_session(ctx: context.Daemon, call: context.Call, args: wire.Open) -> wire.Ticket:
    """Get a one-time ticket for the driver's socket.

    Raises:
        errors.StateConflict: the VM does not run.
        errors.GuestUnavailable: its agent does not answer yet, or its driver does not.
    """
    vm = ctx.find(args.name)
    driver = driver_with_agent(vm)
    wanted = params.OpenSession(ttl_s=TICKET_S, kind=args.kind)
    opened = await _ask(call, vm.name, driver, wanted)
    spec = vm.record.spec
    return wire.Ticket(
        # Our own path, not the driver's: a driver that was taken over could name another socket.
        socket=str(ctx.fleet.paths.driver_socket(vm.record.run_id)),
        ticket=opened.ticket,
        user=spec.guest.user.name,
        home=spec.guest.user.home,
        mounts=tuple(
            wire.Mounted(location=mount.location, mount_point=mount.mount_point)
            for mount in vm.record.facts.mounts
        ),
        shared=tuple(guest_writable(ctx)) if args.kind == "copy" else None,
        public_keys=spec.ssh.load_public_keys if args.kind == "ssh" else None,
        session=(spec.guest.env.get(SESSION) or None) if args.kind == "exec" else None,
        notices=vm.take_notices() if args.kind == "exec" else (),
    )


def guest_writable(ctx: context.Daemon) -> list[str]:
    """List the host's directories that the guest of any VM, running or not, can write."""
    found = set()
    for vm in ctx.fleet.machines.values():
        shares = vm.record.spec.shares
        found |= {share.location for share in shares if share.writable}
        mounts = vm.record.facts.mounts
        found |= {mount.location for mount in mounts if mount.writable}
    return sorted(found)


async def _ask(
    call: context.Call, name: str, driver: driver_protocol.Driver, wanted: params.OpenSession
) -> results.Session:
    """Ask the driver; tell the caller when the answer takes long."""

    def say() -> None:
        message = f"the driver of VM {name} (process {driver.pid}) does not answer"
        call.progress(Progress(phase="session", message=message))

    timer = asyncio.get_running_loop().call_later(PATIENCE_S, say)
    try:
        return await driver.call(table.SESSION_OPEN, wanted)
    except errors.TimeLimit as exc:
        raise errors.GuestUnavailable(
            f"the driver of VM {name} (process {driver.pid}) does not answer",
            actions=(errors.Action("force_stop_vm", name=name),),
        ) from exc
    finally:
        timer.cancel()


def driver_with_agent(vm: machine.Machine) -> driver_protocol.Driver:
    """Return the driver of a VM whose agent has answered.

    Raises:
        errors.StateConflict: the VM does not run, or is paused.
        errors.GuestUnavailable: it is still booting.
    """
    state = vm.state
    if vm.driver is None or state.observed is not states.Observed.RUNNING:
        word, detail = vm.describe()
        raise errors.StateConflict(
            f"VM {vm.name} is not running ({word}{': ' if detail else ''}{detail})",
            actions=(errors.Action("start_vm", name=vm.name),),
        )
    if vm.paused:
        raise errors.StateConflict(
            f"VM {vm.name} is paused: {_why_paused(vm)}",
            actions=(errors.Action("resume_vm", name=vm.name),),
        )
    if state.readiness is states.Readiness.BOOTING:
        raise errors.GuestUnavailable(
            f"VM {vm.name} is still booting",
            actions=(errors.Action("wait_for_vm", name=vm.name),),
        )
    return vm.driver


def _why_paused(vm: machine.Machine) -> str:
    failure = vm.record.last_error
    if vm.state.readiness is states.Readiness.DEGRADED and failure is not None:
        return failure.message
    return "a user paused it"
