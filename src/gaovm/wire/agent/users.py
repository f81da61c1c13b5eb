"""The account that the agent makes for the caller."""

from __future__ import annotations

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's form of a user; ``sudo``: without a password."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    comment: str
    sudo: bool


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The account as the guest has it; ``created`` is false if it existed before."""

    name: str = ""
    uid: int = 0
    gid: int = 0
    home: str = ""
    shell: str = ""
    created: bool = False
