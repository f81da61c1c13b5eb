"""Choose the kernel modules of the initramfs, and the order in which the agent loads them.

It reads the tables of depmod (``modules.dep``, ``modules.builtin``); the resolution itself is pure.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaovm import errors

# No guest starts without these, so the kernel must have them as modules or built in.
REQUIRED = ("virtio_pci", "virtio_blk", "ext4", "virtio_console")
# Each stage's modules in the order in which the agent loads them. A module takes milliseconds on an
# emulated processor, and the first command waits for the mounts: so their file systems come first,
# each only if the VM has such a device. The agent's serving copy loads all stages but ``boot`` in
# the background.
STAGES: Mapping[str, Sequence[str]] = {
    # Before the root is mounted. ext4 needs a crc32c; the agent tries the accelerated one first.
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
    # Other devices that the host provides, and modules that guests often need.
    "late": (
        "virtio_rng",
        "overlay",
        "vmw_vsock_virtio_transport",
        "virtio_balloon",
        "pvpanic_pci",
    ),
    # Only if the VM has such a device: a watchdog that nobody feeds is worse than none.
    "watchdog": ("i6300esb",),
}
#: Stages that the agent leaves out if the VM has no such device.
OPTIONAL = ("9p", "virtiofs", "watchdog")
_MAX_MODULE_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module to load: its name, its path below the modules directory, and its stage."""

    name: str
    path: str
    stage: str


def canonical(path: str) -> str:
    """Return the kernel's name of a module file: no directory, no suffix, underscores."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def parse_dep(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Parse ``modules.dep`` to name -> (path, names that it needs)."""
    table = {}
    for line in text.splitlines():
        path, colon, needs = line.partition(":")
        if colon:
            table[canonical(path)] = (path, tuple(canonical(need) for need in needs.split()))
    return table


def parse_builtin(text: str) -> set[str]:
    """Parse ``modules.builtin`` to names."""
    return {canonical(line) for line in text.splitlines() if line}


def resolve(
    dep: Mapping[str, tuple[str, tuple[str, ...]]],
    builtin: set[str],
    stages: Mapping[str, Sequence[str]] = STAGES,
) -> list[Module]:
    """Return the modules to carry, stage by stage, dependencies before what needs them.

    A module is in the list once, unless several stages need it and one of them is optional: the
    kernel refuses to load a module twice, which does no harm. The list leaves out modules that are
    built in, and modules that the kernel lacks unless they are ``REQUIRED``.

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
    """Yield the missing dependencies of ``name``, then ``name``; add all of them to ``there``."""
    if name in there:
        return
    if name not in dep:
        raise errors.ImageBuildFailed(f"modules.dep names {name}, but there is no such module")
    for need in reversed(dep[name][1]):
        yield from _closure(need, dep, there)
    there.add(name)
    yield name


def select(directory: Path) -> list[Module]:
    """Return the modules of an unpacked kernel; ``directory`` is its ``lib/modules/RELEASE``."""
    dep = parse_dep((directory / "modules.dep").read_text())
    builtin = parse_builtin((directory / "modules.builtin").read_text())
    return resolve(dep, builtin)


def read(path: Path) -> bytes:
    """Return a module's bytes, uncompressed: unpacking is cheapest on the host.

    They keep their signature: without it modules load no faster, and the kernel is tainted.

    Raises: ImageBuildFailed for a compression that Python cannot read.
    """
    data = path.read_bytes()
    if path.name.endswith(".ko.xz"):
        return lzma.LZMADecompressor().decompress(data, _MAX_MODULE_BYTES)
    if not path.name.endswith(".ko"):
        raise errors.ImageBuildFailed(f"{path.name}: a module in an unsupported compression")
    return data
