"""How much is logged: by the daemon, by the driver and the agent of a VM."""

from __future__ import annotations

import logging
from typing import Any

from gaovm.aio import logs
from gaovm.daemon import context, params
from gaovm.ipc import methods

logger = logging.getLogger(__name__)


async def level(ctx: context.Context, call: context.Call, args: params.LogLevel) -> Any:
    """Change or tell the level, at once. Of a VM that does not run it holds from its next start."""
    if args.name is None:
        if args.level is not None:
            logs.set_level(args.level)
            logger.info("log level is now %s", args.level)
        return {"name": None, "level": logs.level(), "running": True}
    subject = ctx.find(args.name)
    if args.level is not None:
        ctx.hub.log_levels[subject.name] = args.level
    if subject.driver is not None:
        answer = await subject.driver.call(methods.LOG_LEVEL, {"level": args.level})
        return {"name": subject.name, "level": answer.get("level"), "running": True}
    found = ctx.hub.log_levels.get(subject.name) or logs.initial_level()
    return {"name": subject.name, "level": found, "running": False}
