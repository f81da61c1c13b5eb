"""``gaovm logs``: reads the files itself, so it works for a stopped VM and without a daemon."""

from __future__ import annotations

import sys
import time

from gaovm import errors
from gaovm.cli import calls, entries, logfiles, options, output, target
from gaovm.client import paths
from gaovm.errors import suggestions
from gaovm.project import durations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

OF_VM = ("serial", "driver", "agent", "provision")
PLAIN = ("serial", "provision")
DAEMON = "daemon"
_WHY = {"provision": "no provision script has run", "agent": "the agent has reported nothing"}
_FOLLOW_LINES = 10


def run(parsed: options.Parsed) -> int:
    """Print or follow one log, or several merged by time."""
    import contextlib

    sources, choice = sources_of(parsed), choice_of(parsed)
    formatted = len(sources) > 1 or not sources[0].plain
    if parsed.flag("json") or choice.since is not None or parsed.text("level"):
        formatted = True
    count = parsed.number("lines")
    if parsed.flag("follow"):
        _follow(parsed, sources, choice, formatted=formatted)
        return 0
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(logfiles.LogFile(source.path)) for source in sources]
        if not any(files):
            raise _nothing(sources)
        if not formatted:
            _write_bytes(files[0].blocks() if count is None else files[0].last(count))
        elif count is None:
            pairs = zip(sources, files, strict=True)
            found = entries.merged([entries.forwards(*pair) for pair in pairs])
            _Printer(parsed, sources).show(entry for entry in found if choice.takes(entry))
        else:
            _Printer(parsed, sources).show(entries.last_of_all(sources, files, choice, count))
    return 0


def sources_of(parsed: options.Parsed) -> list[entries.Source]:
    """Return the logs that the options choose; without a choice, all logs of the VM.

    Raises:
        errors.UsageError: no name is known.
        errors.VmNotFound: there is no VM of that name.
    """
    from pathlib import Path

    chosen = [source for source in (*OF_VM, DAEMON) if parsed.flag(source)]
    if parsed.flag("all") or not chosen:
        chosen = [*OF_VM, DAEMON]
    daemon = entries.Source(DAEMON, Path(paths.daemon_log(calls.home())), plain=False)
    if chosen == [DAEMON]:
        return [daemon]
    name = calls.real_name(target.vm_name(parsed))
    directory = Path(paths.vm_dir(calls.home(), name))
    if not directory.is_dir():
        raise _unknown(name, directory.parent)
    found = [
        entries.Source(each, directory / f"{each}.log", plain=each in PLAIN, vm=name)
        for each in chosen
        if each != DAEMON
    ]
    return [*found, daemon] if DAEMON in chosen else found


def choice_of(parsed: options.Parsed) -> entries.Choice:
    """Return which lines the options choose.

    Raises:
        errors.UsageError: ``--since`` is no time.
    """
    text = parsed.text("since")
    since = None
    if text is not None:
        try:
            since = time.time() - durations.parse(text)
        except ValueError as exc:
            since = entries.parse_time(text)
            if since is None:
                moment = "2026-11-25 or 2026-11-25T22:43Z"
                raise LOGS.mistake(f"--since: {exc}, and no moment such as {moment}") from exc
    named = parsed.word() or parsed.text("name")
    whole = parsed.flag("all") or (parsed.flag(DAEMON) and not named)
    vm = None if whole else calls.real_name(target.vm_name(parsed))
    return entries.Choice(parsed.text("level"), since, vm)


def _follow(
    parsed: options.Parsed,
    sources: list[entries.Source],
    choice: entries.Choice,
    *,
    formatted: bool,
) -> None:
    from gaovm.cli import follow

    count = parsed.number("lines")
    count = _FOLLOW_LINES if count is None else count
    if not formatted:
        _write_bytes(follow.raw(sources[0].path, count))
        return
    printer = _Printer(parsed, sources)
    for came in follow.merged(sources, choice, count):
        printer.show(came)


class _Printer:
    """Write entries as the options say."""

    def __init__(self, parsed: options.Parsed, sources: list[entries.Source]) -> None:
        self._json = parsed.flag("json")
        self._with_source = len(sources) > 1

    def show(self, found: Iterable[entries.Entry]) -> None:
        for entry in found:
            text = entry.json() if self._json else entry.text(with_source=self._with_source)
            sys.stdout.buffer.write(text.encode(errors="replace"))
        sys.stdout.buffer.flush()


def _nothing(sources: list[entries.Source]) -> errors.NotFound:
    path = sources[0].path
    if len(sources) > 1:
        return errors.NotFound(f"there are no logs in {path.parent}: nothing has run yet")
    why = _WHY.get(sources[0].name, "nothing has run")
    return errors.NotFound(f"there is no {path}: {why} yet")


def _unknown(name: str, vms: Path) -> errors.VmNotFound:
    known = [path.name for path in vms.iterdir()] if vms.is_dir() else []
    remedy = suggestions.did_you_mean(name, known) or "gaovm ls lists the VMs"
    return errors.VmNotFound(f"there is no VM {name}", remedy=remedy)


def _write_bytes(blocks: Iterable[bytes]) -> None:
    stream, plain = sys.stdout.buffer, sys.stdout.isatty()
    for block in blocks:
        # a guest's console may hold anything; a terminal gets plain text only
        text = output.harmless(block.decode(errors="replace")) if plain else ""
        stream.write(text.encode(errors="replace") if plain else block)
        stream.flush()


LOGS = options.Command(
    "logs",
    run,
    about="""Show the logs of the VM, merged by time: its serial console, its driver, the agent in
it, provision scripts, and what the daemon says about it. If you name one log, it is
shown alone; several are merged. Rotated files are read too. Works for a stopped VM.""",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        options.Option("-f, --follow", "go on as the logs grow; Ctrl-C ends"),
        options.Option(
            "-n, --lines", "only the last N lines (with -f: 10)", value="N", kind="number"
        ),
        options.Option("--serial", "the serial console; alone: byte for byte"),
        options.Option("--driver", "the VM's driver process, its hypervisor and share servers"),
        options.Option("--agent", "the agent in the guest"),
        options.Option("--provision", "the output of the provision scripts"),
        options.Option("--daemon", "the daemon; alone: all of it, unless a NAME is given"),
        options.Option("--all", "everything, also what the daemon says about other things"),
        options.Option(
            "--level",
            "lines of this level or worse; plain output is info",
            value="LEVEL",
            choices=entries.LEVELS,
        ),
        options.Option("--since", "only from then on: 10m, 2h, or a date and time", value="TIME"),
        options.Option("--json", "one JSON object a line"),
    ),
    examples=(
        "gaovm logs",
        "gaovm logs -f",
        "gaovm logs --serial",
        "gaovm logs --level warn --since 1h",
        "gaovm logs --driver -n 50 web-dev",
        "gaovm logs --daemon --json",
    ),
)
