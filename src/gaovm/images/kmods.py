"""Which kernel modules the initramfs carries, and in which order they are loaded.

Reads the tables depmod made (``modules.dep``, ``modules.builtin``); the resolution itself is pure.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaovm import errors

# Without these no guest starts: they are modules or built in, or the kernel is of no use.
REQUIRED = ("virtio_pci", "virtio_blk", "ext4", "virtio_console")
# Loaded before the root is mounted, in this order. ext4 wants a crc32c; the accelerated one is
# tried first.
BOOT = (
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "virtio_console",
    "crc32c_intel",
    "crc32c_generic",
    "ext4",
)
# Loaded in the background by the serving copy of the agent: mounts, network, what else the host
# plugs in.
LATE = (
    "virtio_net",
    "9pnet_virtio",
    "9p",
    "virtiofs",
    "virtio_rng",
    "overlay",
    "vmw_vsock_virtio_transport",
    "virtio_balloon",
    "pvpanic_pci",
)
# Loaded when the VM has such a device: a watchdog that nobody feeds would be worse than none.
WATCHDOG = ("i6300esb",)
_MAX_MODULE_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module to load: its name, its path below the modules directory and when."""

    name: str
    path: str
    stage: str


def canonical(path: str) -> str:
    """The kernel's name of a module file: no directory, no suffix, underscores."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def parse_dep(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """``modules.dep`` as name -> (path, names it needs)."""
    table = {}
    for line in text.splitlines():
        path, colon, needs = line.partition(":")
        if colon:
            table[canonical(path)] = (path, tuple(canonical(need) for need in needs.split()))
    return table


def parse_builtin(text: str) -> set[str]:
    """``modules.builtin`` as names."""
    return {canonical(line) for line in text.splitlines() if line}


def resolve(
    dep: Mapping[str, tuple[str, tuple[str, ...]]],
    builtin: set[str],
    boot: Sequence[str] = BOOT,
    late: Sequence[str] = LATE,
    watchdog: Sequence[str] = WATCHDOG,
) -> list[Module]:
    """The modules to carry, dependencies before what needs them, ``boot`` before ``late`` before
    ``watchdog``, each once.

    What is built in is left out; what the kernel lacks is left out too, unless it is ``REQUIRED``.

    Raises: ImageBuildFailed for a missing required module or a missing dependency.
    """
    for name in REQUIRED:
        if name not in dep and name not in builtin:
            raise errors.ImageBuildFailed(f"the kernel has no {name}, built in or as a module")
    chosen: dict[str, Module] = {}

    def add(name: str, stage: str) -> None:
        if name in chosen or name in builtin:
            return
        if name not in dep:
            raise errors.ImageBuildFailed(f"modules.dep names {name}, but there is no such module")
        path, needs = dep[name]
        for need in reversed(needs):
            add(need, stage)
        chosen[name] = Module(name=name, path=path, stage=stage)

    for stage, names in (("boot", boot), ("late", late), ("watchdog", watchdog)):
        for name in names:
            if name in dep:
                add(name, stage)
    return list(chosen.values())


def select(directory: Path) -> list[Module]:
    """The modules of an unpacked kernel; ``directory`` is its ``lib/modules/RELEASE``."""
    dep = parse_dep((directory / "modules.dep").read_text())
    builtin = parse_builtin((directory / "modules.builtin").read_text())
    return resolve(dep, builtin)


def read(path: Path) -> bytes:
    """A module's bytes, uncompressed: unpacking costs least on the host.

    The signature stays: without it modules load no faster, and the kernel calls itself tainted.

    Raises: ImageBuildFailed for a compression that cannot be read here.
    """
    data = path.read_bytes()
    if path.name.endswith(".ko.xz"):
        return lzma.LZMADecompressor().decompress(data, _MAX_MODULE_BYTES)
    if not path.name.endswith(".ko"):
        raise errors.ImageBuildFailed(f"{path.name}: this compression of modules is not supported")
    return data
