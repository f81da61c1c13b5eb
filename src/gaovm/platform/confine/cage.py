"""What a confined program may reach and use, as data. ``inside`` puts it in force."""

from __future__ import annotations

from typing import NamedTuple


class Bind(NamedTuple):
    """A file or directory of the host, which the cage has under the same path.

    ``device``: the program may use it as the device that it is. ``programs``: the program may
    execute what it holds. ``source``: the path without symbolic links, if that differs.
    """

    path: str
    source: str = ""
    writable: bool = False
    device: bool = False
    programs: bool = False


class Limits(NamedTuple):
    """What the program may use at most. ``memory_bytes`` counts the memory that it touches.

    ``address_bytes`` limits what it maps, which is always more; this works without a control group
    too. ``cpus``: processor time, in CPUs. ``weight``: share of disk I/O, 1 to 1000; the default of
    other groups is 100. If the host knows no weights, ``disk_bytes_s`` and ``disk_operations_s``
    limit each direction of the device ``disk`` (as ``st_dev``; 0: unknown).
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
    """The program's user ids: the first one, and how many. Its groups have the same numbers."""

    first: int
    size: int = 65536


class Cage(NamedTuple):
    """One cage.

    ``ids``: who runs the program; None: the user who starts it, a plain one. ``owners``: ids of the
    host that keep their number in a user namespace, where every other number is one of ``ids``;
    empty: there is no such namespace. The program has ``capabilities`` in that namespace only, over
    files whose ids it knows. ``root``: the program is root there, else a user who owns nothing.
    ``network``: it has the host's network, else none at all. ``hidden``: directories below binds
    that look empty. ``links`` are symbolic links: path and target. ``settings``: files of ``/proc``
    beside the program's own processes: path and text.
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
