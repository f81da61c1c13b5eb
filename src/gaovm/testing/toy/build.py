"""VM spec + host facts -> the toy's document: a program and the size of a disk."""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.builder import choices, document, fit, shares
from gaovm.builder.choices import Choice
from gaovm.builder.document import BootFiles
from gaovm.model.facts import HostFacts
from gaovm.spec.vm import VmSpec

#: The name under which host facts may give another program for the toy.
PROGRAM = "toy-machine"


class Document(document.Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The command line, without the number of the socket that comes last."""

    command: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the command line, on one line."""
        return [" ".join(self.command)]

    def data(self) -> dict[str, object]:
        """Return the command line."""
        return {"command": list(self.command)}


def build(spec: VmSpec, host: HostFacts, artefacts: BootFiles) -> Document:
    """Build the document of a VM.

    Raises:
        errors.ConfigError: the VM does not fit on the host, or wants a display.
    """
    fit.check(spec, host)
    if spec.graphics.enabled:
        raise errors.ConfigError("the toy has no display", field="graphics.enabled")
    program = host.programs.get(PROGRAM)
    own = (sys.executable, "-m", "gaovm.testing.toy.program")
    return Document(
        machine=Choice(name="toy", reason="there is no other"),
        accelerator=choices.choose_accelerator(spec.boot.accelerator, spec.boot.arch, host),
        network=Choice(name="none", reason="a toy reaches nobody"),
        shares=shares.decide(spec.shares, host),
        kernel_arguments=spec.boot.extra_arguments,
        files=(),
        memory_bytes=spec.memory.size_bytes,
        processors=spec.processors.count,
        command=(program,) if program else own,
    )
