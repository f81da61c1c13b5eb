"""``gaovm logs``: reads the files itself, so it works for a stopped VM and without a daemon."""

from __future__ import annotations

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
        raise errors.NotFound(
            f"there is no {path} yet", remedy="it is written when the VM starts: gaovm up"
        )
    _copy(follow.read(path, lines))
    return 0


def log_path(parsed: options.Parsed) -> Path:
    """The file that the options choose.

    Raises:
        errors.UsageError: more than one source was chosen, or no name is known.
    """
    chosen = [source for source in (*SOURCES, "daemon") if parsed.flag(source)]
    if len(chosen) > 1:
        raise LOGS.mistake(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    source = chosen[0] if chosen else "serial"
    if source == "daemon":
        return Path(paths.daemon_log(paths.home()))
    directory = Path(paths.vm_dir(paths.home(), target.vm_name(parsed)))
    return directory / SOURCES[source]


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
