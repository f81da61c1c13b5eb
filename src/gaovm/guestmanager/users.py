"""The account that the agent makes for the caller."""

from __future__ import annotations

from gaovm.spec.guest import User
from gaovm.wire.agent.users import Account


def account(user: User) -> Account:
    """The account of a spec's user; all but root get passwordless sudo."""
    return Account(
        name=user.name,
        uid=user.uid,
        gid=user.gid,
        home=user.home,
        shell=user.shell,
        comment=user.comment,
        sudo=user.uid != 0,
    )
