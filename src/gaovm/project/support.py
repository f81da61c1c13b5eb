"""What GaoVM does with each field of Lima's format, and why: the words of warnings and of a page.

``schema.HONOURED`` says which fields have an effect. This module has the reasons and the limits.
"""

from __future__ import annotations

from enum import StrEnum

from gaovm.project import schema

LATER = "not honoured yet"
#: Fields that are true without being set, so ``true`` asks for nothing.
ON = frozenset(("propagateProxyEnv", "enabled", "cache", "passwordlessSudo", "overwrite"))
_MAC = "only macOS has it"


class Level(StrEnum):
    """What happens to a field."""

    WORKS = "works"
    WARNED = "warned"
    REFUSED = "refused"


#: (struct, field) -> why it has no effect; any other is "not honoured yet".
_REASONS: dict[tuple[str, str], str] = {
    ("LimaYAML", "audio"): "the VM has no sound device",
    ("LimaYAML", "containerd"): "GaoVM downloads no containerd (`false` is its default); a "
    "provision script can install one",
    ("LimaYAML", "networks"): "the VM has one network, by passt; socket_vmnet is macOS's",
    ("LimaYAML", "rosetta"): f"{_MAC}: Rosetta",
    ("LimaYAML", "tpm"): "the VM has no TPM: GaoVM runs no swtpm",
    ("LimaYAML", "firmware"): "the image decides: UEFI, a BIOS, or GaoVM's kernel (images.md)",
    ("LimaYAML", "osOpts"): "it is for guests other than Linux",
    ("LimaYAML", "guestInstallPrefix"): "the agent lies in `/usr/local/bin`, if anywhere",
    ("SSH", "overVsock"): "SSH goes through the guest channel, which is faster than the network",
    ("VMOpts", "vz"): f"{_MAC}: Apple's hypervisor",
    ("VMOpts", "wsl2"): "only Windows has it: WSL 2",
    ("VMOpts", "krunkit"): f"{_MAC}: krunkit",
    ("Video", "vnc"): "the display has a Unix socket of the user's and a window, no TCP port",
}
#: (struct, field) -> limits of a field that works, and values that are refused with a reason.
_LIMITS: dict[tuple[str, str], str] = {
    ("LimaYAML", "base"): "a path, `template:NAME` or `file://`; a `digest` is checked",
    ("LimaYAML", "minimumLimaVersion"): "compared with the version of Lima whose format this is",
    ("LimaYAML", "vmType"): "`qemu`; with `vz` QEMU is used, with a warning",
    ("LimaYAML", "os"): "`Linux`",
    ("LimaYAML", "arch"): "`x86_64`, `aarch64`",
    ("LimaYAML", "additionalDisks"): "named disks; at most 8",
    ("Disk", "format"): "only a disk that holds nothing at all is formatted",
    ("Disk", "fsType"): "what the guest has a `mkfs` for; `ext4` and `xfs` grow with the disk",
    ("LimaYAML", "mountType"): "`9p`, `virtiofs`, `reverse-sshfs`",
    ("LimaYAML", "mountInotify"): "what a watcher in the guest sees: docs/config.md",
    ("Mount", "9p"): "where the mount is by 9p",
    ("Mount", "virtiofs"): "where the mount is by virtiofs",
    ("Mount", "sshfs"): "where the mount is by reverse-sshfs",
    ("SSHFS", "cache"): "either way: content is cached as long as a file is unchanged, names never",
    ("SSHFS", "followSymlinks"): "links that stay in the mount",
    ("SSHFS", "sftpDriver"): "`openssh-sftp-server`; with `builtin` it is taken, with a warning",
    ("NineP", "protocolVersion"): "`9p2000.L`; with another it is taken, with a warning",
    ("NineP", "msize"): "4 KiB to 500 KiB; above that 500 KiB is taken, with a warning",
    ("NineP", "cache"): "`none`, `mmap`; with `loose` and `fscache` a guest reads old content, so "
    "`mmap` is taken, with a warning",
    ("Virtiofs", "queueSize"): "a power of two, 16 to 1024",
    ("LimaYAML", "mountTypesUnsupported"): "what is left is taken where `mountType` is open",
    ("LimaYAML", "param"): "in scripts and paths `{{.Param.NAME}}`, in scripts also `$PARAM_NAME`",
    ("LimaYAML", "video"): "see `video.display`",
    ("LimaYAML", "propagateProxyEnv"): "read by each `up`, from the environment of its caller",
    ("LimaYAML", "timezone"): "without it the host's, as `up` finds it",
    ("LimaYAML", "dns"): "up to two IPv4 addresses",
    ("HostResolver", "enabled"): "without `dns`, `false` changes nothing",
    (
        "HostResolver",
        "ipv6",
    ): "the host's resolver answers with what it has, so this changes nothing",
    ("HostResolver", "hosts"): "in the guest's `/etc/hosts`; containers in it do not see them",
    ("CACertificates", "files"): "read when the config is, as `base`",
    ("LimaYAML", "plain"): "the agent stays: it is the only way into the guest",
    ("LimaYAML", "upgradePackages"): "GaoVM reboots no guest for it",
    ("User", "passwordlessSudo"): "`false` needs `plain: true`",
    ("CopyToHost", "host"): "in `{{.Dir}}/copied-from-guest`, in the project, or approved",
    ("Provision", "mode"): "in Lima's order",
    ("Provision", "expression"): "`up` refuses it where GaoVM comes without `gaovm-yq`",
    ("Provision", "format"): "`json` and `yaml`; others are refused",
    ("Provision", "skipDefaultDependencyResolution"): "GaoVM installs no packages by itself",
    ("Image", "location"): "a name of ours (`debian:12`), a path or a URL; gz, bz2, xz, zst too",
    ("Image", "digest"): "a URL without one must have that of its first download",
    ("Image", "variant"): "entries for the architecture are tried in turn, whatever their variant",
    ("Image", "archVariant"): "entries for the architecture are tried in turn, as for `variant`",
    ("Provision", "file"): "read when the config is, as `base`",
    ("Probe", "file"): "read when the config is, as `base`",
    ("PortForward", "hostPort"): "0: any free port; any other never moves",
    (
        "PortForward",
        "hostSocket",
    ): "mode 0600; a relative one is below the VM's `sock`",
    (
        "PortForward",
        "static",
    ): "open while the VM runs; `up` fails if the host port is taken",
    ("SSH", "forwardAgent"): "a person must approve it",
    ("SSH", "forwardX11"): "the guest needs `xauth`; a person must approve it",
    ("SSH", "forwardX11Trusted"): "with `forwardX11`",
    ("SSH", "loadDotSSHPubKeys"): "a key of ours may always log in",
    ("Video", "display"): "`none`, `default`, `vnc`; words for other windows: ours, with a warning",
    ("LimaYAML", "cpuType"): "Lima's older field; `vmOpts.qemu.cpuType` wins",
    ("LimaYAML", "nestedVirtualization"): "x86_64 with KVM",
    ("QEMUOpts", "cpuType"): "without an accelerator, `host` means all that emulation offers",
    ("QEMUOpts", "minimumVersion"): "compared when the VM starts",
}
_OF_ANSIBLE = "belongs to mode `ansible`, for which `up` refuses the file"
#: (struct, field) -> fields that are read, and whose entry is then left out with a warning.
_SKIPPED: dict[tuple[str, str], str] = {
    ("SSH", "localPort"): "`0`; no port leads to an sshd, see [ssh.md](ssh.md)",
    ("Provision", "playbook"): _OF_ANSIBLE,
}
#: (struct, field) -> values that end the load, and why.
_REFUSED: dict[tuple[str, str], tuple[str, str]] = {
    ("LimaYAML", "base"): ("https://…, github:…", "GaoVM downloads no part of a config"),
    ("LimaYAML", "vmType"): ("wsl2, krunkit", "they are Windows's and macOS's own"),
    ("LimaYAML", "os"): ("Darwin, FreeBSD, Windows", "GaoVM's agent runs on Linux"),
    ("LimaYAML", "arch"): ("armv7l, ppc64le, riscv64, s390x", "there is no agent for them"),
    ("Provision", "mode"): (
        "ansible",
        "a playbook would run on this machine, and a guest can write it",
    ),
    ("LimaYAML", "nestedVirtualization"): ("true without KVM", "emulation has no nested guests"),
    ("LimaYAML", "mountType"): ("wsl2", "only Windows has it: WSL 2"),
}


