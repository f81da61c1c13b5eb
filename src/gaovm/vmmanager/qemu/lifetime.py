"""QEMU as a process: started from a document with inherited sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path

from gaovm.aio import process
from gaovm.builder.qemu.document import Document

GRACE_S = 2.0


def resolve(document: Document, sockets: Mapping[str, socket.socket]) -> tuple[str, ...]:
    """The final command line, with the descriptors of QEMU's ends."""
    return document.resolve({name: sock.fileno() for name, sock in sockets.items()})


def run(
    argv: tuple[str, ...], sockets: Mapping[str, socket.socket], *, output: int, cwd: Path
) -> contextlib.AbstractAsyncContextManager[process.Child]:
    """QEMU for the length of a block; it dies with this process.

    ``sockets`` are QEMU's ends by descriptor name and stay the caller's to close; ``output`` gets
    its stdout and stderr.

    Raises:
        errors.ProgramMissing: QEMU cannot be executed.
    """
    return process.spawn(
        argv,
        cwd=cwd,
        stdout=output,
        stderr=output,
        pass_fds=[sock.fileno() for sock in sockets.values()],
        grace_s=GRACE_S,
    )
