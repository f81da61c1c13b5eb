"""``gaovm cp``: files and directories between the host and a VM, without SSH."""

from __future__ import annotations


from gaovm import errors
from gaovm.cli import options, progress, target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Place:
    """One side of a copy: a path, in a VM when ``vm`` is set (``""`` is this project's)."""

    def __init__(self, word: str) -> None:
        head, colon, tail = word.partition(":")
        remote = bool(colon) and "/" not in head and head != ""
        self.vm: str | None = None
        self.path = word
        if remote:
            self.vm = "" if head == "vm" else head
            self.path = tail or "."


def plan(words: Sequence[str]) -> tuple[list[Place], Place]:
    """Sources and destination.

    Raises:
        errors.UsageError: both sides are on the host, both in a VM, or in different VMs.
    """
    places = [Place(word) for word in words]
    sources, destination = places[:-1], places[-1]
    kinds = {source.vm for source in sources}
    if len(kinds) > 1:
        raise errors.UsageError("all sources must be on the same side", remedy=CP.usage())
    if (sources[0].vm is None) == (destination.vm is None):
        where = "on the host" if destination.vm is None else "in a VM"
        raise errors.UsageError(
            f"source and destination are both {where}",
            remedy="one side is vm:PATH (this project's VM) or NAME:PATH\n"
            "a host file whose name has a colon: ./NAME:REST",
        )
    return sources, destination


def run(parsed: options.Parsed) -> int:
    """Copy every source."""
    raise errors.UsageError("not yet")


CP = options.Command(
    "cp",
    run,
    about="Copy files or directories into or out of a VM. vm:PATH is this project's VM, NAME:PATH\n"
    "another; relative paths in a VM start at the user's home. A directory that exists takes\n"
    "what is copied into it, as with cp -a. No SSH is involved.",
    words="SRC... DST",
    count=(2, 1000),
    options=(
        options.Option("-u, --user", "act as this user of the guest", value="USER"),
        options.QUIET,
    ),
    examples=("gaovm cp ./x vm:/tmp/x", "gaovm cp vm:/var/log ./logs", "gaovm cp a b web-dev:"),
)
