"""Run the builder's programs as root of namespaces of their own.

Each program runs in a new PID and mount namespace. The namespace dies with its first process, and
that process dies with this one: whichever of them is killed, no child and no mount is left. A plain
user also gets a user namespace, in which the subordinate ids of ``/etc/subuid`` are the users of
the image.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from gaovm import errors
from gaovm.aio import commands
from gaovm.builder import packages
from gaovm.hostfacts import subids

# The PATH of root's login shell: mke2fs is in sbin, which a plain user's PATH lacks.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED_ON = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "all_proxy",
    "TMPDIR",
)


def require(programs: Sequence[str]) -> None:
    """Check that programs are installed. Raises: ProgramMissing, with the command that helps."""
    missing = [name for name in programs if shutil.which(name, path=_PATH) is None]
    if missing:
        raise errors.ProgramMissing(
            f"{', '.join(missing)}: not installed",
            remedy=packages.remedy(*missing),
            details={"programs": missing, "packages": packages.of(missing)},
        )


def require_build() -> None:
    """Check that this host can build images. Raises: ProgramMissing, PermissionMissing."""
    require(packages.IMAGE_BUILD)
    if os.geteuid() == 0:
        return
    require(packages.IMAGE_BUILD_WITHOUT_ROOT)
    why = subids.obstacle()
    if why is not None:
        raise errors.PermissionMissing(
            f"{why} for an image build without root", remedy=subids.REMEDY
        )


def environment() -> dict[str, str]:
    """Return a build's environment: only the proxies and TMPDIR come from the caller's."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **kept,
        "PATH": _PATH,
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
    }


async def run(
    argv: Sequence[str], *, on_line: Callable[[str], None] | None = None, timeout_s: float
) -> commands.Completed:
    """Run ``argv`` as root of new namespaces and call ``on_line`` with each line of its output.

    Cancelling kills it and all its children.
    """
    user = [] if os.geteuid() == 0 else ["--map-root-user", "--map-auto"]
    wrapper = ["unshare", *user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    # Join both streams: a progress report needs what apt and dpkg write to stdout, and what
    # mmdebstrap writes to stderr. The caller's umask would decide modes of files in the image.
    merged = ["sh", "-c", 'umask 022; exec "$@" >&2', "sh", *argv]
    return await commands.run(
        [*wrapper, *merged], env=environment(), on_line=on_line, timeout_s=timeout_s
    )


async def remove(path: Path) -> None:
    """Remove a tree with files of subordinate ids, to which dying processes may still write.

    Raises: HostError when part of it stays.
    """
    # A namespace takes a moment to die after its first process. The next turn removes what it has
    # written until then; afterwards nothing can write any more.
    tail = ""
    for _ in range(5):
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        if not path.exists():
            return
        if os.geteuid() != 0:
            done = await run(["rm", "-rf", "--one-file-system", "--", str(path)], timeout_s=300.0)
            tail = done.stderr.decode("utf-8", "replace").strip()[-500:]
    if path.exists():
        raise errors.HostError(
            f"cannot remove {path}: {tail}",
            remedy=f"remove it by hand: unshare --map-root-user --map-auto rm -rf {path}",
        )
