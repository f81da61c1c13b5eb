"""How the user's OpenSSH reaches the guest."""

from __future__ import annotations

from gaovm.spec.base import Frozen


class Ssh(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lima's ``ssh``. ``load_public_keys``: the keys of ``~/.ssh/*.pub`` may log in, too.

    ``forward_agent`` and ``forward_x11`` let the guest use the host's SSH agent and X server while
    a connection lasts. ``forward_x11_trusted``: without the limits of X's security extension.
    """

    load_public_keys: bool = False
    forward_agent: bool = False
    forward_x11: bool = False
    forward_x11_trusted: bool = False
