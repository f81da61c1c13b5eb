"""Control groups: limits for a program's memory, processes, processors and disks.

This supports both versions, also mixed, as some hosts have them: it uses each controller where it
is mounted. A group lies below the caller's own group. If the kernel or the host's manager wants no
processes beside groups, it lies below the nearest ancestor that allows it: ``gaovm/NAME``. ``NAME``
begins with pid and start time of the process that made it, so that others can find and sweep what a
killed process left.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/*.rst of the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from gaovm.platform import processes
from gaovm.platform.confine.cage import Limits

_PARENT = "gaovm"
_NAME = re.compile(r"(\d{1,10})\.(\d{1,20})\..+")
_PERIOD_US = 100_000
_TRIES = 3
#: Controllers, by the report's names for them; v1 has other names for some.
CONTROLLERS = ("memory", "pids", "cpu", "io")
_V1 = {"io": "blkio"}


class Hierarchy(NamedTuple):
    """A mounted tree of groups: ``own`` is the caller's group in it."""

    root: Path
    own: Path
    unified: bool
    controllers: tuple[str, ...]


class Group:
    """One program's groups. ``limited``: controllers in force; ``missing``: the others, and why."""

    def __init__(
        self, paths: list[Path], limited: tuple[str, ...], missing: dict[str, str]
    ) -> None:
        self._paths = paths
        self.limited = limited
        self.missing = missing

    @property
    def parents(self) -> tuple[Path, ...]:
        """The directories that hold them."""
        return tuple(path.parent for path in self._paths)

    def files(self) -> tuple[int, ...]:
        """Open files: a process enters by writing 0 to each. The caller closes them."""
        with contextlib.ExitStack() as opened:
            found = []
            for path in self._paths:
                fd = os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
                opened.callback(os.close, fd)
                found.append(fd)
            opened.pop_all()
        return tuple(found)

    def close(self) -> None:
        """Remove the groups, which must be empty by now. Idempotent."""
        for path in self._paths:
            _remove(path)


def make(name: str, limits: Limits) -> Group:
    """Make groups with these limits for children of this process, as far as the host allows."""
    pid, started = processes.identity(os.getpid())
    name = f"{pid}.{started}.{name}"
    paths: list[Path] = []
    limited: list[str] = []
    missing: dict[str, str] = {}
    found = hierarchies()
    for tree in found:
        path, why = _make_in(tree, name)
        if path is None:
            missing |= dict.fromkeys(tree.controllers, why)
            continue
        done = []
        for controller in tree.controllers:
            try:
                _SETTERS[controller](path, limits, tree.unified)
            except OSError as exc:
                missing[controller] = str(exc.strerror)
            else:
                done.append(controller)
        if done:
            paths.append(path)
            limited += done
        else:
            _remove(path)
    for controller in CONTROLLERS:
        if controller not in limited:
            missing.setdefault(controller, "no such controller is mounted")
    return Group(paths, tuple(c for c in CONTROLLERS if c in limited), missing)


def sweep() -> bool:
    """Remove the groups of makers that are gone; False: some are still in use.

    What this process may not remove belongs to another user, who sweeps it.
    """
    clean = True
    for tree in hierarchies():
        for parent in (tree.own, *tree.own.parents):
            if not parent.is_relative_to(tree.root):
                break
            for path in _left(parent / _PARENT):
                clean = _remove(path) and clean
            with contextlib.suppress(OSError):  # it does not exist, or it is in use
                (parent / _PARENT).rmdir()
    return clean


