"""What detection finds: a kind of project, and what its VM needs for it."""

from __future__ import annotations

from dataclasses import dataclass

#: The release of Debian whose packages and versions the tables here are about.
DEBIAN = "Debian 12"
#: More ports than this from one kind of project are no servers that a person tries.
MOST_PORTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A TCP port of the guest on which a server of the project listens; ``why`` in a few words."""

    number: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the project is made with.

    ``name``: ``Node.js``. ``files``: where it was seen. ``packages``: of Debian. ``notes``:
    sentences on what the packages do not give. ``docker``: the user joins the group ``docker``.
    """

    name: str
    files: tuple[str, ...]
    packages: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    notes: tuple[str, ...] = ()
    docker: bool = False


def ports(found: list[tuple[int, str]]) -> tuple[Port, ...]:
    """Return ports in the order found, each once; drop numbers that are no ports."""
    first: dict[int, str] = {}
    for number, why in found:
        if 0 < number < 65536:
            first.setdefault(number, why)
    return tuple(Port(number=n, why=why) for n, why in list(first.items())[:MOST_PORTS])
