"""The result of a build: a command line whose descriptors are still placeholders."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from gaovm.builder import document
from gaovm.builder.qemu import quoting
from gaovm.spec.base import Frozen


class Slot(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which argument holds the placeholder of which descriptor."""

    index: int
    fd: str


class Document(document.Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A QEMU command line: ``argv[0]`` is the program, ``slots`` say where descriptors go.

    ``memory_file_bytes``: how large the file is that descriptor ``memory`` must be; None: there is
    none. Only slots are ever replaced, so a path that looks like a placeholder stays what it is.
    """

    argv: tuple[str, ...]
    slots: tuple[Slot, ...]
    memory_file_bytes: int | None = None

    @property
    def host_network(self) -> bool:
        """Whether QEMU itself makes the guest's connections."""
        return self.network.name == "slirp"

    @property
    def fds(self) -> tuple[str, ...]:
        """Names of the descriptors QEMU must inherit, in the order of the command line."""
        return tuple(slot.fd for slot in self.slots)

    def resolve(self, descriptors: Mapping[str, int]) -> tuple[str, ...]:
        """The final command line, with each placeholder replaced by its descriptor.

        Raises:
            KeyError: a descriptor is missing: a defect of the caller.
        """
        argv = list(self.argv)
        for slot in self.slots:
            placeholder = quoting.descriptor(slot.fd)
            argv[slot.index] = argv[slot.index].replace(placeholder, str(descriptors[slot.fd]))
        return tuple(argv)

    def lines(self) -> list[str]:
        """The command line for people: one option with its value a line, quoted for a shell."""
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
        """The command line as it is executed, with its placeholders."""
        return {"argv": list(self.argv)}


def _is_option(pending: list[str]) -> bool:
    """Whether an option is complete; ``-append`` may be followed by text that begins with ``-``."""
    return pending != ["-append"]
