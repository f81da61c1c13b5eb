"""The result of a build: a command line whose descriptors are still placeholders."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from gaovm.builder import document
from gaovm.builder.qemu import quoting
from gaovm.spec.base import Frozen


class Slot(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One placeholder: which argument holds it, and for which descriptor."""

    index: int
    fd: str


class Document(document.Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A QEMU command line: ``argv[0]`` is the program, ``slots`` say where descriptors go.

    ``memory_file_bytes`` is the size of the file that descriptor ``memory`` must refer to; None:
    there is no such file. ``resolve`` replaces only slots, so a path that looks like a placeholder
    does not change.
    """

    argv: tuple[str, ...]
    slots: tuple[Slot, ...]
    memory_file_bytes: int | None = None

    @property
    def host_network(self) -> bool:
        """Return whether QEMU itself makes the guest's connections."""
        return self.network.name == "slirp"

    @property
    def fds(self) -> tuple[str, ...]:
        """Return the names of the descriptors that QEMU must inherit, in command line order."""
        return tuple(slot.fd for slot in self.slots)

    def resolve(self, descriptors: Mapping[str, int]) -> tuple[str, ...]:
        """Return the final command line, with each placeholder replaced by its descriptor.

        Raises:
            KeyError: a descriptor is missing, which is a defect in the caller.
        """
        argv = list(self.argv)
        for slot in self.slots:
            placeholder = quoting.descriptor(slot.fd)
            argv[slot.index] = argv[slot.index].replace(placeholder, str(descriptors[slot.fd]))
        return tuple(argv)

    def lines(self) -> list[str]:
        """Return the command line for people: one option with its value per line, shell-quoted."""
        lines: list[str] = []
        pending: list[str] = []
        for argument in self.argv:
            if argument.startswith("-") and pending and _is_option(pending):
                lines.append(" ".join(pending))
                pending = []
            pending.append(shlex.quote(argument))
        lines.append(" ".join(pending))
        return [lines[0], *(f"  {line}" for line in lines[1:])]

    def data(self) -> dict[str, object]:
        """Return the command line that is executed, with its placeholders."""
        return {"argv": list(self.argv)}


def _is_option(pending: list[str]) -> bool:
    """Return whether an option is complete; the text after ``-append`` may begin with ``-``."""
    return pending != ["-append"]
