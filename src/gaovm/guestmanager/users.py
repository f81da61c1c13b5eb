"""The account that the agent makes for the caller."""

from __future__ import annotations

import msgspec

from gaovm.spec.guest import User


class Account(msgspec.Struct):
    """The agent's form of a user; everyone gets passwordless sudo, root has no need of it."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    comment: str
    sudo: bool


def account(user: User) -> Account:
    """The account of a spec's user."""
    return Account(
        name=user.name,
        uid=user.uid,
        gid=user.gid,
        home=user.home,
        shell=user.shell,
        comment=user.comment,
        sudo=user.uid != 0,
    )
