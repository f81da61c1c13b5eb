"""The account that the agent makes for the user of a spec."""

from __future__ import annotations

from gaovm.spec.guest import User
from gaovm.wire.agent.users import Account


def account(user: User) -> Account:
    """Return the account of a spec's user; it has sudo without a password if the spec says so."""
    return Account(
        name=user.name,
        uid=user.uid,
        gid=user.gid,
        home=user.home,
        shell=user.shell,
        comment=user.comment,
        sudo=user.uid != 0 and user.passwordless_sudo,
    )
