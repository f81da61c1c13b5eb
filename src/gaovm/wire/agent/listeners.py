"""The sockets of the guest that wait for peers, as they begin and cease to."""

from __future__ import annotations

import msgspec

from gaovm.wire.agent.info import Listener


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/listeners``: ranges of ports, first and last, by protocol."""

    tcp: tuple[tuple[int, ...], ...] = ()
    udp: tuple[tuple[int, ...], ...] = ()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the answer. The first one has all listeners.

    ``more``: there are more than 1,024, and the agent reports no others.
    """

    opened: tuple[Listener, ...] = ()
    closed: tuple[Listener, ...] = ()
    more: bool = False
