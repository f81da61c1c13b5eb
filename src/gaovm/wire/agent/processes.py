"""The stream of a program in the guest."""

from __future__ import annotations

import msgspec


class Command(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The START frame of an exec.

    ``cwd_home_ok``: a ``cwd`` that is missing in the guest is the user's home instead. ``login``:
    through the user's login shell. ``tty`` comes with ``term``, ``rows`` and ``cols``.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = {}
    cwd: str = ""
    cwd_home_ok: bool = False
    user: str = ""
    login: bool = False
    tty: bool = False
    term: str = ""
    rows: int = 0
    cols: int = 0


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The STARTED frame."""

    pid: int = 0


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """The SIGNAL frame: a number, or a name."""

    signal: int | str


class SignalOf(Signal, frozen=True, kw_only=True):
    """The body of ``POST /v1/signal``: the signal, and the exec's process."""

    pid: int


class Resize(msgspec.Struct, frozen=True, kw_only=True):
    """The RESIZE frame: the new size of the terminal."""

    rows: int
    cols: int


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """The EXIT frame, how a program ended: a status, or the signal that killed it."""

    status: int | None = None
    signal: int | None = None

    @property
    def code(self) -> int:
        """The status as a shell shows it."""
        return 128 + self.signal if self.signal else (self.status or 0)
