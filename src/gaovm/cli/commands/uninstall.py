"""``gaovm uninstall``: end the VMs and the daemon, and remove what they left on this machine.

It removes only what GaoVM makes: a home may be a directory that holds other things, too.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from gaovm import errors
from gaovm.aio import files
from gaovm.cli import calls, options, output, progress
from gaovm.cli.commands import daemon, listing, units
from gaovm.client import paths
from gaovm.hostfacts import homes, usage
from gaovm.openssh import userfiles
from gaovm.platform import exits

# its lock is what makes a directory a home
_LOCK = "gaovmd.lock"
# in this order: an interrupted removal leaves no database of VMs whose disks are gone
_OF_HOME = (
    "state.db*",
    "state.backup.db*",
    "state.reserve",
    "vms",
    "ssh",
    "disks",
    "run",
    "images",
    "logs",
    "accelerator.json",
    "lima",
    "lima-configs.json*",
    # files that were never finished (aio.files)
    f".?*.[0-9]*.{'[0-9a-f]' * 8}",
    "gaovmd.sock",
    _LOCK,
)
_OF_CACHE = ("images", "packages", "agent", "yq")
#: A driver without a daemon shuts its guest down in 15 s.
_DRIVERS_S = 20.0


class Plan(NamedTuple):
    """Say what goes. ``vms``: the VMs whose disks go with it; ``disks``: the named disks."""

    home: Path
    vms: list[str]
    disks: list[str]
    things: list[Path]
    cache: list[Path]
    unit: units.Unit | None

    @property
    def size_bytes(self) -> int:
        """Return how many bytes all of it takes on the disk."""
        return sum(_size(path) for path in (*self.things, *self.cache))


def run(parsed: options.Parsed) -> int:
    """Ask, end everything, remove it."""
    home = Path(paths.home())
    homes.check(str(home), write=True)
    plan = look(home, with_cache=parsed.flag("cache"))
    if not (plan.things or plan.cache or plan.unit):
        return _told(parsed, plan, 0, f"there is nothing of GaoVM in {home}")
    if not parsed.flag("yes"):
        _refuse_without_terminal()
        if not output.confirm(output.harmless(question(plan))):
            output.err("nothing was removed")
            return 1
    freed = plan.size_bytes
    with progress.to_stderr(quiet=parsed.flag("quiet")) as shown:
        if plan.unit is not None:
            units.remove(plan.unit)  # first, or systemd would start the daemon again
        _end(shown)
        remove(plan)
        userfiles.remove(lambda _, of: of == str(home))
        _remove_all(plan.cache)
        _remove_directory(cache_directory())
    return _told(parsed, plan, freed, f"removed; {output.size(freed)} freed")


def _refuse_without_terminal() -> None:
    if not sys.stdin.isatty():
        raise errors.UsageError(
            "uninstall asks before it removes every VM, and standard input is no terminal",
            remedy="gaovm uninstall --yes",
        )


def look(home: Path, *, with_cache: bool) -> Plan:
    """Look up what there is of this home."""
    unit = units.find(str(home))
    cache = cache_directory()
    is_home = (home / _LOCK).exists()
    return Plan(
        home=home,
        vms=[path.name for path in _matching(home / "vms", ("*",))] if is_home else [],
        disks=[path.name for path in _matching(home / "disks", ("*",))] if is_home else [],
        things=_matching(home, _OF_HOME if is_home else ("accelerator.json",)),
        cache=_matching(cache, _OF_CACHE) if with_cache else [],
        unit=unit if unit.path.exists() or unit.link.is_symlink() else None,
    )


def question(plan: Plan) -> str:
    """Write the question for the user."""
    parts = []
    if plan.vms:
        parts.append(f"{len(plan.vms)} VMs with their disks ({', '.join(plan.vms)})")
    if plan.disks:
        parts.append(f"{len(plan.disks)} disks of `gaovm disk` ({', '.join(plan.disks)})")
    if plan.things:
        parts.append(f"the images and all state in {listing.short_path(str(plan.home))}")
    if plan.cache:
        parts.append(f"the cache {listing.short_path(str(cache_directory()))}")
    if plan.unit is not None:
        parts.append(f"the unit {plan.unit.path}")
    lines = "".join(f"  {part}\n" for part in parts)
    return f"This removes, {output.size(plan.size_bytes)} in all:\n{lines}Remove all that?"


def cache_directory() -> Path:
    """``$GAOVM_CACHE``, else ``~/.cache/gaovm``."""
    given = os.environ.get("GAOVM_CACHE")
    return Path(given).absolute() if given else Path.home() / ".cache" / "gaovm"


def _end(shown: progress.Progress) -> None:
    try:
        client = calls.connect(start=False)
    except errors.DaemonUnreachable:
        return
    with client:
        daemon.end(client, shown)


def remove(plan: Plan) -> None:
    """Remove what GaoVM keeps in the home, and the home if nothing else is in it.

    Holds the daemon's lock meanwhile, so that no daemon starts.

    Raises:
        errors.StateConflict: a daemon or a driver still runs; what it needs was left.
        errors.HostError: something cannot be removed.
    """
    home = plan.home
    if not plan.things:
        return
    lock = files.Lock(home / _LOCK)
    if not lock.acquire():
        raise errors.StateConflict(
            f"a daemon runs in {home} (process {lock.holder()}) and does not answer",
            remedy=f"kill {lock.holder()}, then gaovm uninstall",
        )
    try:
        for vm in _matching(home / "vms", ("*",)):
            _await_driver(vm)
        for pattern in _OF_HOME:
            _remove_all(_matching(home, (pattern,)))
    finally:
        lock.release()
    _remove_directory(home)


def _await_driver(vm: Path) -> None:
    """Wait until the driver of a VM has left: its hypervisor writes to the disk until then."""
    if not (vm / "lock").exists():
        return
    lock = files.Lock(vm / "lock")
    if lock.acquire():
        lock.release()
        return
    pid = lock.holder()
    try:
        watched = exits.watch(pid) if pid is not None else None
    except OSError:
        return  # the driver has just left
    if watched is None or not exits.wait(watched, _DRIVERS_S):
        raise errors.StateConflict(
            f"the driver of VM {vm.name} (process {pid}) still runs",
            remedy=f"kill {pid}, then gaovm uninstall",
        )
    watched.close()


def _matching(directory: Path, patterns: Iterable[str]) -> list[Path]:
    try:
        found = sorted(directory.iterdir())
    except FileNotFoundError:
        return []
    return [path for path in found if any(fnmatch.fnmatch(path.name, p) for p in patterns)]


def _remove_all(found: Iterable[Path]) -> None:
    for path in found:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as exc:
            error = files.errors_of(exc, f"cannot remove {exc.filename or path}")
            error.remedy = f"remove it by hand: unshare --map-root-user --map-auto rm -rf {path}"
            raise error from exc


def _remove_directory(directory: Path) -> None:
    """Remove a directory that is empty, and the link that led to it."""
    try:
        if directory.is_symlink():
            directory.resolve().rmdir()
            directory.unlink()
        else:
            directory.rmdir()
    except OSError:
        return  # others keep files in it, or it never existed


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return usage.disk_bytes(path)
    try:
        return path.lstat().st_blocks * 512
    except OSError:
        return 0


def _told(parsed: options.Parsed, plan: Plan, freed: int, done: str) -> int:
    left = sorted(path.name for path in _matching(plan.home, ("*",)))
    if parsed.flag("json"):
        output.json_out(
            {
                "home": str(plan.home),
                "vms": plan.vms,
                "freed_bytes": freed,
                "left": left,
                "unit": None if plan.unit is None else str(plan.unit.path),
            }
        )
        return 0
    output.err(done)
    if left:
        output.err(output.harmless(f"left in {plan.home}, as it is not ours: {', '.join(left)}"))
    if not parsed.flag("quiet"):
        output.err(
            "remove the program itself as you installed it, for example: pip uninstall gaovm"
        )
    return 0


UNINSTALL = options.Command(
    "uninstall",
    run,
    about="End every VM and the daemon, and remove all that GaoVM keeps in $GAOVM_HOME: VMs with\n"
    "their disks, the named disks, images, logs; the unit of `gaovm daemon enable`; with --cache\n"
    "also the cache. Project files (.lima) stay. The program itself goes as it was installed.",
    options=(
        options.Option("-y, --yes", "do not ask"),
        options.Option("--cache", "also the cache ($GAOVM_CACHE, else ~/.cache/gaovm)"),
        options.JSON,
        options.QUIET,
    ),
    examples=("gaovm uninstall", "gaovm uninstall --cache --yes"),
)
