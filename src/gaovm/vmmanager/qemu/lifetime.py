"""QEMU as a process: started from a document with inherited sockets."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

from gaovm.aio import files, process
from gaovm.builder.qemu import memory
from gaovm.builder.qemu.document import Document
from gaovm.platform.confine import place
from gaovm.vmmanager.qemu import share_guard

GRACE_S = 2.0
#: All that a confined QEMU knows of the environment.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


class Descriptor(Protocol):
    """What QEMU inherits: a socket, or the file of its memory."""

    def fileno(self) -> int:
        """Its number."""
        ...

    def close(self) -> None:
        """Close this process' copy."""
        ...


def open_files(document: Document) -> dict[str, Descriptor]:
    """The files that QEMU uses, opened, by descriptor name.

    Raises:
        errors.HostError: one cannot be opened.
    """
    opened: dict[str, Descriptor] = {}
    try:
        for file in document.files:
            mode = "r+b" if file.writable else "rb"
            opened[file.fd] = open(file.path, mode, buffering=0)  # noqa: SIM115  (the caller's)
    except OSError as exc:
        for each in opened.values():
            each.close()
        raise files.errors_of(exc, f"cannot open {exc.filename}") from exc
    return opened


def give(inherited: Mapping[str, Descriptor], into: place.Place) -> None:
    """Let the one who runs QEMU open again what it opens by ``/dev/fd``: the file of its memory."""
    file = inherited.get(memory.FD)
    if file is not None and into.cage.ids is not None:
        os.fchown(file.fileno(), into.report.uid, into.report.uid)


def resolve(document: Document, inherited: Mapping[str, Descriptor]) -> tuple[str, ...]:
    """The final command line, with the descriptors that QEMU inherits."""
    return document.resolve({name: each.fileno() for name, each in inherited.items()})


def run(
    argv: tuple[str, ...],
    inherited: Mapping[str, Descriptor],
    *,
    output: int,
    cwd: Path,
    into: place.Place | None,
) -> contextlib.AbstractAsyncContextManager[process.Child]:
    """QEMU for the length of a block, in a cage if there is one; it dies with this process.

    ``inherited``, by descriptor name, stay the caller's to close; ``output`` gets its stdout and
    stderr.

    Raises:
        errors.ProgramMissing: QEMU cannot be executed.
        errors.HostError: the cage cannot be made.
    """
    fds = [each.fileno() for each in inherited.values()]
    if into is not None:
        return _confined(argv, fds, output, into)
    return process.spawn(
        argv,
        cwd=cwd,
        stdout=output,
        stderr=output,
        pass_fds=fds,
        before_exec=share_guard.before_exec(),  # QEMU itself serves 9p
        grace_s=GRACE_S,
    )


@contextlib.asynccontextmanager
async def _confined(
    argv: tuple[str, ...], fds: list[int], output: int, into: place.Place
) -> AsyncIterator[process.Child]:
    last = share_guard.inside_a_cage()
    pid = into.start(argv, ENVIRONMENT, output=output, pass_fds=fds, last=last)
    async with process.adopt(pid, grace_s=GRACE_S) as child:
        yield child
