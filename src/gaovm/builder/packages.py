"""Which Debian package contains a program, and where to find programs outside of ``PATH``.

Errors, ``doctor`` and image builds share this one table; a test compares ``scripts/setup`` with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gaovm import errors

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "apt-config": "apt",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
    "unshare": "util-linux",
    "tar": "tar",
    "passt": "passt",
    "newuidmap": "uidmap",
    "newgidmap": "uidmap",
    "sftp-server": "openssh-sftp-server",  # for mountType reverse-sshfs
    "virtiofsd": "virtiofsd",  # Debian 13 and later; in Debian 12 it is part of qemu-system-common
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "UEFI for x86_64": "ovmf",
    "UEFI for aarch64": "qemu-efi-aarch64",
    "qemu-user": "qemu-user-static",  # runs the programs of another architecture
}
#: The system packages that a VM's window needs.
WINDOW = (
    "libegl1",
    "libgl1",
    "libxkbcommon-x11-0",
    "libxcb-cursor0",
    "libxcb-icccm4",
    "libxcb-keysyms1",
    "libxcb-shape0",
    "libdbus-1-3",
    "libfontconfig1",
    "libglib2.0-0",
)
#: The programs that build an image, and those that a build without root needs as well.
IMAGE_BUILD = ("mmdebstrap", "apt-config", "dpkg-deb", "mke2fs", "unshare", "tar")
IMAGE_BUILD_WITHOUT_ROOT = ("newuidmap", "newgidmap")

#: Directories in which distributions keep helpers of hypervisors.
HELPERS = ("/usr/libexec", "/usr/lib/qemu")
#: Directories to search after ``PATH``: helpers, the administrator's directories that a user's
#: ``PATH`` may lack, and Homebrew.
DIRECTORIES = (
    "/usr/lib/qemu",
    "/usr/lib/openssh",
    "/usr/libexec/openssh",
    "/usr/libexec",
    "/usr/lib",
    "/usr/sbin",
    "/sbin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
)

#: Where distributions install UEFI firmware, by the architecture of the guest: its program, and the
#: variables with which a VM begins. Without Secure Boot, which would need SMM.
UEFI: Mapping[str, Sequence[tuple[str, str]]] = {
    "x86_64": (
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),  # Debian, Ubuntu
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),  # Fedora
        ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),  # Arch
        ("/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"),
        ("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
        (
            "/opt/homebrew/share/qemu/edk2-x86_64-code.fd",
            "/opt/homebrew/share/qemu/edk2-i386-vars.fd",
        ),
    ),
    "aarch64": (
        ("/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
        ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
        ("/usr/share/qemu/edk2-aarch64-code.fd", "/usr/share/qemu/edk2-arm-vars.fd"),
        (
            "/opt/homebrew/share/qemu/edk2-aarch64-code.fd",
            "/opt/homebrew/share/qemu/edk2-arm-vars.fd",
        ),
    ),
}


def of(programs: Iterable[str]) -> list[str]:
    """Return the packages that contain these programs, sorted."""
    return sorted({PACKAGES.get(program, program) for program in programs})


def remedy(*programs: str) -> str:
    """Return the command that installs these programs."""
    return f"apt-get install {' '.join(of(programs))}"


def missing(program: str) -> errors.ProgramMissing:
    """Return the error for a missing program, with the command that installs it."""
    return errors.ProgramMissing(
        f"{program} is not installed", remedy=remedy(program), details={"program": program}
    )
