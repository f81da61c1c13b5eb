"""Readiness probes, run through the agent in the file's order."""

from __future__ import annotations

import asyncio
import os

from gaovm import errors
from gaovm.driver.guest import provision
from gaovm.driver.guest.output import Output, Report
from gaovm.driver.logs import StampedLog
from gaovm.guestmanager.connection import Connection
from gaovm.spec.guest import Guest, Probe

LIMIT_S = 600.0
PAUSE_S = 3.0


async def run(connection: Connection, what: Guest, log: StampedLog, report: Report) -> None:
    """Try each probe until it passes.

    Raises:
        errors.ProbeFailed: one did not within the limit (10 min, or GAOVM_PROBE_TIMEOUT_S).
        errors.GuestUnavailable: the agent is gone.
    """
    limit_s = float(os.environ.get("GAOVM_PROBE_TIMEOUT_S", LIMIT_S))
    for number, wanted in enumerate(what.probes):
        name = wanted.description or f"probes[{number}]"
        report("probe", f"{name}: started")
        log.write(f"=== probe {name}\n".encode())
        output = Output(log, "probe", name, report)
        try:
            async with asyncio.timeout(limit_s):
                await _until_passed(connection, wanted, what.user.name, output)
        except TimeoutError as exc:
            raise _not_passed(wanted, name, limit_s, output.finish()) from exc


async def _until_passed(connection: Connection, what: Probe, user: str, output: Output) -> None:
    ended = await provision.run_script(connection, what, user, output)
    while ended.code != 0:
        await asyncio.sleep(PAUSE_S)
        ended = await provision.run_script(connection, what, user, output)


def _not_passed(wanted: Probe, name: str, limit_s: float, tail: list[str]) -> errors.ProbeFailed:
    return errors.ProbeFailed(
        f"{name} did not pass within {limit_s:g} s" + (f": {wanted.hint}" if wanted.hint else ""),
        remedy=wanted.hint or "the VM runs on: look inside",
        actions=() if wanted.hint else (errors.Action("open_shell"),),
        details={"probe": name, "hint": wanted.hint, "tail": tail},
    )
