"""``gaovm logs``: reads the files itself, so it works for a stopped VM and without a daemon."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from gaovm import errors
from gaovm.cli import options, output, target
from gaovm.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = {"serial": "serial.log", "driver": "driver.log", "provision": "provision.log"}
_FOLLOW_LINES = 10


def run(parsed: options.Parsed) -> int:
    """Print or follow one log file."""
    from gaovm.cli import follow

    path = log_path(parsed)
    lines = parsed.number("lines")
    if parsed.flag("follow"):
        _copy(follow.follow(path, _FOLLOW_LINES if lines is None else lines))
        return 0
    if not path.exists():
        why = "no provision script has run" if path.name == "provision.log" else "nothing has run"
        raise errors.NotFound(f"there is no {path}: {why} yet")
    _copy(follow.read(path, lines))
    return 0


def log_path(parsed: options.Parsed) -> Path:
    """The file that the options choose.

    Raises:
        errors.UsageError: more than one source was chosen, or no name is known.
        errors.VmNotFound: there is no VM of that name.
    """
    chosen = [source for source in (*SOURCES, "daemon") if parsed.flag(source)]
    if len(chosen) > 1:
        raise LOGS.mistake(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    source = chosen[0] if chosen else "serial"
    if source == "daemon":
        return Path(paths.daemon_log(paths.home()))
    name = target.vm_name(parsed)
    directory = Path(paths.vm_dir(paths.home(), name))
    if not directory.is_dir():
        raise _unknown(name, directory.parent)
    return directory / SOURCES[source]


def _unknown(name: str, vms: Path) -> errors.VmNotFound:
    known = [path.name for path in vms.iterdir()] if vms.is_dir() else []
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else "gaovm ls lists the VMs"
    return errors.VmNotFound(f"there is no VM {name}", remedy=remedy)


def _copy(blocks: Iterator[bytes]) -> None:
    stream = sys.stdout.buffer
    if not sys.stdout.isatty():
        for block in blocks:
            stream.write(block)
            stream.flush()
        return
    for block in blocks:  # a guest's console may hold anything: a terminal gets plain text only
        stream.write(output.harmless(block.decode(errors="replace")).encode(errors="replace"))
        stream.flush()


LOGS = options.Command(
    "logs",
    run,
    about="Show what the VM wrote to its serial console, or another log. Works for a stopped VM.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        options.Option("-f, --follow", "go on as the log grows; Ctrl-C ends"),
        options.Option(
            "-n, --lines", "only the last N lines (with -f: 10)", value="N", kind="number"
        ),
        options.Option("--serial", "the serial console (the default)"),
        options.Option("--provision", "the output of the provision scripts"),
        options.Option("--driver", "the VM's driver process"),
        options.Option("--daemon", "the daemon"),
    ),
    examples=("gaovm logs", "gaovm logs -f", "gaovm logs --driver -n 50 web-dev"),
)
