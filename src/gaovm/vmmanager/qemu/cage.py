"""What QEMU may reach: its program and firmware to read, the shares that it serves, descriptors.
A virtiofsd reaches its program and the one share.

Everything else of the host, and of other VMs, is not there.
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
#: Beside the guest's memory and translated code: the program, its threads, buffers of devices, and
#: the host's cache of what it reads, which the kernel takes back first.
OVERHEAD_BYTES = 384 * MIB
#: What is mapped beside that and mostly not touched: libraries, stacks, arenas of malloc.
MAPPED_BYTES = 4096 * MIB
#: Threads of the program: one for each CPU, and up to 64 that wait for disks and shares.
THREADS = 256
OPEN_FILES = 4096
# Where its libraries and modules are, and what it reads of a distribution's packages.
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/lib32", "/libx32")
_DATA = ("/usr/share/qemu", "/usr/share/seabios", "/usr/share/qemu-efi-aarch64", "/usr/share/AAVMF")
_SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime")
_NAMES = ("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf")
_KVM = "/dev/kvm"
#: CAP_CHOWN, CAP_DAC_OVERRIDE and CAP_FOWNER: to give files of a share the owners that the guest
#: says, in a user namespace that knows the share's owner and the VM's own ids only.
_SERVING = frozenset({0, 1, 3})
#: Beside these CAP_SETGID, CAP_SETUID (to be who asks in the guest), CAP_SYS_CHROOT, and
#: CAP_SETPCAP, with which it drops the last three itself as far as it can.
_SERVER = _SERVING | {6, 7, 8, 18}
#: virtiofsd holds a descriptor for every file that the guest's kernel remembers.
SERVER_FILES = 1_000_000
# The C virtiofsd does not start without it, and uses it for what we tell it anyway.
_FILE_MAX = ("/proc/sys/fs/file-max", f"{2 * SERVER_FILES}\n")


class Own(NamedTuple):
    """GaoVM's own directories: the state directory, and the cache, of whose files its images are
    hard links. None: there is no cache to hide.
    """

    home: Path
    cache: Path | None = None


def served(document: Document) -> tuple[ShareDevice, ...]:
    """The shares that QEMU itself serves (9p)."""
    return tuple(share for share in document.shares if share.fd is None)


def make(document: Document, own: Own, ids: Ids | None, *, root: bool) -> Cage:
    """The cage of a VM's QEMU. ``ids``: the VM's own, when it is root that starts it.

    Root without ids is that of a container which has no others: it serves 9p as itself.
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
    """The cage of the virtiofsd of a share. With ``ids`` it is root of a user namespace.

    Root without ids, as in ``make``, is root there too, with no more than these capabilities.
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
    """Sort binds so that none covers another: a share may be ``/usr``, or lie in it."""
    return tuple(sorted(binds, key=lambda bind: len(Path(bind.path).parts)))


def covers(share: ShareDevice, home: Path) -> bool:
    """Whether the state directory lies below a share, where it must be hidden."""
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
    """How much the file systems in memory among these can hold: files there count as memory."""
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
    if prefix not in (Path("/usr"), Path("/")):  # one of the user's own
        binds = [Bind(str(path), programs=True) for path in _beside(prefix, home)]
    if not any(Path(real).is_relative_to(bind.path) for bind in binds):
        binds.append(Bind(real, programs=True))
    binds += [bind._replace(programs=True) for bind in _there(_LIBRARIES)]
    return binds + _there(_DATA) + _there(_SETTINGS)


def _beside(prefix: Path, home: Path) -> list[Path]:
    """What of the prefix of a program is shown: all, or only where programs have their files, if
    the prefix holds a user's home (as that of ``~/bin`` is) or the state directory.
    """
    private = [Path(os.path.realpath(path)) for path in (home, os.path.expanduser("~"))]  # noqa: PTH111

    def holds(path: Path) -> bool:
        return any(each.is_relative_to(path) for each in private)

    if not holds(prefix):
        return [prefix]
    found = [prefix / name for name in ("lib", "lib64", "libexec", "share")]
    return [path for path in found if path.is_dir() and not holds(path)]


def _there(paths: Sequence[str]) -> list[Bind]:
    """A bind for each path that exists and is no link into another one."""
    return [
        Bind(path, source=os.path.realpath(path))
        for path in paths
        if Path(path).exists() and not _is_link(path)
    ]


def _links(program: str) -> Iterable[tuple[str, str]]:
    """The links to make: ``/lib`` and its like where /usr is merged, and a program that is a link.

    QEMU looks for its modules beside the path by which the kernel knows it: a bind under the
    link's name would lead it astray.
    """
    if (real := os.path.realpath(program)) != program:
        yield program, real
    for path in _LIBRARIES:
        if _is_link(path):
            yield path, str(Path(path).readlink())


def _is_link(path: str) -> bool:
    """Whether it is a link to a directory."""
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
    """Where the state directory and the cache lie below a share; none that lies in another."""
    found = set()
    there = [path for path in own if path is own.home or (path is not None and path.is_dir())]
    for real in (Path(os.path.realpath(path)) for path in there if path is not None):
        for share in shares:
            top = Path(os.path.realpath(share.location))
            if real != top and real.is_relative_to(top):
                found.add(Path(share.location) / real.relative_to(top))
    return tuple(str(path) for path in sorted(found) if found.isdisjoint(path.parents))
