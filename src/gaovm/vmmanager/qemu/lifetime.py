"""QEMU as a process: started from a document with inherited sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from gaovm.aio import process
from gaovm.builder.qemu.document import Document
from gaovm.vmmanager.qemu import share_guard

GRACE_S = 2.0


class Descriptor(Protocol):
    """What QEMU inherits: a socket, or the file of its memory."""

    def fileno(self) -> int:
        """Its number."""
        ...

    def close(self) -> None:
        """Close this process' copy."""
        ...


def resolve(document: Document, inherited: Mapping[str, Descriptor]) -> tuple[str, ...]:
    """The final command line, with the descriptors that QEMU inherits."""
    return document.resolve({name: each.fileno() for name, each in inherited.items()})


def run(
    argv: tuple[str, ...], inherited: Mapping[str, Descriptor], *, output: int, cwd: Path
) -> contextlib.AbstractAsyncContextManager[process.Child]:
    """QEMU for the length of a block; it dies with this process.

    ``inherited``, by descriptor name, stay the caller's to close; ``output`` gets its stdout and
    stderr.

    Raises:
        errors.ProgramMissing: QEMU cannot be executed.
    """
    return process.spawn(
        argv,
        cwd=cwd,
        stdout=output,
        stderr=output,
        pass_fds=[each.fileno() for each in inherited.values()],
        before_exec=share_guard.before_exec(),  # QEMU itself serves 9p
        grace_s=GRACE_S,
    )
