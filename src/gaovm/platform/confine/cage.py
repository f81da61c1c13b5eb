"""What a confined program may reach and use, as data. Making it so is ``inside``."""

from __future__ import annotations

from typing import NamedTuple


class Bind(NamedTuple):
    """A file or directory of the host that is in the place under the same path.

    ``device``: it may be used as the device that it is. ``programs``: what it holds may be
    executed. ``source`` is the path without symbolic links, where that is another one.
    """

    path: str
    source: str = ""
    writable: bool = False
    device: bool = False
    programs: bool = False


class Limits(NamedTuple):
    """What the program may use at most. ``memory_bytes`` counts what it touches.

    ``address_bytes`` bounds what it maps, which always is more; it holds where there is no control
    group too. ``cpus``: of processor time, in CPUs. ``weight``: of disk I/O, 1 to 1000; what no
    group says has 100; where no weights are known, ``disk_bytes_s`` and ``disk_operations_s`` bound
    each direction of the device ``disk`` (as ``st_dev``; 0: none is known).
    """

    memory_bytes: int
    address_bytes: int
    cpus: float
    processes: int
    open_files: int
    weight: int = 50
    disk: int = 0
    disk_bytes_s: int = 1 << 30
    disk_operations_s: int = 50_000


class Ids(NamedTuple):
    """A user id and how many ids from it on are the program's. Groups have the same numbers."""

    first: int
    size: int = 65536


class Cage(NamedTuple):
    """One place.

    ``ids``: who runs the program; None: whoever starts it, a plain user. ``owners``: ids of the
    host that stand for themselves in a user namespace where every other one is of ``ids``; empty:
    there is none. ``capabilities`` are had in that namespace only, over files of ids it knows;
    ``root`` is who the program is there, else somebody who owns nothing.
    ``network``: the host's; else none at all. ``hidden``: directories below binds that are empty.
    ``links`` are symbolic links: path and target. ``settings``: what there is of ``/proc`` beside
    the program's own processes: path and text.
    """

    binds: tuple[Bind, ...]
    limits: Limits
    ids: Ids | None = None
    groups: tuple[int, ...] = ()
    owners: tuple[tuple[int, int], ...] = ()
    capabilities: frozenset[int] = frozenset()
    root: bool = False
    network: bool = False
    hidden: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
