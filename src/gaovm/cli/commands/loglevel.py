"""``gaovm log-level``: how much a VM's driver and agent, or the daemon, write to their logs."""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import calls, options, output, target

LEVELS = ("error", "warn", "info", "debug")


def run(parsed: options.Parsed) -> int:
    """Show the level, or change it at once."""
    params = {"level": _take_level(parsed)}
    if not parsed.flag("daemon"):
        params["name"] = target.vm_name(parsed)
    elif parsed.words or parsed.text("name"):
        raise LOG_LEVEL.mistake("--daemon and a VM's name exclude each other")
    with calls.connect() as client:
        try:
            found = calls.call(client, "log.level", params)
        except errors.VmNotFound as error:
            if params["level"] is None and parsed.words:
                levels = f"levels are {', '.join(LEVELS)}"
                error.remedy = f"{levels}\n{error.remedy}" if error.remedy else levels
            raise
    if parsed.flag("json"):
        output.json_out(found)
        return 0
    whose = f"VM {found['name']}" if found.get("name") else "the daemon"
    when = "" if found.get("running") else " (from its next start)"
    output.out(f"{whose}: {found.get('level')}{when}")
    return 0


def _take_level(parsed: options.Parsed) -> str | None:
    """Take the level out of the words; a VM whose name is a level needs ``--name``."""
    level = next((word for word in parsed.words if word in LEVELS), None)
    if level is not None:
        parsed.words.remove(level)
    if len(parsed.words) > 1:
        raise LOG_LEVEL.mistake(f"{parsed.words[0]} is no level: {', '.join(LEVELS)}")
    return level


LOG_LEVEL = options.Command(
    "log-level",
    run,
    about="""Show or change how much the VM's driver and agent log, or with --daemon the daemon. A
change applies at once, until the daemon ends. All begin with GAOVM_LOG_LEVEL of the
daemon's environment (default: info).""",
    words="[error|warn|info|debug] [NAME]",
    count=(0, 2),
    options=(
        options.NAME,
        options.Option("--daemon", "the daemon's own level"),
        options.JSON,
    ),
    examples=("gaovm log-level", "gaovm log-level debug web-dev", "gaovm log-level --daemon warn"),
)
