"""Which kernel modules the initramfs carries, and in which order they are loaded.

Reads the tables depmod made (``modules.dep``, ``modules.builtin``); the resolution itself is pure.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaovm import errors

# Without these no guest starts: they are modules or built in, or the kernel is of no use.
REQUIRED = ("virtio_pci", "virtio_blk", "ext4", "virtio_console")
# Each stage's modules in the order in which they are loaded. A module takes milliseconds where the
# processor is emulated, and the first command waits for the mounts: so their file systems come
# first, each only where the VM has such a device. All but ``boot`` are the work of the agent's
# serving copy, in the background.
STAGES: Mapping[str, Sequence[str]] = {
    # Before the root is mounted. ext4 wants a crc32c; the accelerated one is tried first.
    "boot": (
        "virtio_pci",
        "virtio_mmio",
        "virtio_blk",
        "virtio_console",
        "crc32c_intel",
        "crc32c_generic",
        "ext4",
    ),
    "9p": ("9pnet_virtio", "9p"),
    "virtiofs": ("virtiofs",),
    "network": ("virtio_net",),
    # What else the host plugs in, and what guests often want.
    "late": (
        "virtio_rng",
        "overlay",
        "vmw_vsock_virtio_transport",
        "virtio_balloon",
        "pvpanic_pci",
    ),
    # When the VM has such a device: a watchdog that nobody feeds would be worse than none.
    "watchdog": ("i6300esb",),
}
#: Stages that are left out where the VM has no such device.
OPTIONAL = ("9p", "virtiofs", "watchdog")
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
    stages: Mapping[str, Sequence[str]] = STAGES,
) -> list[Module]:
    """The modules to carry, stage after stage, dependencies before what needs them.

    Each stands there once, but for one that several stages need of which not all are loaded: the
    kernel refuses to load a module twice, which does no harm.

    What is built in is left out; what the kernel lacks is left out too, unless it is ``REQUIRED``.

    Raises: ImageBuildFailed for a missing required module or a missing dependency.
    """
    for name in REQUIRED:
        if name not in dep and name not in builtin:
            raise errors.ImageBuildFailed(f"the kernel has no {name}, built in or as a module")
    chosen: list[Module] = []
    loaded = set(builtin)
    for stage, names in stages.items():
        there = set(loaded)
        for name in names:
            if name in dep:
                needed = _closure(name, dep, there)
                chosen += [Module(name=each, path=dep[each][0], stage=stage) for each in needed]
        if stage not in OPTIONAL:
            loaded = there
    return chosen


def _closure(
    name: str, dep: Mapping[str, tuple[str, tuple[str, ...]]], there: set[str]
) -> Iterator[str]:
    """What ``name`` needs and is not ``there``, then itself; all of it is there afterwards."""
    if name in there:
        return
    if name not in dep:
        raise errors.ImageBuildFailed(f"modules.dep names {name}, but there is no such module")
    for need in reversed(dep[name][1]):
        yield from _closure(need, dep, there)
    there.add(name)
    yield name


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
