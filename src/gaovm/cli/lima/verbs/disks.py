"""``gaovm lima disk``: Lima's spelling of the verbs of ``gaovm disk``."""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import catalog, options
from gaovm.cli import main as gaovm_main
from gaovm.cli.lima import say, verb

#: Lima's verb -> ours.
_VERBS = {
    "create": "create",
    "list": "ls",
    "ls": "ls",
    "delete": "rm",
    "remove": "rm",
    "rm": "rm",
    "resize": "resize",
    "import": "import",
}


def disk(parsed: options.Parsed, tell: say.Log) -> int:
    """Run the verb of ``gaovm disk`` that a verb of Lima's means."""
    words = [word for word in parsed.rest if word not in ("--tty=false", "--tty", "-y")]
    verb = words[0] if words else ""
    if verb == "unlock":
        raise errors.UsageError(
            "`disk unlock` is not supported: only a VM that runs holds a disk",
            remedy="stop that VM",
        )
    if verb not in _VERBS:
        raise DISK.mistake(f"unknown command {verb!r} for disk: one of {', '.join(_VERBS)}")
    ours = f"disk {_VERBS[verb]}"
    if ours not in catalog.COMMANDS:
        raise errors.UsageError(f"this GaoVM has no `gaovm {ours}`")
    return gaovm_main.run([*ours.split(), *words[1:]])


DISK = verb.Verb(
    "disk",
    disk,
    about="disk create NAME --size SIZE, disk list, disk delete NAME..., disk resize NAME --size\n"
    "SIZE, disk import NAME FILE: disks that outlive instances.",
    rest="VERB [WORDS...]",
    greedy=True,
    examples=("gaovm lima disk create data --size 10GiB",),
)
