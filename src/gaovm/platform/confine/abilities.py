"""Make a cage, to find out which parts of one this host allows this user."""

from __future__ import annotations

import functools
import os
from typing import NamedTuple

from gaovm.platform import system
from gaovm.platform.confine import calls, identities, inside, landlock
from gaovm.platform.confine.cage import Cage, Limits

VARIABLE = "GAOVM_CONFINE"


class Abilities(NamedTuple):
    """``namespaces``: why there are none, empty if there are; ``landlock``: its version or 0."""

    root: bool
    namespaces: str
    landlock: int


def switched_off() -> bool:
    """Whether somebody who debugs wants no cage at all: ``GAOVM_CONFINE=off``."""
    return os.environ.get(VARIABLE, "").lower() in ("off", "0", "no", "false")


def absence() -> str:
    """Say why there is no cage here at all; empty: there is one, with what ``find`` says."""
    if switched_off():
        return f"{VARIABLE}=off: for debugging only"
    return "" if system.LINUX else f"{system.describe()} has none"


@functools.cache
def find() -> Abilities:
    """Find what this host allows, once per process, by a try in a child. Takes some 10 ms."""
    root = os.geteuid() == 0
    if not system.LINUX:
        return Abilities(root, f"{system.describe()} has no namespaces", 0)
    return Abilities(root, _try_namespaces(root=root), landlock.version())


def _try_namespaces(*, root: bool) -> str:
    """Say why a program cannot have namespaces and its own root; empty: it can."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _first_child(writing, root=root)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read(1000).decode("utf-8", "replace")
    os.waitpid(pid, 0)
    return "" if said == "y" else said or "the process that tried it died"


def _first_child(pipe: int, *, root: bool) -> None:
    try:
        if not root:
            identities.own_namespace()
        calls.unshare(calls.NEWPID)
        parent = os.pidfd_open(os.getpid())
        child = os.fork()
        if child == 0:
            _second_child(pipe, parent)
        os.waitpid(child, 0)
    except OSError as exc:
        os.write(pipe, str(exc.strerror).encode())
    finally:
        os._exit(0)


def _second_child(pipe: int, parent: int) -> None:
    try:
        limits = Limits(1 << 30, 1 << 40, 1.0, 100, 100)
        inside.enter(inside.Plan(Cage((), limits), parent, namespaces=True, landlock=False))
        os.write(pipe, b"y")
    except OSError as exc:
        os.write(pipe, str(exc.strerror).encode())
    finally:
        os._exit(0)
