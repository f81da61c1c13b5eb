"""The servers of shares that a guest mounts by SSHFS: OpenSSH's sftp-server, one for each mount.

A server speaks to one guest's sshfs over its stdin and stdout, and ends with it. It runs as the
owner of the share, and can open nothing but the share and its own libraries (Landlock), so a link
that leaves the share leads nowhere.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from gaovm import errors
from gaovm.aio import keeping
from gaovm.builder import choices
from gaovm.builder.document import ShareDevice
from gaovm.platform.confine import abilities, serving
from gaovm.platform.confine.keeper import Recipe
from gaovm.vmmanager.pipes import LastWords
from gaovm.vmmanager.qemu import share_guard

GRACE_S = 0.5
_PROGRAMS = ("/usr/lib", "/usr/lib64", "/usr/libexec", "/lib", "/lib64")
#: The server asks for its user's name before it does anything else.
_READS = ("/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf")
_NULL = "/dev/null"


def served(shares: Iterable[ShareDevice]) -> tuple[ShareDevice, ...]:
    """Return the shares that guests mount by SSHFS."""
    return tuple(share for share in shares if share.type == choices.SSHFS)


def check(shares: Iterable[ShareDevice], home: Path) -> None:
    """Refuse what the server cannot keep to.

    Raises:
        errors.PermissionMissing: this kernel has no Landlock, which keeps it in its directory.
        errors.MountRefused: the share holds GaoVM's own directory, which Landlock cannot hide.
    """
    for share in served(shares):
        if not abilities.find().landlock:
            raise errors.PermissionMissing(
                "mountType reverse-sshfs: this kernel has no Landlock (Linux 5.13), which keeps the"
                " server in its directory",
                field="mountType",
                remedy="use mountType: 9p",
            )
        if Path(os.path.realpath(home)).is_relative_to(os.path.realpath(share.location)):
            raise errors.MountRefused(
                f"mount {share.location} holds GaoVM's own directory {home}, which a mount by"
                " reverse-sshfs cannot hide",
                field="mounts",
                remedy="mount less of it, or use mountType: 9p",
            )


def user(share: ShareDevice) -> int:
    """Return the id of the user that serves a share."""
    return _owner(share.location)[0] if os.geteuid() == 0 else os.geteuid()


def _owner(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_uid, found.st_gid


def recipe(program: str, share: ShareDevice) -> Recipe:
    """Return how to start the server of a share."""
    place = os.path.realpath(share.location)
    access = () if share.writable else ("-R",)
    return Recipe(
        (program, "-e", "-l", "ERROR", *access, "-d", place),
        stdio=True,
        confined=serving.Confined(
            programs=_PROGRAMS,
            reads=_READS if share.writable else (*_READS, place),
            writes=(_NULL, place) if share.writable else (_NULL,),
            user=_owner(place) if os.geteuid() == 0 else None,
            rules=share_guard.RULES,
        ),
    )


@contextlib.asynccontextmanager
async def open_one(keeper: keeping.Keeper, share: ShareDevice) -> AsyncIterator[socket.socket]:
    """Run the server of a share for the length of a block; the value speaks SFTP to it.

    Raises:
        errors.ProgramMissing, errors.HostError: it did not start.
    """
    async with contextlib.AsyncExitStack() as stack:
        words = LastWords("sftp-server")
        ours, theirs = socket.socketpair()
        stack.callback(words.close)
        stack.callback(ours.close)
        with theirs:
            said, output = socket.socketpair()
            with output:
                await words.attach(said)
                await stack.enter_async_context(
                    keeper.start(
                        share.tag, (theirs.fileno(),), output=output.fileno(), grace_s=GRACE_S
                    )
                )
        ours.setblocking(False)
        yield ours
