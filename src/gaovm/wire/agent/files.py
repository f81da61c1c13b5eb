"""The streams of copies: tar in DATA frames one way, in OUTPUT frames the other."""

from __future__ import annotations

import msgspec


class CopyIn(msgspec.Struct, frozen=True, kw_only=True):
    """The START frame of a copy into the guest.

    ``name``: the source's, for a ``path`` that is a directory. ``mkdirs``: make missing parents.
    """

    path: str
    user: str = ""
    name: str
    mkdirs: bool = False


class CopyOut(msgspec.Struct, frozen=True, kw_only=True):
    """The START frame of a copy out of the guest."""

    path: str
    user: str = ""
