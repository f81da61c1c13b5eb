"""Mode ``yq``: edit a file in the guest, by the program ``gaovm-yq``, which is copied into it.

It runs there and not here, as the file's owner: what a hostile guest has in a file never meets a
program of the host's. The program evaluates one expression and reaches nothing else.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from gaovm import errors
from gaovm.guestmanager import processes, textfiles
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.guest import Script, Target
from gaovm.wire.agent.processes import Command, Exit

#: The program has 10 MB; a busy emulated machine takes a while.
COPY_LIMIT_S = 120.0
_DIRECTORY = "/var/lib/gaovm"
_MISSING = 84
_IS_THERE = f'[ -x "$1" ] || exit {_MISSING}'
_PLACE = """\
mkdir -p "${1%/*}" && rm -f "${1%/*}"/yq-* &&
  t=$(mktemp "${1%/*}/.yq.XXXXXX") && cat >"$t" && chmod 755 "$t" && mv -f "$t" "$1"
"""
# A file that is missing or empty becomes what the expression makes of nothing.
_EDIT = """\
path=$1 owner=$2 mode=$3 program=$4 format=$5
if [ -L "$path" ]; then path=$(readlink -f "$path") || exit; fi
[ -d "$path" ] && { echo "$path is a directory" >&2; exit 82; }
[ -e "$path" ] && [ ! -w "$path" ] && { echo "$path is not writable" >&2; exit 83; }
mkdir -p "${path%/*}/" && t=$(mktemp "${path%/*}/.gaovm.XXXXXX") || exit
trap 'rm -f "$t"' EXIT
{ if [ -s "$path" ]; then cat "$path"; else echo null; fi; } |
  "$program" eval -in "$format" -out "$format" -indent 2 -- "$6" >"$t" || exit
chown "$owner" "$t" && chmod "$mode" "$t" && mv -f "$t" "$path"
"""


class Editor:
    """Edits files of one guest with the program at ``path`` on the host; None: there is none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._place: str | None = None

    async def edit(
        self,
        connection: Connection,
        script: Script,
        target: Target,
        on_output: processes.OnOutput,
    ) -> Exit:
        """Apply an expression to a file, as its owner; return how that ended.

        Raises:
            errors.GuestCallFailed: the guest has no such user, or there is no program for it.
            errors.GuestUnavailable: the agent is gone.
            TimeoutError: the guest took too long.
        """
        if self._place is None:
            self._place = await self._bring(connection)
        owner = target.owner.partition(":")[0]
        words = (target.path, target.owner, target.permissions, self._place, target.format)
        command = _shell(_EDIT, owner, *words, script.script)
        limit_s = textfiles.LIMIT_S
        return await processes.run(connection, command, on_output=on_output, limit_s=limit_s)

    async def _bring(self, connection: Connection) -> str:
        """Copy the program into the guest, unless it is there; return its place."""
        if self._path is None:
            raise errors.GuestCallFailed("this GaoVM comes without gaovm-yq, which edits the file")
        try:
            program = self._path.read_bytes()
        except OSError as exc:
            raise errors.GuestCallFailed(f"{self._path}: {exc.strerror}") from exc
        place = f"{_DIRECTORY}/yq-{hashlib.sha256(program).hexdigest()[:16]}"
        ended = await processes.run(connection, _shell(_IS_THERE, "root", place))
        if ended.code == _MISSING:
            command = _shell(_PLACE, "root", place)
            ended = await processes.run(connection, command, stdin=program, limit_s=COPY_LIMIT_S)
        if ended.code != 0:
            raise errors.GuestCallFailed(f"gaovm-yq cannot be put into the guest: {ended.code}")
        return place


def _shell(script: str, user: str, *words: str) -> Command:
    return Command(argv=("/bin/sh", "-c", script, "sh", *words), user=user, cwd="/")
