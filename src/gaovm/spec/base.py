"""The common base of all spec data.

Each struct repeats ``frozen, kw_only, forbid_unknown_fields``: type checkers do not know that a
msgspec struct inherits these options.
"""

from __future__ import annotations

import msgspec


class Frozen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every spec struct: frozen, keyword-only, refuses unknown fields."""
