"""``gaovm daemon enable | disable``: write a systemd unit that starts the daemon, and so the VMs.

Root gets a unit of the system, anybody else one of the user's own manager. We write the files as
``systemctl enable`` would, so that it also works where systemd does not run now, as in a container
or a chroot.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from gaovm import errors
from gaovm.aio import files
from gaovm.cli import calls, options, output

_SYSTEMCTL_LIMIT_S = 20.0
SYSTEM = Path("/etc/systemd/system")
#: The unit passes these on as they are now: where programs, state and cache are, and whose files.
_VARIABLES = ("PATH", "GAOVM_CACHE", "GAOVM_LOG_LEVEL", "GAOVM_UID_RANGE")


class Unit(NamedTuple):
    """Describe the unit of one home. ``link`` is the file that makes ``target`` want it."""

    path: Path
    link: Path
    home: str
    is_user: bool

    @property
    def systemctl(self) -> str:
        """Return how a user calls systemctl for it."""
        return "systemctl --user" if self.is_user else "systemctl"

    @property
    def enabled(self) -> bool:
        """Tell whether the unit exists, and starts at boot or login."""
        return self.path.is_file() and self.link.is_symlink()


def find(home: str) -> Unit:
    """Return the unit of a home, whether or not it exists."""
    is_user = not is_root()
    if is_user:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd/user"
        wants = base / "default.target.wants"
    else:
        base = SYSTEM
        wants = base / "multi-user.target.wants"
    name = f"{_name(home)}.service"
    return Unit(base / name, wants / name, home, is_user)


def is_root() -> bool:
    """Tell whether we may write units of the system."""
    return os.geteuid() == 0


def _name(home: str) -> str:
    """Return ``gaovm`` for the usual home, and another name for each other home."""
    if home == str(Path.home() / ".gaovm"):
        return "gaovm"
    import hashlib

    return f"gaovm-{hashlib.sha256(os.fsencode(home)).hexdigest()[:8]}"


def text(unit: Unit, python: str, environment: dict[str, str]) -> str:
    """Write the text of the unit file.

    Raises:
        errors.UsageError: a path or variable that no unit file can hold.
    """
    variables = {"GAOVM_HOME": unit.home, **environment}
    lines = [f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()]
    program = " ".join(_argument(word) for word in (python, "-P", "-m", "gaovm.daemon"))
    return f"""\
# Written by `gaovm daemon enable`; `gaovm daemon disable` removes it.
[Unit]
Description=GaoVM, virtual machines of {_specifier(unit.home)}
RequiresMountsFor={_quoted(unit.home)}

[Service]
Type=exec
ExecStart={program}
{os.linesep.join(lines)}
# The daemon shuts its guests down itself; if it dies, its drivers die too.
KillMode=process
TimeoutStopSec=5min
Restart=on-failure
RestartSec=2
# 75: another daemon of this home runs, for example one that a command started
SuccessExitStatus=75
Delegate=yes

[Install]
WantedBy={"default.target" if unit.is_user else "multi-user.target"}
"""


def _specifier(value: str) -> str:
    if "\n" in value or "\0" in value:
        raise errors.UsageError(f"{value!r} is not allowed in a unit file")
    return value.replace("%", "%%")


def _quoted(value: str) -> str:
    escaped = _specifier(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _argument(word: str) -> str:
    return _quoted(word).replace("$", "$$")


def enable(parsed: options.Parsed) -> int:
    """Write the unit and let systemd want it. Idempotent."""
    unit = find(calls.home(write=True))
    environment = {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)}
    if "GAOVM_CACHE" in environment:
        environment["GAOVM_CACHE"] = str(Path(environment["GAOVM_CACHE"]).absolute())
    content = text(unit, sys.executable, environment)
    try:
        unit.link.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(unit.path, content.encode(), 0o644)
        unit.link.unlink(missing_ok=True)
        unit.link.symlink_to(Path("..") / unit.path.name)
    except OSError as exc:
        raise files.errors_of(exc, f"cannot write {unit.path}") from exc
    return _told(parsed, unit, reload_manager(unit), f"{unit.path} is written and enabled")


def disable(parsed: options.Parsed) -> int:
    """Remove the unit; the daemon that runs stays. Idempotent."""
    unit = find(calls.home())
    return _told(parsed, unit, remove(unit), f"{unit.path} is removed")


def remove(unit: Unit) -> bool:
    """Remove the unit's files; return whether systemd took notice.

    Raises:
        errors.HostError: they cannot be removed.
    """
    if not unit.path.exists() and not unit.link.is_symlink():
        return is_running(unit)
    try:
        unit.link.unlink(missing_ok=True)
        unit.path.unlink(missing_ok=True)
    except OSError as exc:
        raise files.errors_of(exc, f"cannot remove {unit.path}") from exc
    return reload_manager(unit)


def is_running(unit: Unit) -> bool:
    """Tell whether the manager that would start the unit runs here."""
    if not unit.is_user:
        return Path("/run/systemd/system").is_dir()
    directory = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return Path(directory, "systemd", "private").exists()


def reload_manager(unit: Unit) -> bool:
    """Let the manager read its units again; return False when it does not run here.

    Raises:
        errors.HostError: it does, and refuses.
    """
    program = shutil.which("systemctl")
    if program is None or not is_running(unit):
        return False
    command = [program, *(["--user"] if unit.is_user else []), "daemon-reload"]
    done = subprocess.run(command, capture_output=True, timeout=_SYSTEMCTL_LIMIT_S, check=False)
    if done.returncode != 0:
        why = done.stderr.decode("utf-8", "replace").strip()
        raise errors.HostError(f"{' '.join(command[1:])}: {why}")
    return True


def state(home: str) -> dict[str, object]:
    """Return the path of the unit, whether it is enabled, and whether its manager runs."""
    unit = find(home)
    return {"path": str(unit.path), "enabled": unit.enabled, "systemd": is_running(unit)}


def _told(parsed: options.Parsed, unit: Unit, reached: bool, done: str) -> int:
    if parsed.flag("json"):
        output.json_out(state(unit.home))
        return 0
    output.err(done)
    if not reached:
        output.err("systemd does not run here; the unit takes effect once it does")
    elif unit.enabled:
        output.err(f"now: {unit.systemctl} start {unit.path.stem}")
    if unit.enabled:
        when = "your login (at boot: loginctl enable-linger)" if unit.is_user else "boot"
        output.err(
            f"the daemon starts at {when}; VMs with `autostart: true` that ran start with it"
        )
    return 0


ENABLE = options.Command(
    "daemon enable",
    enable,
    about="Let systemd start the daemon: at boot as root, at login for others. The daemon then\n"
    "starts the VMs whose file says `autostart: true`, unless you stopped them. Writes a unit\n"
    "file and the link that enables it, even if systemd does not run now.",
    options=(options.JSON,),
    examples=("gaovm daemon enable", "sudo -H gaovm daemon enable"),
)

DISABLE = options.Command(
    "daemon disable",
    disable,
    about="Take back what `gaovm daemon enable` did. A daemon that runs stays.",
    options=(options.JSON,),
    examples=("gaovm daemon disable",),
)