def reason(struct: str, field: str) -> str:
    """Return why a field that is not honoured has no effect."""
    return _REASONS.get((struct, field), LATER)


def rows() -> list[tuple[str, Level, str]]:
    """Return path, level and note of every field of Lima's, ours left out."""
    return _rows("LimaYAML", "")


def strays() -> set[tuple[str, str]]:
    """Return entries of the tables here that are about no field, or about one of the other kind."""
    honoured = {(name, field) for name, fields in schema.HONOURED.items() for field in fields}
    known = {(name, field) for name, fields in schema.STRUCTS.items() for field in fields}
    works = set(_LIMITS) | set(_SKIPPED) | set(_REFUSED)
    return (set(_REASONS) & honoured) | (works - honoured) | (set(_REASONS) - known)


def _rows(struct: str, path: str) -> list[tuple[str, Level, str]]:
    found: list[tuple[str, Level, str]] = []
    honoured = schema.HONOURED.get(struct, frozenset())
    for field, kind in schema.STRUCTS[struct].items():
        where = f"{path}{field}{'[]' if isinstance(_listed(kind), schema.ListOf) else ''}"
        if field not in honoured:
            found.append((where, Level.WARNED, reason(struct, field)))
            continue
        below = _struct(kind)
        if below is not None and below.startswith("GaoVM"):
            continue
        skipped = _SKIPPED.get((struct, field))
        if skipped is not None:
            found.append((where, Level.WARNED, skipped))
            continue
        found.append((where, Level.WORKS, _LIMITS.get((struct, field), "")))
        if (refused := _REFUSED.get((struct, field))) is not None:
            found.append((f"{where}: {refused[0]}", Level.REFUSED, refused[1]))
        if below is not None and below != "LocatorWithDigest":
            found += _rows(below, f"{where}.")
    return found


def _listed(kind: schema.Kind) -> schema.Kind:
    return kind.other if isinstance(kind, schema.Either) else kind


def _struct(kind: schema.Kind) -> str | None:
    """Return the struct that a field holds, or that the entries of its list are."""
    while isinstance(kind, schema.Either | schema.ListOf):
        kind = kind.other if isinstance(kind, schema.Either) else kind.item
    return kind.name if isinstance(kind, schema.Struct) else None
