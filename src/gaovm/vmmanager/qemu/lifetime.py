"""Start QEMU as a process, from a document and with inherited sockets."""

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
#: The whole environment of a confined QEMU.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


class Descriptor(Protocol):
    """An object that QEMU inherits: a socket, or the file of its memory."""

    def fileno(self) -> int:
        """Return its number."""
        ...

    def close(self) -> None:
        """Close this process's copy."""
        ...


def open_files(document: Document) -> dict[str, Descriptor]:
    """Open the files that QEMU uses; return them by descriptor name.

    Raises:
        errors.HostError: a file cannot be opened.
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
    """Give QEMU's user access to its memory file: QEMU opens the file again by ``/dev/fd``."""
    file = inherited.get(memory.FD)
    if file is not None and into.cage.ids is not None:
        os.fchown(file.fileno(), into.report.uid, into.report.uid)


def resolve(document: Document, inherited: Mapping[str, Descriptor]) -> tuple[str, ...]:
    """Return the final command line, with the descriptors that QEMU inherits."""
    return document.resolve({name: each.fileno() for name, each in inherited.items()})


def run(
    argv: tuple[str, ...],
    inherited: Mapping[str, Descriptor],
    *,
    output: int,
    cwd: Path,
    into: place.Place | None,
) -> contextlib.AbstractAsyncContextManager[process.Child]:
    """Run QEMU for the length of a block, in a cage if there is one; it dies with this process.

    The caller closes ``inherited``, which is by descriptor name. ``output`` gets QEMU's stdout and
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
