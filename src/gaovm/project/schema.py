"""Lima's format as a table: every field, its type, and which ones are honoured.

Types are Lima's own (Go): a text field accepts any scalar as it is written. ``STRUCTS`` maps a
struct's name to its fields. ``HONOURED`` lists the fields that have an effect; for all others,
``check`` adds a warning with the field's name. ``support`` says why.

Completion of ``gaovm set`` loads this module: it loads no dataclasses.
"""

from __future__ import annotations


class ListOf:
    """A list of a kind."""

    __slots__ = ("item",)

    def __init__(self, item: Kind) -> None:
        self.item = item


class MapOf:
    """A mapping with free keys."""

    __slots__ = ("value",)

    def __init__(self, value: Kind) -> None:
        self.value = value


class Struct:
    """A mapping with the fields that ``STRUCTS`` has under ``name``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Either:
    """A text, or a value of another kind."""

    __slots__ = ("other",)

    def __init__(self, other: Kind) -> None:
        self.other = other


# a leaf is "text", "int", "bool" or "any"
Kind = str | ListOf | MapOf | Struct | Either

TEXT, INT, BOOL, ANY = "text", "int", "bool", "any"
LEAVES = {TEXT: "a text", INT: "a whole number", BOOL: "true or false"}

_FILE: dict[str, Kind] = {"location": TEXT, "arch": TEXT, "digest": TEXT}
_LOCATOR = Either(Struct("LocatorWithDigest"))

STRUCTS: dict[str, dict[str, Kind]] = {
    "LimaYAML": {
        "base": Either(ListOf(_LOCATOR)),
        "minimumLimaVersion": TEXT,
        "vmType": TEXT,
        "vmOpts": Struct("VMOpts"),
        "os": TEXT,
        "arch": TEXT,
        "images": ListOf(Struct("Image")),
        "cpuType": MapOf(TEXT),
        "cpus": INT,
        "memory": TEXT,
        "disk": TEXT,
        "additionalDisks": ListOf(Either(Struct("Disk"))),
        "mounts": ListOf(Struct("Mount")),
        "mountTypesUnsupported": ListOf(TEXT),
        "mountType": TEXT,
        "mountInotify": BOOL,
        "ssh": Struct("SSH"),
        "firmware": Struct("Firmware"),
        "audio": Struct("Audio"),
        "video": Struct("Video"),
        "provision": ListOf(Struct("Provision")),
        "upgradePackages": BOOL,
        "containerd": Struct("Containerd"),
        "guestInstallPrefix": TEXT,
        "probes": ListOf(Struct("Probe")),
        "portForwards": ListOf(Struct("PortForward")),
        "copyToHost": ListOf(Struct("CopyToHost")),
        "message": TEXT,
        "networks": ListOf(Struct("Network")),
        "env": MapOf(TEXT),
        "param": MapOf(TEXT),
        "dns": ListOf(TEXT),
        "hostResolver": Struct("HostResolver"),
        "propagateProxyEnv": BOOL,
        "caCerts": Struct("CACertificates"),
        "rosetta": Struct("Rosetta"),
        "plain": BOOL,
        "timezone": TEXT,
        "nestedVirtualization": BOOL,
        "user": Struct("User"),
        "tpm": BOOL,
        "osOpts": MapOf(ANY),
    },
    "Audio": {"device": TEXT, "interface": TEXT},
    "CACertificates": {"removeDefaults": BOOL, "files": ListOf(TEXT), "certs": ListOf(TEXT)},
    "Containerd": {"system": BOOL, "user": BOOL, "archives": ListOf(Struct("File"))},
    "CopyToHost": {"guest": TEXT, "host": TEXT, "skipIfMissing": BOOL, "deleteOnStop": BOOL},
    "Disk": {"name": TEXT, "format": BOOL, "fsType": TEXT, "fsArgs": ListOf(TEXT)},
    "File": _FILE,
    "FileWithVMType": {**_FILE, "vmType": TEXT},
    "Firmware": {"legacyBIOS": BOOL, "images": ListOf(Struct("FileWithVMType"))},
    "HostResolver": {"enabled": BOOL, "ipv6": BOOL, "hosts": MapOf(TEXT)},
    "Image": {
        **_FILE,
        "kernel": Struct("Kernel"),
        "initrd": Struct("File"),
        "variant": TEXT,
        "archVariant": TEXT,
    },
    "Kernel": {**_FILE, "cmdline": TEXT},
    "LocatorWithDigest": {"url": TEXT, "digest": TEXT},
    "Mount": {
        "location": TEXT,
        "mountPoint": TEXT,
        "writable": BOOL,
        "sshfs": Struct("SSHFS"),
        "9p": Struct("NineP"),
        "virtiofs": Struct("Virtiofs"),
    },
    "Network": {
        "lima": TEXT,
        "socket": TEXT,
        "vzNAT": BOOL,
        "macAddress": TEXT,
        "interface": TEXT,
        "metric": INT,
    },
    "NineP": {"securityModel": TEXT, "protocolVersion": TEXT, "msize": TEXT, "cache": TEXT},
    "PortForward": {
        "guestIPMustBeZero": BOOL,
        "guestIP": TEXT,
        "guestPort": INT,
        "guestPortRange": ListOf(INT),
        "guestSocket": TEXT,
        "hostIP": TEXT,
        "hostPort": INT,
        "hostPortRange": ListOf(INT),
        "hostSocket": TEXT,
        "proto": TEXT,
        "reverse": BOOL,
        "ignore": BOOL,
        "static": BOOL,
    },
    "Probe": {
        "mode": TEXT,
        "description": TEXT,
        "script": TEXT,
        "file": _LOCATOR,
        "hint": TEXT,
    },
    "Provision": {
        "content": TEXT,
        "overwrite": BOOL,
        "owner": TEXT,
        "path": TEXT,
        "permissions": TEXT,
        "mode": TEXT,
        "skipDefaultDependencyResolution": BOOL,
        "script": TEXT,
        "file": _LOCATOR,
        "playbook": TEXT,
        "expression": TEXT,
        "format": TEXT,
    },
    "QEMUOpts": {"minimumVersion": TEXT, "cpuType": MapOf(TEXT)},
    "Rosetta": {"enabled": BOOL, "binfmt": BOOL},
    "SSH": {
        "localPort": INT,
        "loadDotSSHPubKeys": BOOL,
        "forwardAgent": BOOL,
        "forwardX11": BOOL,
        "forwardX11Trusted": BOOL,
        "overVsock": BOOL,
    },
    "SSHFS": {"cache": BOOL, "followSymlinks": BOOL, "sftpDriver": TEXT},
    "User": {
        "name": TEXT,
        "comment": TEXT,
        "home": TEXT,
        "shell": TEXT,
        "uid": INT,
        "passwordlessSudo": BOOL,
    },
    "VMOpts": {
        "gaovm": Struct("GaoVM"),
        "qemu": Struct("QEMUOpts"),
        "vz": Struct("VZOpts"),
        "wsl2": ANY,
        "krunkit": ANY,
    },
    "VNCOptions": {"display": TEXT},
    "VZOpts": {"rosetta": Struct("Rosetta"), "diskImageFormat": TEXT},
    "Video": {"display": TEXT, "vnc": Struct("VNCOptions")},
    "Virtiofs": {"queueSize": INT},
    # our own, not Lima's
    "GaoVM": {
        "name": TEXT,
        "accel": TEXT,
        "machine": TEXT,
        "kernel": TEXT,
        "cmdline": TEXT,
        "hostAccess": ANY,  # true, false or a list of ports: its reader checks which
        "autostart": BOOL,
        "sync": TEXT,  # upkeep has these two: commands for sysinit-vm
        "rebuild": TEXT,
        "restart": Struct("GaoVMRestart"),
        "stop": Struct("GaoVMStop"),
        "setUp": Struct("GaoVMSetUp"),
        "watchdog": Struct("GaoVMWatchdog"),
        "graphics": Struct("GaoVMGraphics"),
    },
    "GaoVMRestart": {
        "policy": TEXT,
        "maxAttempts": INT,
        "maxDelay": TEXT,
        "stableAfter": TEXT,
    },
    "GaoVMStop": {"grace": TEXT, "force": TEXT},
    "GaoVMSetUp": {"boot": TEXT, "script": TEXT, "probe": TEXT},
    "GaoVMWatchdog": {"device": BOOL, "timeout": TEXT, "heartbeat": BOOL, "onHang": TEXT},
    "GaoVMGraphics": {"enabled": BOOL, "width": INT, "height": INT},
}

# Fields that have an effect. A struct that is not listed has none. The readers of provision entries
# and port forwards add warnings of their own, because they may skip a whole entry.
HONOURED: dict[str, frozenset[str]] = {
    "LimaYAML": frozenset(
        {"base", "minimumLimaVersion", "param", "mountTypesUnsupported", "vmType", "vmOpts", "os"}
        | {"env", "user", "provision", "probes", "portForwards", "message", "video", "ssh"}
        | {"propagateProxyEnv", "timezone", "hostResolver", "dns", "caCerts"}
        | {"copyToHost", "plain", "upgradePackages"}
        | {"additionalDisks", "cpuType", "nestedVirtualization"}
        | {"arch", "images", "cpus", "memory", "disk", "mounts", "mountType", "mountInotify"}
    ),
    "LocatorWithDigest": frozenset(("url", "digest")),
    "File": frozenset(_FILE),
    "Kernel": frozenset((*_FILE, "cmdline")),
    "Image": frozenset((*_FILE, "kernel", "initrd", "variant", "archVariant")),
    "Disk": frozenset(STRUCTS["Disk"]),
    "User": frozenset(STRUCTS["User"]),
    "CopyToHost": frozenset(STRUCTS["CopyToHost"]),
    "Mount": frozenset(("location", "mountPoint", "writable", "9p", "virtiofs", "sshfs")),
    "NineP": frozenset(("securityModel", "protocolVersion", "msize", "cache")),
    "Virtiofs": frozenset(("queueSize",)),
    "SSHFS": frozenset(("cache", "followSymlinks", "sftpDriver")),
    "Provision": frozenset(STRUCTS["Provision"]),
    "Probe": frozenset(("mode", "description", "script", "file", "hint")),
    "SSH": frozenset(STRUCTS["SSH"]) - {"overVsock"},
    "PortForward": frozenset(STRUCTS["PortForward"]),
    "Video": frozenset(("display",)),
    "HostResolver": frozenset(STRUCTS["HostResolver"]),
    "CACertificates": frozenset(STRUCTS["CACertificates"]),
    "VMOpts": frozenset(("gaovm", "qemu")),
    "QEMUOpts": frozenset(STRUCTS["QEMUOpts"]),
    **{name: frozenset(own) for name, own in STRUCTS.items() if name.startswith("GaoVM")},
}
