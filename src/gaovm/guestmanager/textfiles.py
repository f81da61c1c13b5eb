"""Small files in the guest: read one, or write one as a whole.

A user of the guest does both, never root in a user's place: a link in a user's directory leads root
nowhere.
"""

from __future__ import annotations

from collections.abc import Callable

from gaovm import errors
from gaovm.guestmanager import processes
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.guest import Target
from gaovm.wire import streams
from gaovm.wire.agent.processes import Command, Exit

#: Statuses of the programs below; a shell and its tools use lower ones.
MISSING, NO_FILE = 81, 82
#: The longest file that is read, in bytes.
MAX_BYTES = 16 << 20
MAX_SAID = 500
LIMIT_S = 60.0
# A link at the path is followed, as by `cp`. The new content becomes visible by one rename.
_WRITE = """\
path=$1 owner=$2 mode=$3 overwrite=$4
if [ "$overwrite" = no ] && { [ -e "$path" ] || [ -L "$path" ]; }; then
  echo "$path exists and stays as it is"; exit 0
fi
if [ -L "$path" ]; then path=$(readlink -f "$path") || exit; fi
[ -d "$path" ] && { echo "$path is a directory" >&2; exit 82; }
mkdir -p "${path%/*}/" && t=$(mktemp "${path%/*}/.gaovm.XXXXXX") || exit
trap 'rm -f "$t"' EXIT
cat >"$t" && chown "$owner" "$t" && chmod "$mode" "$t" && mv -f "$t" "$path"
"""
_READ = """\
[ -e "$1" ] || exit 81
[ -f "$1" ] || exit 82
exec head -c "$2" "$1"
"""


async def write(
    connection: Connection, target: Target, content: bytes, on_output: processes.OnOutput
) -> Exit:
    """Write a file as its owner, with its directories; return how the writing ended.

    ``on_output`` gets what went wrong, as text.

    Raises:
        errors.GuestCallFailed: the guest has no such user.
        errors.GuestUnavailable: the agent is gone.
        TimeoutError: the guest took longer than a minute.
    """
    overwrite = "yes" if target.overwrite else "no"
    words = (target.path, target.owner, target.permissions, overwrite)
    return await processes.run(
        connection,
        _shell(_WRITE, target.owner.partition(":")[0], *words),
        stdin=content,
        on_output=on_output,
        limit_s=LIMIT_S,
    )


async def read(connection: Connection, path: str, user: str) -> bytes | None:
    """Return the content of a file as ``read_into`` reads it; None: there is none."""
    found = bytearray()
    return bytes(found) if await read_into(connection, path, user, found.extend) else None


async def read_into(
    connection: Connection, path: str, user: str, take: Callable[[bytes], object]
) -> bool:
    """Hand the content of a regular file, as that user sees it, to ``take``; False: there is none.

    Raises:
        errors.GuestCallFailed: it is no regular file, larger than 16 MiB, or not readable; the
            message says so without the path.
        errors.GuestUnavailable: the agent is gone.
        TimeoutError: the guest took longer than a minute.
    """
    said, size = bytearray(), 0

    def sort(kind: int, data: bytes) -> None:
        nonlocal size
        if kind != streams.OUTPUT:
            said.extend(data[: MAX_SAID - len(said)])
        elif size <= MAX_BYTES:
            size += len(data)
            take(data)

    command = _shell(_READ, user, path, str(MAX_BYTES + 1))
    ended = await processes.run(connection, command, on_output=sort, limit_s=LIMIT_S)
    if ended.code == MISSING:
        return False
    if ended.code == 0 and size <= MAX_BYTES:
        return True
    why = {0: f"it is larger than {MAX_BYTES >> 20} MiB", NO_FILE: "it is no regular file"}
    text = said.decode("utf-8", "replace").strip()
    raise errors.GuestCallFailed(
        why.get(ended.code) or f"it cannot be read: {text or f'status {ended.code}'}"
    )


def _shell(script: str, user: str, *words: str) -> Command:
    return Command(argv=("/bin/sh", "-c", script, "sh", *words), user=user, cwd="/")
