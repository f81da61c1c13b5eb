"""``user.passwordlessSudo: false``: give the user a password once, which it can change."""

from __future__ import annotations

import secrets
import string

from gaovm import errors
from gaovm.guestmanager import processes
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.guest import User
from gaovm.wire.agent.processes import Command

LENGTH = 16
LIMIT_S = 60.0
_ALPHABET = string.ascii_letters + string.digits
_MADE = 80
# The mark is root's, so a user who has removed the file gets no other password.
_CHECK = "[ ! -e /var/lib/gaovm/password ] || exit 80"
_SET = """\
mark=/var/lib/gaovm/password
chpasswd && for group in sudo wheel; do
  grep -q "^$group:" /etc/group || continue
  usermod -aG "$group" "$1" 2>/dev/null || addgroup "$1" "$group" || exit
done && mkdir -p "${mark%/*}" && : >"$mark"
"""
_KEEP = "umask 077 && cat >~/password"


async def give(connection: Connection, user: User) -> None:
    """Give the user a random password in its ``~/password``, unless it has had one.

    Raises:
        errors.GuestCallFailed: the guest did not take it.
        errors.GuestUnavailable: the agent is gone.
    """
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))
    line = f"{user.name}:{secret}\n".encode()
    if await _run(connection, "root", _CHECK) != _MADE:
        # First where the user finds it: a set-up that is cut off between the two is made again.
        await _run(connection, user.name, _KEEP, stdin=f"{secret}\n".encode())
        await _run(connection, "root", _SET, user.name, stdin=line)


async def _run(
    connection: Connection, user: str, script: str, *words: str, stdin: bytes = b""
) -> int:
    said = bytearray()
    command = Command(argv=("/bin/sh", "-c", script, "sh", *words), user=user, cwd="/")
    ended = await processes.run(
        connection,
        command,
        stdin=stdin,
        on_output=lambda _, data: said.extend(data[: 500 - len(said)]),
        limit_s=LIMIT_S,
    )
    if ended.code not in (0, _MADE):
        why = said.decode("utf-8", "replace").strip() or f"status {ended.code}"
        raise errors.GuestCallFailed(
            f"the user's password cannot be set: {why}", field="user.passwordlessSudo"
        )
    return ended.code
