"""The stream of an SSH connection."""

from __future__ import annotations

import msgspec


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """The START frame: the guest's own key, and whose keys may log in beside the guest's own.

    ``host_key``: a private key in OpenSSH's format. ``authorized_keys``: a line for each.
    """

    host_key: str
    authorized_keys: tuple[str, ...]
