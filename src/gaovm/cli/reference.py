"""Writes ``docs/cli.md`` from the declarations of all commands."""

from __future__ import annotations

import sys

from gaovm.cli import main

_HEAD = """# The command line

Written by `python -m gaovm.cli.reference > docs/cli.md`; a test compares.

**Which VM.** Every command about a VM takes an optional NAME (`exec`: `--name`).
Without it, `$VM_NAME` is used, else the VM of the project: the nearest directory upwards with a
`.lima/config.yaml`. That belongs to the directory, however it is called (DIRECTORY`-dev`, with a
number where that is another's). A NAME that does not exist creates nothing; a near one is
suggested.

**Output.** Results go to standard output, everything else (progress, hints, errors) to standard
error. With `--json` the result is JSON, and so is an error:
`{"error": {code, message, field?, remedy?, details?}}`.

**Exit status.**

| status | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong words or a wrong config file |
| 3 | the daemon cannot be reached |
| 4 | the daemon's reply makes no sense |
| 124 | the time limit passed |
| 130 | interrupted; what was begun is undone, but a `restart` and a kept `up` go on |

`exec` and `shell` pass the status of the command in the VM, 128 + n when signal n ended it;
125: gaovm itself failed, 126: the command cannot be executed, 127: it was not found. Signals go to
the command. When the VM does not answer, gaovm says so and why; a TERM, HUP or INT that it does not
hear then ends gaovm with 128 + n, as does the third signal without a word from the command.

**At a terminal** of `shell` or `exec -t`, `~.` at the beginning of a line leaves (status 129, the
command gets a hang-up); `~~` there is one tilde.

**Environment.** `GAOVM_HOME` (default `~/.gaovm`): state and the daemon's socket. `GAOVM_CACHE`
(default `~/.cache/gaovm`): what images are made of. `GAOVM_IDLE_EXIT`: after how many seconds
without work the daemon leaves (default 900; 0: never). `GAOVM_LOG_LEVEL`: what logs tell.
`GAOVM_UID_RANGE=FIRST-LAST`: the user ids from which VMs started by root have theirs, 65,536 each
(default 1879048192-2147352575). `GAOVM_CONFINE=off`: hypervisors without a cage, for debugging only
([security.md](security.md)). The daemon takes these as they are when it starts.
`VM_NAME`: see above. `NO_COLOR`: no colour at a terminal; there is none elsewhere.
"""


def text() -> str:
    """The whole document."""
    parts = [_HEAD]
    for name, (_, _, summary) in main.COMMANDS.items():
        parts.append(f"## gaovm {name}: {summary}\n\n```\n{main.load(name).help()}```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(text())
