"""The virtiofsd of one share: its sockets and its command line.

The socket is bound and QEMU's end connected before virtiofsd starts, so nothing is waited for;
the file is gone again before the function returns.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from gaovm.aio import process, sockets
from gaovm.aio.confine import place
from gaovm.builder.facts import VirtiofsdFact
from gaovm.builder.qemu.document import ShareDevice
from gaovm.vmmanager.qemu import lifetime, share_guard

GRACE_S = 0.5
# Both flavours claim these for themselves, and fail to: ``share_guard`` took them.
_CAPABILITIES = "modcaps=-mknod:-setfcap:-fsetid"


def make_sockets(path: Path) -> tuple[socket.socket, socket.socket]:
    """A listening socket for virtiofsd and a socket connected to it for QEMU."""
    listener = sockets.bind_unix(path)
    try:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.connect(str(path))
        except BaseException:
            connected.close()
            raise
    except BaseException:
        listener.close()
        raise
    finally:
        path.unlink(missing_ok=True)
    listener.setblocking(True)
    return listener, connected


def arguments(program: VirtiofsdFact, share: ShareDevice, listener_fd: int) -> list[str]:
    """The command line of virtiofsd for a share.

    The host changes files too: what the guest knows of one is asked for again each time
    (``timeout=0``); with the kernel's usual second, and any longer one, it reads what was there.
    """
    # The C virtiofsd takes no symbolic link for its source.
    source = os.path.realpath(share.location)
    if program.flavour == "c":
        options = [f"source={_comma_safe(source)}", "cache=auto", "timeout=0", "log_level=warn"]
        options.append(_CAPABILITIES)
        pairs = [word for option in options for word in ("-o", option)]
        return [program.path, "-f", f"--fd={listener_fd}", *pairs]
    options = [f"--fd={listener_fd}", f"--shared-dir={source}", "--cache=auto", "--log-level=warn"]
    if os.geteuid() == 0:
        return [program.path, *options, "--sandbox=namespace", f"--{_CAPABILITIES}"]
    # Without root there is no user namespace to enter with the caller's own ids kept.
    return [program.path, *options, "--sandbox=none"]


def run(
    program: VirtiofsdFact,
    share: ShareDevice,
    listener: socket.socket,
    *,
    output: int,
    beside: place.Place | None,
) -> contextlib.AbstractAsyncContextManager[process.Child]:
    """virtiofsd for the length of a block; ``output`` gets its stdout and stderr.

    It makes its own cage; ``beside`` that of QEMU it shares the limits, and knows as little of the
    environment.
    """
    guard = share_guard.before_exec()
    join = None if beside is None else beside.joining()

    def before_exec() -> None:
        for step in (join, guard):
            if step is not None:
                step()

    return process.spawn(
        arguments(program, share, listener.fileno()),
        env=None if beside is None else lifetime.ENVIRONMENT,
        stdout=output,
        stderr=output,
        pass_fds=(listener.fileno(),),
        before_exec=before_exec,
        grace_s=GRACE_S,
    )


def _comma_safe(path: str) -> str:
    """The C virtiofsd splits its options at commas; a backslash keeps one."""
    return path.replace("\\", "\\\\").replace(",", "\\,")
