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
_SSH = "GaoVM reaches its guests without SSH"


class Level(StrEnum):
    """What happens to a field."""

    WORKS = "works"
    WARNED = "warned"
    REFUSED = "refused"


#: (struct, field) -> why it has no effect; any other is "not honoured yet".
_REASONS: dict[tuple[str, str], str] = {
    ("LimaYAML", "audio"): "the VM has no sound device",
    ("LimaYAML", "containerd"): "GaoVM installs no containerd; a provision script can",
    ("LimaYAML", "networks"): "the VM has one network, by passt; socket_vmnet is macOS's",
    ("LimaYAML", "plain"): "every VM is set up by its agent",
    ("LimaYAML", "rosetta"): f"{_MAC}: Rosetta",
    ("LimaYAML", "ssh"): _SSH,
    ("LimaYAML", "tpm"): "the VM has no TPM: GaoVM runs no swtpm",
    ("LimaYAML", "firmware"): "GaoVM starts the image's kernel without a firmware",
    ("LimaYAML", "osOpts"): "it is for guests other than Linux",
    ("LimaYAML", "guestInstallPrefix"): "the agent needs no installation",
    ("Mount", "sshfs"): "no mount is by SSHFS",
    ("Mount", "9p"): "GaoVM chooses the options of 9p",
    ("Mount", "virtiofs"): "GaoVM chooses the options of virtiofs",
    ("User", "passwordlessSudo"): "the user always has sudo without a password",
    ("VMOpts", "vz"): f"{_MAC}: Apple's hypervisor",
    ("VMOpts", "wsl2"): "only Windows has it: WSL 2",
    ("VMOpts", "krunkit"): f"{_MAC}: krunkit",
    ("Video", "vnc"): "the display has a Unix socket of the user's and a window, no TCP port",
    ("PortForward", "static"): LATER,
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
    ("LimaYAML", "mountType"): "`9p`, `virtiofs`; `reverse-sshfs`: another, with a warning",
    ("LimaYAML", "mountTypesUnsupported"): "what is left is taken where `mountType` is open",
    ("LimaYAML", "param"): "in scripts and paths `{{.Param.NAME}}`, in scripts also `$PARAM_NAME`",
    ("LimaYAML", "video"): "see `video.display`",
    ("Image", "location"): "a name of ours (`debian:12`), a path or a URL",
    ("Image", "digest"): "an image from a URL or path needs one",
    ("Image", "variant"): "the first entry for the architecture is taken, whatever its variant",
    ("Image", "archVariant"): "the first entry for the architecture is taken, whatever its variant",
    ("Provision", "mode"): "`system`, `user`; entries of other modes are left out, with a warning",
    ("Provision", "file"): "read when the config is, as `base`",
    ("Probe", "file"): "read when the config is, as `base`",
    ("PortForward", "proto"): "`tcp`; `any`: TCP alone; a rule for `udp` is left out and warned of",
    ("PortForward", "guestPort"): "a rule for all ports is left out, with a warning",
    ("Video", "display"): "`none`, `default`, `vnc`; words for other windows: ours, with a warning",
    ("LimaYAML", "cpuType"): "Lima's older field; `vmOpts.qemu.cpuType` wins",
    ("LimaYAML", "nestedVirtualization"): "x86_64 with KVM",
    ("QEMUOpts", "cpuType"): "without an accelerator, `host` means all that emulation offers",
    ("QEMUOpts", "minimumVersion"): "compared when the VM starts",
}
_LEFT_OUT = "the entry is left out"
_OF_MODES = "belongs to a mode whose entries are left out"
#: (struct, field) -> fields that are read, and whose entry is then left out with a warning.
_SKIPPED: dict[tuple[str, str], str] = {
    **{
        ("PortForward", name): _LEFT_OUT
        for name in ("hostPortRange", "guestSocket", "hostSocket", "reverse")
    },
    ("PortForward", "guestPortRange"): f"{_LEFT_OUT}, and still decides which rule counts",
    **{
        ("Provision", name): _OF_MODES
        for name in ("content", "overwrite", "owner", "path", "permissions", "expression", "format")
    },
    ("Provision", "playbook"): _OF_MODES,
    ("Provision", "skipDefaultDependencyResolution"): _OF_MODES,
}
#: (struct, field) -> values that end the load, and why.
_REFUSED: dict[tuple[str, str], tuple[str, str]] = {
    ("LimaYAML", "base"): ("https://…, github:…", "GaoVM downloads no part of a config"),
    ("LimaYAML", "vmType"): ("wsl2, krunkit", "they are Windows's and macOS's own"),
    ("LimaYAML", "os"): ("Darwin, FreeBSD, Windows", "GaoVM's agent runs on Linux"),
    ("LimaYAML", "arch"): ("armv7l, ppc64le, riscv64, s390x", "there is no agent for them"),
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
