"""Write ``docs/cli.md`` and ``docs/reference/actions.md`` from what the command line declares."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

from gaovm import switches
from gaovm.cli import actions as rendering
from gaovm.cli import catalog
from gaovm.errors import actions

_HEAD = """# The command line

Written by `python -m gaovm.cli.reference > docs/cli.md`; a test compares.

**Which VM.** Every command about a VM takes an optional NAME (`exec`: `--name`).
Without it, `$VM_NAME` is used, else the VM of the project: the nearest directory upwards with a
`.lima/config.yaml`. This VM belongs to the directory, whatever its name is (DIRECTORY`-dev`, with
a number if another VM has that name). A NAME that does not exist creates nothing; a message
suggests a similar one.

**Output.** Results go to standard output, everything else (progress, hints, errors) to standard
error. With `--json` the result is JSON, and so is an error:
`{"error": {code, message, field?, remedy?, actions?, details?}}`. An action is
`{code, args, command}`: something that helps ([actions.md](reference/actions.md)).

**Exit status.**

%s

`exec` and `shell` pass the status of the command in the VM, 128 + n when signal n ended it;
125: gaovm itself failed, 126: the command cannot be executed, 127: it was not found. Signals go to
the command. When the VM does not answer, gaovm says so and why; a TERM, HUP or INT that the VM
does not get then ends gaovm with 128 + n, as does the third signal if the command stays silent.

**At a terminal** of `shell` or `exec -t`, `~.` at the beginning of a line leaves (status 129, the
command gets a hang-up); `~~` there is one tilde.

**Environment.** [environment.md](environment.md) has every variable. The daemon reads its
variables when it starts.

%s

**Completion.** `gaovm completion bash` (or `zsh`, `fish`) prints what a shell needs to complete
commands, options, VMs and images; its first lines say where it belongs. `man gaovm` is this page.
"""


EXIT_STATUS = (
    ("0", "done"),
    ("1", "failed"),
    ("2", "wrong words or a wrong config file"),
    ("3", "the daemon cannot be reached"),
    ("4", "the daemon's reply makes no sense"),
    ("124", "the time limit passed"),
    ("130", "interrupted; what was begun is undone, but a `restart` and a kept `up` go on"),
)
_ACTIONS_HEAD = """# Actions

Written by `python -m gaovm.cli.reference actions > docs/reference/actions.md`; a test compares.
An error names what helps as actions, in its data: `actions: [{code, args}]`. A front end renders
them in its own terms. `remedy` says the same in words, for readers without actions. Without `name`,
an action is about the VM of the failed call.

| action | what it does | arguments | on the command line |
|---|---|---|---|
"""


def text() -> str:
    """Return ``docs/cli.md``."""
    statuses = _table(("status", "meaning"), EXIT_STATUS)
    variables = [(f"`{s.name}`", s.about, s.default) for s in switches.USER]
    parts = [_HEAD % (statuses, _table(("variable", "what it says", "without it"), variables))]
    for name, (_, _, summary) in catalog.COMMANDS.items():
        parts.append(f"## gaovm {name}: {summary}\n\n```\n{catalog.load(name).help()}```\n")
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def actions_page() -> str:
    """Return ``docs/reference/actions.md``."""
    rows = []
    for code, known in actions.KNOWN.items():
        args = ", ".join([*known.needs, *(f"{name}?" for name in known.may)])
        about = re.sub(r"[{}]", "", known.about)
        rows.append(f"| `{code}` | {about} | {args} | `gaovm {rendering.COMMANDS[code]}` |\n")
    return _ACTIONS_HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(actions_page() if sys.argv[1:] == ["actions"] else text())
