"""Run one command line of ``gaovm``; turn errors into text and an exit code."""

from __future__ import annotations

import os
import sys

from gaovm import errors
from gaovm.cli import catalog, colour, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaovm.cli import options

INTERRUPTED = 130
#: The hidden command by which a shell asks what can stand at the end of a line.
COMPLETE = "__complete"


def entry(line: Callable[[Sequence[str]], int] | None = None) -> None:
    """Run ``sys.argv`` and exit at once: the interpreter's own shutdown takes 5 ms.

    ``line`` runs the words; by default those of ``gaovm``.
    """
    _stand_in_for_closed_streams()
    code = (line or run)(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue  # nobody is left to tell
    os._exit(code)


def _stand_in_for_closed_streams() -> None:
    """Open /dev/null for each stream that a shell closed (``>&-``), so no file gets its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            setattr(sys, name, os.fdopen(fd, "r" if number == 0 else "w"))


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns the exit code. Never raises for an error of the tree."""
    if list(argv[:1]) == [COMPLETE]:
        from gaovm.cli import completing

        return completing.run(argv[1:])
    command: options.Command | None = None
    try:
        command, words = catalog.find(argv)
        if command is None:
            return _overview(words)
        parsed = command.parse(words)
        if parsed.flag("help"):
            sys.stdout.write(colour.headings(command.help(), sys.stdout))
            return 0
        code = command.run(parsed)
        sys.stdout.flush()
    except errors.GaoError as error:
        return _report(error, command, "--json" in _before_rest(argv))
    except KeyboardInterrupt:
        output.err("gaovm: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return closed_output()
    except OSError as error:
        return _report(of_system(error), command, "--json" in _before_rest(argv))
    return code


def _overview(words: list[str]) -> int:
    group = words[0] if words and words[0] in catalog.GROUPS else ""
    asked = bool(words) and (words == ["help"] or len(words) > 1)
    stream = sys.stdout if asked else sys.stderr
    print(colour.headings(catalog.overview(group), stream), file=stream)
    return 0 if asked else errors.UsageError.exit_code


def of_system(error: OSError) -> errors.HostError:
    """Make an error of a failed system call that no command foresaw; it names the file."""
    what = f"{error.filename}: " if error.filename else ""
    return errors.HostError(f"{what}{error.strerror or error}")


def _before_rest(argv: Sequence[str]) -> Sequence[str]:
    return argv[: argv.index("--")] if "--" in argv else argv


def _report(error: errors.GaoError, command: options.Command | None, json: bool) -> int:
    output.err(colour.error(output.error_text(error), sys.stderr))
    if json:
        output.json_out(output.error_json(error))
    if command is not None and command.own_failure is not None:
        # 130 stays: the caller's own Ctrl-C is no failure of ours
        return error.exit_code if error.exit_code == INTERRUPTED else command.own_failure
    return error.exit_code


def closed_output() -> int:
    """Fail silently after the reader of our output went away (``gaovm ls | head -1``)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 1
