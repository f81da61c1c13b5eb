"""Define what QEMU may reach: its program and firmware (read only), its shares, its descriptors.

A virtiofsd reaches its program and its one share. Neither of them can see anything else of the
host or of other VMs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gaovm.builder.document import ShareDevice
from gaovm.builder.qemu.document import Document
from gaovm.platform.confine.cage import Bind, Cage, Ids, Limits

MIB = 1 << 20
#: Memory for QEMU beside the guest's memory and translated code: the program, its threads, device
#: buffers, and the host's cache of what QEMU reads, which the kernel takes back first.
OVERHEAD_BYTES = 384 * MIB
#: QEMU maps this much more and hardly touches it: libraries, stacks, malloc's arenas.
MAPPED_BYTES = 4096 * MIB
#: QEMU's threads: one for each CPU, and up to 64 that wait for disks and shares.
THREADS = 256
OPEN_FILES = 4096
# Where QEMU's libraries and modules are, and the files of distribution packages that it reads.
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/lib32", "/libx32")
_DATA = ("/usr/share/qemu", "/usr/share/seabios", "/usr/share/qemu-efi-aarch64", "/usr/share/AAVMF")
_SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime")
_NAMES = ("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf")
_KVM = "/dev/kvm"
#: CAP_CHOWN, CAP_DAC_OVERRIDE and CAP_FOWNER: they let the server give a share's files the owners
#: that the guest asks for, in a user namespace with only the ids of the share's owner and the VM.
_SERVING = frozenset({0, 1, 3})
#: Beside these: CAP_SETGID and CAP_SETUID (to act as the guest's user who asks), CAP_SYS_CHROOT,
#: and CAP_SETPCAP. With the last it drops the former three itself, as far as it can.
_SERVER = _SERVING | {6, 7, 8, 18}
#: virtiofsd holds a descriptor for every file that the guest's kernel remembers.
SERVER_FILES = 1_000_000
# The C virtiofsd does not start without this file, and only uses it for a limit that we give it.
_FILE_MAX = ("/proc/sys/fs/file-max", f"{2 * SERVER_FILES}\n")


class Own(NamedTuple):
    """GaoVM's directories: the state directory, and the cache, whose files its images hard-link.

    None: there is no cache to hide.
    """

    home: Path
    cache: Path | None = None


def served(document: Document) -> tuple[ShareDevice, ...]:
    """Return the shares that QEMU itself serves (9p)."""
    return tuple(share for share in document.shares if share.type == "9p")


def make(document: Document, own: Own, ids: Ids | None, *, root: bool) -> Cage:
    """Make the cage of a VM's QEMU. ``ids``: the VM's own, if root starts it.

    Root without ids is root of a container that has no other ids: it serves 9p as itself.
    """
    shares = served(document)
    kvm = document.accelerator.name == "kvm"
    binds = [*_program(document.argv[0], own.home), Bind("/dev/null", device=True)]
    if document.host_network:
        binds += _there(_NAMES)
    if kvm:
        binds.append(Bind(_KVM, device=True))
    places = sorted(shares, key=lambda share: len(Path(share.location).parts))
    binds += [
        Bind(share.location, source=os.path.realpath(share.location), writable=share.writable)
        for share in places
    ]
    mapped = ids is not None and shares
    return Cage(
        binds=_outer_first(binds),
        links=tuple(_links(document.argv[0])),
        limits=_limits(document, own.home),
        ids=ids,
        groups=_groups() if kvm else (),
        owners=tuple(sorted({_owner(share.location) for share in shares})) if mapped else (),
        capabilities=_SERVING if root and shares else frozenset(),
        network=document.host_network,
        hidden=_hidden(places, own),
    )


def make_server(
    program: str, share: ShareDevice, document: Document, own: Own, ids: Ids | None, *, root: bool
) -> Cage:
    """Make the cage of a share's virtiofsd. With ``ids`` it is root of a user namespace.

    Root without ids (see ``make``) is root there too, with these capabilities and no more.
    """
    place = Bind(share.location, source=os.path.realpath(share.location), writable=share.writable)
    mapped = ids is not None
    return Cage(
        binds=_outer_first([*_program(program, own.home), Bind("/dev/null", device=True), place]),
        links=tuple(_links(program)),
        limits=_limits(document, own.home)._replace(open_files=SERVER_FILES),
        ids=ids,
        owners=(_owner(share.location),) if mapped else (),
        capabilities=_SERVER if root else frozenset(),
        root=mapped,
        hidden=_hidden([share], own),
        settings=(_FILE_MAX,),
    )


def _outer_first(binds: Iterable[Bind]) -> tuple[Bind, ...]:
    """Sort binds so that none covers another: a share may be ``/usr``, or lie in ``/usr``."""
    return tuple(sorted(binds, key=lambda bind: len(Path(bind.path).parts)))


def covers(share: ShareDevice, home: Path) -> bool:
    """Whether the state directory lies below a share; then the cage must hide it."""
    return bool(_hidden([share], Own(home)))


def _limits(document: Document, home: Path) -> Limits:
    written = [home, *(Path(share.location) for share in document.shares if share.writable)]
    return Limits(
        memory_bytes=document.memory_bytes + OVERHEAD_BYTES + _in_memory(written),
        address_bytes=document.memory_bytes + MAPPED_BYTES,
        cpus=document.processors + 1,
        processes=THREADS + document.processors,
        open_files=OPEN_FILES,
        disk=home.stat().st_dev if home.exists() else 0,
    )


def _in_memory(paths: Iterable[Path]) -> int:
    """Return how much the in-memory file systems of these can hold: their files count as memory."""
    devices = {path.stat().st_dev: path for path in paths if path.exists()}
    total = 0
    for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        fields, _, kind = line.partition(" - ")
        number = fields.split()[2].split(":")
        path = devices.pop(os.makedev(int(number[0]), int(number[1])), None)
        if path is not None and kind.split()[0] in ("tmpfs", "ramfs"):
            found = os.statvfs(path)
            total += found.f_blocks * found.f_frsize
    return total


def _program(program: str, home: Path) -> list[Bind]:
    real = os.path.realpath(program)
    binds = []
    prefix = Path(real).parent.parent
    if prefix not in (Path("/usr"), Path("/")):  # a prefix of the user's own
        binds = [Bind(str(path), programs=True) for path in _beside(prefix, home)]
    if not any(Path(real).is_relative_to(bind.path) for bind in binds):
        binds.append(Bind(real, programs=True))
    binds += [bind._replace(programs=True) for bind in _there(_LIBRARIES)]
    return binds + _there(_DATA) + _there(_SETTINGS)


def _beside(prefix: Path, home: Path) -> list[Path]:
    """Return the parts of a program's prefix that the cage shows.

    These are the whole prefix, or only its usual directories of programs if it contains a user's
    home (as the prefix of ``~/bin`` does) or the state directory.
    """
    private = [Path(os.path.realpath(path)) for path in (home, os.path.expanduser("~"))]  # noqa: PTH111

    def holds(path: Path) -> bool:
        return any(each.is_relative_to(path) for each in private)

    if not holds(prefix):
        return [prefix]
    found = [prefix / name for name in ("lib", "lib64", "libexec", "share")]
    return [path for path in found if path.is_dir() and not holds(path)]


def _there(paths: Sequence[str]) -> list[Bind]:
    """Return a bind for each path that exists and is not a link into another one."""
    return [
        Bind(path, source=os.path.realpath(path))
        for path in paths
        if Path(path).exists() and not _is_link(path)
    ]


def _links(program: str) -> Iterable[tuple[str, str]]:
    """Return the links to make: ``/lib`` and its like if /usr is merged, and a program's link.

    QEMU looks for its modules beside the path by which the kernel knows it. If we bound the
    program at the link's name, QEMU would look in the wrong place.
    """
    if (real := os.path.realpath(program)) != program:
        yield program, real
    for path in _LIBRARIES:
        if _is_link(path):
            yield path, str(Path(path).readlink())


def _is_link(path: str) -> bool:
    """Whether a path is a link to a directory."""
    return Path(path).is_symlink() and Path(path).is_dir()


def _groups() -> tuple[int, ...]:
    try:
        return (Path(_KVM).stat().st_gid,)
    except OSError:
        return ()


def _owner(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_uid, found.st_gid


def _hidden(shares: Sequence[ShareDevice], own: Own) -> tuple[str, ...]:
    """Return the paths below shares where the cage must hide the state directory and the cache."""
    found = set()
    there = [path for path in own if path is own.home or (path is not None and path.is_dir())]
    for real in (Path(os.path.realpath(path)) for path in there if path is not None):
        for share in shares:
            top = Path(os.path.realpath(share.location))
            if real != top and real.is_relative_to(top):
                found.add(Path(share.location) / real.relative_to(top))
    return tuple(str(path) for path in sorted(found) if found.isdisjoint(path.parents))
