"""Which Debian package contains a program, and where to find programs outside of ``PATH``."""

from __future__ import annotations

from gaovm import errors

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "passt": "passt",
    "newuidmap": "uidmap",
    "newgidmap": "uidmap",
    "virtiofsd": "virtiofsd",  # Debian 13 and later; in Debian 12 it is part of qemu-system-common
}

#: Where distributions keep helpers of hypervisors.
HELPERS = ("/usr/libexec", "/usr/lib/qemu")
#: Where to look after the ``PATH``: helpers, the administrator's directories that a user may lack,
#: and Homebrew.
DIRECTORIES = (
    "/usr/lib/qemu",
    "/usr/libexec",
    "/usr/lib",
    "/usr/sbin",
    "/sbin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
)


def remedy(program: str) -> str:
    """The command that installs a program."""
    return f"apt-get install {PACKAGES.get(program, program)}"


def missing(program: str) -> errors.ProgramMissing:
    """The error for a program that is not installed, with the command that installs it."""
    return errors.ProgramMissing(
        f"{program} is not installed", remedy=remedy(program), details={"program": program}
    )
