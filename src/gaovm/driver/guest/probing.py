"""Readiness probes, run through the agent in the file's order."""

from __future__ import annotations

import asyncio
import contextlib
import os

from gaovm import errors
from gaovm.driver.guest import provision
from gaovm.driver.guest.output import MAX_LINE, Output, Report
from gaovm.driver.logs import StampedLog
from gaovm.guestmanager import processes
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.guest import Guest, Probe
from gaovm.wire.agent.processes import Command

LIMIT_S = 600.0
PAUSE_S = 3.0
LOG_LINES, MAX_LOG, LOG_LIMIT_S = 20, 64 << 10, 10.0
_LAST_LOG_LINES = """\
journalctl -n 20 --no-pager -q -o short 2>/dev/null ||
  tail -n 20 /var/log/messages 2>/dev/null || dmesg | tail -n 20
"""


async def run(
    connection: Connection, what: Guest, limit_s: float | None, log: StampedLog, report: Report
) -> None:
    """Try each probe until it passes.

    Raises:
        errors.ProbeFailed: one did not within ``limit_s`` (None: 10 min or GAOVM_PROBE_TIMEOUT_S).
        errors.GuestUnavailable: the agent is gone.
    """
    if limit_s is None:
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
            logged = await _last_log_lines(connection)
            raise _not_passed(wanted, name, limit_s, output.finish(), logged) from exc


async def _until_passed(connection: Connection, what: Probe, user: str, output: Output) -> None:
    ended = await provision.run_script(connection, what, user, output)
    while ended.code != 0:
        await asyncio.sleep(PAUSE_S)
        ended = await provision.run_script(connection, what, user, output)


async def _last_log_lines(connection: Connection) -> list[str]:
    """Return what the guest itself logged last; nothing if it cannot say so soon."""
    found = bytearray()
    command = Command(argv=("/bin/sh", "-c", _LAST_LOG_LINES), user="root", cwd="/")
    with contextlib.suppress(errors.GaoError, TimeoutError):
        await processes.run(
            connection,
            command,
            on_output=lambda _, data: found.extend(data[: MAX_LOG - len(found)]),
            limit_s=LOG_LIMIT_S,
        )
    text = found.decode("utf-8", "replace")
    return [line.strip()[:MAX_LINE] for line in text.splitlines() if line.strip()][-LOG_LINES:]


def _not_passed(
    wanted: Probe, name: str, limit_s: float, tail: list[str], logged: list[str]
) -> errors.ProbeFailed:
    message = f"{name} did not pass within {limit_s:g} s"
    message += f": {wanted.hint.strip()}" if wanted.hint else ""
    message += "".join(f"\n  {line}" for line in tail)
    if logged:
        message += "\n  the guest's log:" + "".join(f"\n    {line}" for line in logged)
    return errors.ProbeFailed(
        message,
        remedy=wanted.hint or "the VM runs on: look inside",
        actions=() if wanted.hint else (errors.Action("open_shell"),),
        details={"probe": name, "hint": wanted.hint, "tail": tail, "guest_log": logged},
    )
