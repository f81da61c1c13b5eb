"""Provision scripts and readiness probes, run through the agent in the file's order."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable

from gaovm import errors
from gaovm.aio import clock
from gaovm.driver.logs import StampedLog
from gaovm.guestmanager import processes
from gaovm.guestmanager.connection import Connection
from gaovm.spec.guest import Guest, Probe, Script
from gaovm.wire.agent.processes import Command, Exit

PROBE_LIMIT_S = 600.0
PROBE_PAUSE_S = 3.0
TAIL_LINES = 20
MAX_LINE = 1000
REPORT_EVERY_S = 0.1
Report = Callable[[str, str], None]
# The script arrives on stdin and runs from its own file, so that its first line chooses the
# interpreter and its stdin is empty.
_RUNNER = (
    't=$(mktemp "${TMPDIR:-/tmp}/gaovm-script.XXXXXX") && cat >"$t" && chmod 700 "$t" || exit 125; '
    '"$t" </dev/null; s=$?; rm -f "$t"; exit $s'
)


class _Output:
    """The lines of one script: logs all, keeps the last ones, reports some."""

    def __init__(self, log: StampedLog, phase: str, name: str, report: Report) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._log, self._phase, self._name, self._report = log, phase, name, report
        self._partial = b""
        self._reported = 0.0

    def take(self, kind: int, data: bytes) -> None:
        self._log.write(data)
        *lines, rest = (self._partial + data).replace(b"\r", b"\n").split(b"\n")
        self._partial = rest[-MAX_LINE:]
        for line in lines:
            self._line(line)

    def finish(self) -> list[str]:
        self._line(self._partial)
        self._partial = b""
        return list(self.tail)

    def _line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()[:MAX_LINE]
        if not text:
            return
        self.tail.append(text)
        if clock.monotonic() - self._reported >= REPORT_EVERY_S:
            self._reported = clock.monotonic()
            self._report(self._phase, f"{self._name}: {text}")


async def run(connection: Connection, what: Guest, log: StampedLog, report: Report) -> None:
    """Run every script: mode ``system`` as root, ``user`` as the configured user.

    Raises:
        errors.ProvisionFailed: a script ended with another status than 0; later ones did not run.
        errors.GuestUnavailable: the agent is gone.
    """
    for script in what.provision:
        report("provision", f"{script.name}: started")
        log.write(f"=== {script.name} ({script.mode})\n".encode())
        output = _Output(log, "provision", script.name, report)
        user = "root" if script.mode == "system" else what.user.name
        ended = await _run_script(connection, script, user, output)
        if ended.code != 0:
            raise _failed(script, ended, output.finish())


async def probe(connection: Connection, what: Guest, log: StampedLog, report: Report) -> None:
    """Try each probe until it passes.

    Raises:
        errors.ProbeFailed: one did not within the limit (10 min, or GAOVM_PROBE_TIMEOUT_S).
        errors.GuestUnavailable: the agent is gone.
    """
    limit_s = float(os.environ.get("GAOVM_PROBE_TIMEOUT_S", PROBE_LIMIT_S))
    for number, wanted in enumerate(what.probes):
        name = wanted.description or f"probes[{number}]"
        report("probe", f"{name}: started")
        log.write(f"=== probe {name}\n".encode())
        output = _Output(log, "probe", name, report)
        try:
            async with asyncio.timeout(limit_s):
                await _until_passed(connection, wanted, what.user.name, output)
        except TimeoutError as exc:
            raise _not_passed(wanted, name, limit_s, output.finish()) from exc


async def _until_passed(connection: Connection, what: Probe, user: str, output: _Output) -> None:
    ended = await _run_script(connection, what, user, output)
    while ended.code != 0:
        await asyncio.sleep(PROBE_PAUSE_S)
        ended = await _run_script(connection, what, user, output)


async def _run_script(
    connection: Connection, what: Script | Probe, user: str, output: _Output
) -> Exit:
    argv = ("/bin/sh", "-c", _RUNNER)
    command = Command(argv=argv, env=what.env, user=user, cwd="", cwd_home_ok=True)
    text = what.script.encode()
    return await processes.run(connection, command, stdin=text, on_output=output.take)


def _failed(script: Script, ended: Exit, tail: list[str]) -> errors.ProvisionFailed:
    how = f"signal {ended.signal}" if ended.signal else f"status {ended.code}"
    last = "".join(f"\n  {line}" for line in tail)
    return errors.ProvisionFailed(
        f"{script.name} (mode {script.mode}) ended with {how}{last}",
        field=script.name,
        remedy="the VM runs on: look inside, or read the whole output",
        actions=(errors.Action("open_shell"), errors.Action("show_provision_log")),
        details={"script": script.name, "status": ended.code, "tail": tail},
    )


def _not_passed(wanted: Probe, name: str, limit_s: float, tail: list[str]) -> errors.ProbeFailed:
    return errors.ProbeFailed(
        f"{name} did not pass within {limit_s:g} s" + (f": {wanted.hint}" if wanted.hint else ""),
        remedy=wanted.hint or "the VM runs on: look inside",
        actions=() if wanted.hint else (errors.Action("open_shell"),),
        details={"probe": name, "hint": wanted.hint, "tail": tail},
    )
