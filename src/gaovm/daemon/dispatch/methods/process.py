"""The daemon itself: ``ping``, ``daemon.*``, ``events.subscribe``, ``call.cancel``."""

from __future__ import annotations

import os

from gaovm import errors, version
from gaovm.aio import clock
from gaovm.daemon.dispatch import context
from gaovm.ipc import methods
from gaovm.model import states
from gaovm.platform import processes
from gaovm.wire.control import events, target
from gaovm.wire.control import process as wire
from gaovm.wire.control.progress import Progress


async def ping(ctx: context.Daemon, call: context.Call, args: target.Nothing) -> wire.Pong:
    """Answer that the daemon runs."""
    return wire.Pong(ok=True, ts=clock.now())


async def daemon_status(
    ctx: context.Daemon, call: context.Call, args: target.Nothing
) -> wire.DaemonStatus:
    """Return facts about the daemon."""
    machines = ctx.fleet.machines.values()
    running = sum(vm.state.observed is states.Observed.RUNNING for vm in machines)
    return wire.DaemonStatus(
        pid=os.getpid(),
        version=version.VERSION,
        protocol=methods.CONTROL,
        home=str(ctx.fleet.paths.home),
        started_at=ctx.started_at,
        vms=wire.VmCount(running=running, total=len(machines)),
        zygote_pid=ctx.zygote.pid,
        recovered=ctx.fleet.store.recovered,
        quarantined_vms=tuple(ctx.fleet.store.mended),
        drift_mended=ctx.supervisor.mended,
        stalls=wire.Stalls(count=ctx.watch.count, longest_s=round(ctx.watch.longest_s, 3)),
        rss_bytes=processes.resident_bytes(),
    )


async def daemon_stop(
    ctx: context.Daemon, call: context.Call, args: target.Nothing
) -> wire.Stopping:
    """Begin to stop the daemon: it stops the guests, but remembers which ones should run."""
    ctx.request_stop()
    return wire.Stopping(stopping=True)


async def daemon_upgrade(
    ctx: context.Daemon, call: context.Call, args: wire.Upgrade
) -> wire.Upgraded:
    """Execute the code that is installed now, in this process; the new code answers.

    Raises:
        errors.StateConflict, errors.HostError: nothing has changed.
    """
    origin = call.origin
    if ctx.upgrade is None or origin is None:
        raise errors.StateConflict("this daemon cannot hand over")

    def progress(phase: str, message: str) -> None:
        call.progress(Progress(phase=phase, message=message))

    await ctx.upgrade.run(origin, progress, args.timeout_s)


async def subscribe(
    ctx: context.Daemon, call: context.Call, args: events.Subscribe
) -> events.Subscribed:
    """Send this connection the events after ``since``, then whatever happens.

    ``seq`` is the number of the newest event, ``oldest`` of the oldest that is kept: with a
    ``since`` below ``oldest - 1`` some are lost, and the replay begins with ``oldest``.
    """
    log = ctx.fleet.events
    seq, oldest = log.last, log.oldest
    call.subscribe(args.since)
    return events.Subscribed(ok=True, seq=seq, oldest=oldest)


async def cancel(ctx: context.Daemon, call: context.Call, args: wire.Cancel) -> wire.Cancelled:
    """Withdraw from another call of this connection."""
    return wire.Cancelled(cancelled=call.cancel(args.id, args.then))
