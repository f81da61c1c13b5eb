"""Shares, as the agent mounts them."""

from __future__ import annotations

from typing import Annotated

import msgspec

MountType = Annotated[str, msgspec.Meta(examples=["9p", "virtiofs"])]


class Mount(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One share to mount; ``options`` are those of mount(8).

    ``notify``: ``POST /v1/changes`` will report the host's changes in it.
    """

    tag: str
    type: MountType
    path: str
    writable: bool = False
    options: str = ""
    notify: bool = False


class Await(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/mounts/wait``: a mount that a program in the guest makes."""

    path: str
    type: str
    timeout_s: int
    writable: bool = False


class Mounted(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one mount; ``error`` says why it failed."""

    path: str
    ok: bool
    error: str = ""