def _left(parent: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for entry in os.scandir(parent):
            maker = _NAME.fullmatch(entry.name)
            if maker is not None and not processes.alive(int(maker[1]), int(maker[2])):
                yield Path(entry.path)


def _remove(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError as exc:
        return exc.errno != errno.EBUSY
    with contextlib.suppress(OSError):  # others are in use
        path.parent.rmdir()
    return True


def hierarchies() -> list[Hierarchy]:
    """Return the mounted trees that have a controller we use."""
    mounts = _mounts()
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(errors="replace").splitlines():
            number, _, rest = line.partition(":")
            names, _, own = rest.partition(":")
            unified = number == "0" and not names
            for root, shown, kinds in mounts:
                if unified != (kinds is None) or (
                    kinds is not None and kinds != set(names.split(","))
                ):
                    continue
                below = _below(own, shown)
                if below is None:
                    continue
                tree = Hierarchy(root, root / below, unified, ())
                has = _controllers(tree, names)
                if has:
                    found.append(tree._replace(controllers=has))
                break
    return found


def _controllers(tree: Hierarchy, names: str) -> tuple[str, ...]:
    has = set(names.split(","))
    if tree.unified:
        with contextlib.suppress(OSError):
            has = set((tree.own / "cgroup.controllers").read_text().split())
            if tree.own != tree.root:  # a leaf may lack what its ancestors could give it
                has |= set((tree.root / "cgroup.controllers").read_text().split())
        return tuple(c for c in CONTROLLERS if c in has)
    return tuple(c for c in CONTROLLERS if _V1.get(c, c) in has)


def _below(own: str, shown: str) -> str | None:
    """Return where a group is below a mount that shows the tree from ``shown`` on."""
    own, shown = own.strip("/"), shown.strip("/")
    if not shown:
        return own
    if own == shown or own.startswith(shown + "/"):
        return own[len(shown) :].strip("/")
    return None


def _mounts() -> list[tuple[Path, str, set[str] | None]]:
    """Return each mount point, the part of the tree it shows, its controllers (None: v2)."""
    found: list[tuple[Path, str, set[str] | None]] = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
            left, _, right = line.partition(" - ")
            fields, kind = left.split(), right.split()
            if len(kind) < 3 or len(fields) < 5:
                continue
            if kind[0] == "cgroup2":
                found.append((Path(fields[4]), fields[3], None))
            elif kind[0] == "cgroup":
                options = {o for o in kind[2].split(",") if o not in ("rw", "ro")}
                found.append((Path(fields[4]), fields[3], options))
    return found


def _make_in(tree: Hierarchy, name: str) -> tuple[Path | None, str]:
    """Make a group in a tree, as near as the host allows; else return None, and why."""
    why = "no group of this user's is writable"
    for parent in (tree.own, *tree.own.parents):
        if not parent.is_relative_to(tree.root):
            break
        for _ in range(_TRIES):
            try:
                return _make_below(parent, name, tree), ""
            except FileNotFoundError as exc:  # another process has just swept an empty directory
                why = f"{parent}: {exc.strerror}"
            except OSError as exc:
                why = f"{parent}: {exc.strerror}"
                break
    return None, why


def _make_below(parent: Path, name: str, tree: Hierarchy) -> Path:
    between = parent / _PARENT
    made = not between.exists()
    between.mkdir(mode=0o755, exist_ok=True)
    try:
        if tree.unified:
            _hand_down(parent, tree.controllers)
            _hand_down(between, tree.controllers)
        path = between / name
        path.mkdir(mode=0o755)
    except OSError:
        if made:
            with contextlib.suppress(OSError):
                between.rmdir()
        raise
    return path


def _hand_down(parent: Path, controllers: tuple[str, ...]) -> None:
    """Give groups below ``parent`` these controllers; raise only if ``memory`` fails."""
    there = (parent / "cgroup.subtree_control").read_text().split()
    problem: OSError | None = None
    for controller in controllers:
        if controller in there:
            continue
        try:
            _write(parent / "cgroup.subtree_control", f"+{controller}")
        except OSError as exc:
            problem = exc
    # a group without ``memory`` is useless: the next ancestor may have it
    if problem is not None and "memory" in controllers:
        there = (parent / "cgroup.subtree_control").read_text().split()
        if "memory" not in there:
            raise problem


def _memory(path: Path, limits: Limits, unified: bool) -> None:
    if unified:
        _write(path / "memory.max", str(limits.memory_bytes))
        with contextlib.suppress(OSError):  # the kernel has no swap controller
            _write(path / "memory.swap.max", "0")
        return
    _write(path / "memory.limit_in_bytes", str(limits.memory_bytes))
    with contextlib.suppress(OSError):
        _write(path / "memory.memsw.limit_in_bytes", str(limits.memory_bytes))


def _pids(path: Path, limits: Limits, unified: bool) -> None:
    _write(path / "pids.max", str(limits.processes))


def _cpu(path: Path, limits: Limits, unified: bool) -> None:
    quota = int(limits.cpus * _PERIOD_US)
    if unified:
        _write(path / "cpu.max", f"{quota} {_PERIOD_US}")
    else:
        _write(path / "cpu.cfs_period_us", str(_PERIOD_US))
        _write(path / "cpu.cfs_quota_us", str(quota))


def _io(path: Path, limits: Limits, unified: bool) -> None:
    """Limit disk I/O: by a weight if the disk's scheduler knows weights, else per second."""
    names = ("io.weight", "io.bfq.weight") if unified else ("blkio.weight", "blkio.bfq.weight")
    weighed = False
    for name in names:
        with contextlib.suppress(OSError):
            _write(path / name, str(limits.weight))
            weighed = True
    if not weighed:
        _throttle(path, limits, unified)


def _throttle(path: Path, limits: Limits, unified: bool) -> None:
    if not os.major(limits.disk):
        raise OSError(errno.ENODEV, "its disk is not a block device")
    disk = _whole(f"{os.major(limits.disk)}:{os.minor(limits.disk)}")
    size, count = limits.disk_bytes_s, limits.disk_operations_s
    if unified:
        _write(path / "io.max", f"{disk} rbps={size} wbps={size} riops={count} wiops={count}")
        return
    for direction in ("read", "write"):
        _write(path / f"blkio.throttle.{direction}_bps_device", f"{disk} {size}")
        _write(path / f"blkio.throttle.{direction}_iops_device", f"{disk} {count}")


def _whole(device: str) -> str:
    """Return the disk of a partition; for any other device, the device itself."""
    here = Path(os.path.realpath(f"/sys/dev/block/{device}"))
    if (here / "partition").exists():
        with contextlib.suppress(OSError):
            return (here.parent / "dev").read_text().strip()
    return device


_SETTERS: dict[str, Callable[[Path, Limits, bool], None]] = {
    "memory": _memory,
    "pids": _pids,
    "cpu": _cpu,
    "io": _io,
}


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
