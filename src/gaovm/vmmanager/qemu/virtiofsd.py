"""The virtiofsd of one share: its sockets, its command line and its start.

The socket is bound and QEMU's end connected before virtiofsd starts, so nobody waits. The function
removes the socket's file before it returns.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from gaovm.aio import process, sockets
from gaovm.builder.document import ShareDevice
from gaovm.model.facts import VirtiofsdFact
from gaovm.platform.confine import place
from gaovm.vmmanager.qemu import lifetime, share_guard

GRACE_S = 0.5
# Both kinds of virtiofsd ask for these capabilities and fail: ``share_guard`` removed them.
_CAPABILITIES = "modcaps=-mknod:-setfcap:-fsetid"


def make_sockets(path: Path) -> tuple[socket.socket, socket.socket]:
    """Make a listening socket for virtiofsd and a socket connected to it for QEMU."""
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


def arguments(
    program: VirtiofsdFact, share: ShareDevice, listener_fd: int, *, caged: bool
) -> list[str]:
    """Return virtiofsd's command line for a share. ``caged``: it runs in a root made for it.

    The host changes files too, so the guest asks for a file's attributes each time (``timeout=0``,
    or no cache). With the kernel's usual second, or longer, the guest would read old content.
    """
    # Outside a cage the C virtiofsd takes no symbolic link as its source.
    source = share.location if caged else os.path.realpath(share.location)
    # Outside a cage it makes its own namespaces; a cage has them and lets nobody make more.
    sandbox = "chroot" if caged else "namespace"
    fd, limit = f"--fd={listener_fd}", "--rlimit-nofile=0"
    if program.flavour == "c":
        options = [f"source={_comma_safe(source)}", "cache=auto", "timeout=0", "log_level=warn"]
        options += [f"sandbox={sandbox}", _CAPABILITIES]
        pairs = [word for option in options for word in ("-o", option)]
        return [program.path, "-f", fd, *pairs, *([limit] if caged else [])]
    words = [program.path, fd, f"--shared-dir={source}", "--cache=never", "--log-level=warn"]
    if os.geteuid() != 0:
        # Without root no user namespace would keep the caller's own ids.
        return [*words, "--sandbox=none"]
    return [*words, f"--sandbox={sandbox}", f"--{_CAPABILITIES}", *([limit] if caged else [])]


def run(
    program: VirtiofsdFact,
    share: ShareDevice,
    listener: socket.socket,
    *,
    output: int,
    into: place.Place | None,
) -> contextlib.AbstractAsyncContextManager[process.Child]:
    """Run virtiofsd for the length of a block, in a cage if there is one.

    ``output`` gets its stdout and stderr.

    Raises:
        errors.ProgramMissing: virtiofsd cannot be executed.
        errors.HostError: the cage cannot be made.
    """
    argv = arguments(program, share, listener.fileno(), caged=into is not None)
    if into is not None:
        return _confined(argv, listener.fileno(), output, into)
    return process.spawn(
        argv,
        stdout=output,
        stderr=output,
        pass_fds=(listener.fileno(),),
        before_exec=share_guard.before_exec(),
        grace_s=GRACE_S,
    )


@contextlib.asynccontextmanager
async def _confined(
    argv: list[str], fd: int, output: int, into: place.Place
) -> AsyncIterator[process.Child]:
    last = share_guard.inside_a_cage()
    pid = into.start(argv, lifetime.ENVIRONMENT, output=output, pass_fds=(fd,), last=last)
    async with process.adopt(pid, grace_s=GRACE_S) as child:
        yield child


def _comma_safe(path: str) -> str:
    """Escape commas: the C virtiofsd splits its options at commas, and a backslash keeps one."""
    return path.replace("\\", "\\\\").replace(",", "\\,")
