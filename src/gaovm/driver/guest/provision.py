"""The entries of ``provision``, run through the agent in Lima's order: by mode, then as written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple, get_args

import msgspec

from gaovm import errors
from gaovm.driver.guest import editing
from gaovm.driver.guest.editing import Editor
from gaovm.driver.guest.output import Output, Report
from gaovm.driver.logs import StampedLog
from gaovm.guestmanager import processes, textfiles
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.guest import Guest, Mode, Probe, Script
from gaovm.wire.agent.processes import Command, Exit

#: Run while the distribution boots, before anything else of the set-up.
EARLY: tuple[Mode, ...] = ("boot",)
#: Run once it has booted.
LATE: tuple[Mode, ...] = tuple(mode for mode in get_args(Mode) if mode not in EARLY)
# The script arrives on stdin and runs from its own file, so that its first line chooses the
# interpreter and its stdin is empty.
_RUNNER = (
    't=$(mktemp "${TMPDIR:-/tmp}/gaovm-script.XXXXXX") && cat >"$t" && chmod 700 "$t" || exit 125; '
    '"$t" </dev/null; s=$?; rm -f "$t"; exit $s'
)


def ordered(what: Guest, modes: tuple[Mode, ...]) -> list[Script]:
    """Return the entries of these modes, in the order in which they run."""
    return [script for mode in modes for script in what.provision if script.mode == mode]


class Runner(NamedTuple):
    """In which guest entries run, and as whom: ``user`` is the configured user.

    ``limit_s``: the time of each in seconds; 0 means no limit. ``variables``: of root's scripts in
    the booted guest.
    """

    connection: Connection
    user: str
    editor: Editor
    limit_s: float
    variables: Mapping[str, str]


async def run(runner: Runner, scripts: Iterable[Script], log: StampedLog, report: Report) -> None:
    """Run entries: mode ``user`` as the configured user, all others as root.

    Raises:
        errors.ProvisionFailed: one ended with another status than 0; later ones did not run.
        errors.GuestUnavailable: the agent is gone.
    """
    for script in scripts:
        report("provision", f"{script.name}: started")
        log.write(f"=== {script.name} ({script.mode})\n".encode())
        output = Output(log, "provision", script.name, report)
        limit_s = runner.limit_s if script.target is None else 2 * editing.COPY_LIMIT_S
        try:
            async with asyncio.timeout(limit_s or None):
                ended = await _run(runner, script, output)
        except errors.GuestCallFailed as exc:
            raise _failed(script, exc.message, output.finish()) from exc
        except TimeoutError as exc:
            how = f"did not end within {limit_s:g} s"
            raise _failed(script, how, output.finish()) from exc
        if ended.code != 0:
            how = f"signal {ended.signal}" if ended.signal else f"status {ended.code}"
            raise _failed(script, f"ended with {how}", output.finish(), ended.code)


async def _run(runner: Runner, script: Script, output: Output) -> Exit:
    target = script.target
    if target is None:
        if script.mode in ("dependency", "system"):
            env = {**runner.variables, **script.env}
            script = msgspec.structs.replace(script, env=env)
        user = runner.user if script.mode == "user" else "root"
        return await run_script(runner.connection, script, user, output)
    if script.mode == "yq":
        return await runner.editor.edit(runner.connection, script, target, output.take)
    content = script.script.encode()
    return await textfiles.write(runner.connection, target, content, output.take)


async def run_script(
    connection: Connection, what: Script | Probe, user: str, output: Output
) -> Exit:
    """Run a script or a probe as a user of the guest; return how it ended."""
    argv = ("/bin/sh", "-c", _RUNNER)
    command = Command(argv=argv, env=what.env, user=user, cwd="", cwd_home_ok=True)
    text = what.script.encode()
    return await processes.run(connection, command, stdin=text, on_output=output.take)


def _failed(
    script: Script, how: str, tail: list[str], status: int | None = None
) -> errors.ProvisionFailed:
    last = "".join(f"\n  {line}" for line in tail)
    return errors.ProvisionFailed(
        f"{script.name} (mode {script.mode}) {how}{last}",
        field=script.name,
        remedy="the VM runs on: look inside, or read the whole output",
        actions=(errors.Action("open_shell"), errors.Action("show_provision_log")),
        details={"script": script.name, "mode": script.mode, "status": status, "tail": tail},
    )
