"""``gaovm doctor``: what this machine offers and lacks. Needs no daemon."""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import calls, colour, options, output
from gaovm.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gaovm.hostfacts import doctor

_ANSWER_LIMIT_S = 5.0
_DAEMON_LOG = (errors.Action("show_daemon_log"),)
_MARKS = {"ok": "ok", "warn": "warn", "fail": "FAIL"}


def run(parsed: options.Parsed) -> int:
    """Check everything; return 1 when something is missing that ``up`` needs."""
    from pathlib import Path

    from gaovm.hostfacts import doctor

    checks = doctor.checks(Path(paths.home())) + _daemon()
    failed = any(check.level == "fail" for check in checks)
    if parsed.flag("json"):
        output.json_out({"ok": not failed, "checks": [_json(check) for check in checks]})
    else:
        output.out(colour.words_at(text(checks), 0, sys.stdout))
    return 1 if failed else 0


def _json(check: doctor.Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "level": check.level,
        "found": check.found,
        "remedy": check.remedy,
        "actions": output.actions_json(check.actions),
    }


def _daemon() -> list[doctor.Check]:
    """Check whether the daemon's loop has stood still; no check where no daemon runs."""
    from gaovm.hostfacts import doctor

    try:
        with calls.connect(start=False) as client:
            stalls = client.call("daemon.status", {}, _ANSWER_LIMIT_S).get("stalls") or {}
    except errors.TimeLimit:
        found = "does not answer"
        return [doctor.Check(name="daemon", level="warn", found=found, actions=_DAEMON_LOG)]
    except errors.GaoError:
        return []
    if not stalls.get("count"):
        return [doctor.Check(name="daemon", level="ok", found="runs, and never stood still")]
    longest = output.duration(float(stalls.get("longest_s") or 0))
    return [
        doctor.Check(
            name="daemon",
            level="warn",
            found=f"stood still {stalls['count']} times, for {longest} at most",
            actions=_DAEMON_LOG,
        )
    ]


def text(checks: list[doctor.Check]) -> str:
    """Write the report: a line for each check, with its remedy below."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{_MARKS[check.level]:5} {check.name:{width}}  {check.found}")
        for index, line in enumerate(output.remedy_lines(check.remedy, check.actions)):
            head = "        " if index else "remedy: "
            lines.append(f"{'':{width + 6}}  {head}{line}")
    counts = {level: sum(check.level == level for check in checks) for level in _MARKS}
    if counts["fail"]:
        lines.append(f"{counts['fail']} missing: gaovm up will not work until that is there")
    elif counts["warn"]:
        lines.append(f"gaovm up will work; {counts['warn']} could be better")
    else:
        lines.append("everything is there")
    return "\n".join(lines)


DOCTOR = options.Command(
    "doctor",
    run,
    about="Check this machine: hypervisor, accelerator (by a real try), programs, memory, disk,\n"
    "network, rights. Names what is missing and the command that adds it; exit status 1 then.",
    options=(options.JSON,),
    examples=("gaovm doctor", "gaovm doctor --json"),
)
