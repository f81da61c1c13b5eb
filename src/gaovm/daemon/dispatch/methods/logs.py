"""``log.level``: how much the daemon logs, or the driver and the agent of a VM."""

from __future__ import annotations

import logging

from gaovm.aio import logs
from gaovm.daemon.dispatch import context
from gaovm.wire.control import logs as wire
from gaovm.wire.driver import params, table

logger = logging.getLogger(__name__)


async def level(ctx: context.Daemon, call: context.Call, args: wire.SetLevel) -> wire.LevelResult:
    """Change or return the level. It applies at once, or at the next start of a stopped VM."""
    if args.name is None:
        if args.level is not None:
            logs.set_level(args.level)
            logger.info("log level is now %s", args.level)
        return wire.LevelResult(name=None, level=logs.level(), running=True)
    vm = ctx.find(args.name)
    if args.level is not None:
        ctx.fleet.log_levels[vm.name] = args.level
    if vm.driver is not None:
        told = await vm.driver.call(table.LOG_LEVEL, params.LogLevel(level=args.level))
        return wire.LevelResult(name=vm.name, level=told.level, running=True)
    found = ctx.fleet.log_levels.get(vm.name) or logs.initial_level()
    return wire.LevelResult(name=vm.name, level=found, running=False)
