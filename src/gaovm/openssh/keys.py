"""Keys below ``$GAOVM_HOME/ssh``: one that logs in everywhere, and one for each VM's sshd.

``ssh-keygen`` makes them when they are first needed. A VM's host key is made on the host, so that
the host knows it before the first connection, and nobody is asked whether it is right. The guest
gets it anew for each connection and keeps it in memory alone.
"""
# pathlib costs 5 ms, and `gaovm ssh-proxy` runs before every connection
# ruff: noqa: PTH118, PTH208

from __future__ import annotations

import binascii
import os
import stat

from gaovm import errors
from gaovm.openssh import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bounds of what a client sends and the agent takes.
MAX_KEYS = 256
MAX_LINE_BYTES = 16 << 10
_MAX_PRIVATE_BYTES = 8 << 10
# the START frame holds 1 MiB
_MAX_ALL_BYTES = 512 << 10
# the kinds of OpenSSH's public keys; certificates are not keys that may log in
_KINDS = frozenset(
    (
        *("ssh-ed25519", "ssh-rsa", "sk-ssh-ed25519@openssh.com"),
        *("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
        "sk-ecdsa-sha2-nistp256@openssh.com",
    )
)


def ensure(home: str, name: str) -> None:
    """Make what is missing of a VM's keys and of ours.

    Raises:
        errors.ProgramMissing: there is no ``ssh-keygen``.
        errors.HostError: a key cannot be made.
    """
    needed = (places.known_hosts(home, name), places.host_key(home, name), places.user_key(home))
    if not all(map(os.path.exists, needed)):
        from gaovm.openssh import keygen

        keygen.make(home, name)


def connection(home: str, name: str, *, public_keys: bool) -> dict[str, object]:
    """Return the START frame of an SSH connection, see ``wire.agent.ssh``.

    ``public_keys``: the user's own, ``~/.ssh/*.pub``, may log in beside ours.

    Raises:
        errors.HostError: a key cannot be made or read.
    """
    ensure(home, name)
    ours = _first_line(_read(places.user_key(home) + ".pub", MAX_LINE_BYTES))
    accepted = [ours, *(own_keys() if public_keys else ())][:MAX_KEYS]
    while sum(map(len, accepted)) > _MAX_ALL_BYTES:
        accepted.pop()
    host = _read(places.host_key(home, name), _MAX_PRIVATE_BYTES).decode("ascii", "replace")
    return {"host_key": host, "authorized_keys": accepted}


def own_keys() -> list[str]:
    """Return the public keys in ``~/.ssh/*.pub``, sorted by file name.

    A file that holds anything else, such as a private key under a wrong name, is left out.
    """
    place = os.path.join(os.path.expanduser("~"), ".ssh")  # noqa: PTH111
    try:
        names = sorted(name for name in os.listdir(place) if name.endswith(".pub"))
    except OSError:
        return []
    return [key for name in names[:MAX_KEYS] for key in _public(os.path.join(place, name))]


def public_key(line: str) -> str | None:
    """Return a line in the form of ``authorized_keys`` without options; None: it is no key."""
    words = line.split(None, 2)
    if len(words) < 2 or words[0] not in _KINDS or not line.isprintable():
        return None
    try:
        blob = binascii.a2b_base64(words[1], strict_mode=True)
    except ValueError:
        return None
    kind = words[0].encode()
    if blob[:4] != len(kind).to_bytes(4, "big") or blob[4 : 4 + len(kind)] != kind:
        return None
    return " ".join(words)


def _public(path: str) -> Iterator[str]:
    try:
        data = _read(path, MAX_LINE_BYTES)
    except errors.HostError:
        return
    key = public_key(_first_line(data))
    if key is not None and b"PRIVATE" not in data:
        yield key


def _first_line(data: bytes) -> str:
    lines = data.decode("utf-8", "replace").strip().splitlines()
    return lines[0].strip() if lines else ""


def _read(path: str, limit: int) -> bytes:
    """Read a regular file of at most ``limit`` bytes.

    Raises:
        errors.HostError: it cannot be read, is longer, or is no regular file.
    """
    try:
        # non-blocking: a pipe of that name must not hold us
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as exc:
        raise errors.HostError(f"{path}: {exc.strerror}") from exc
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise errors.HostError(f"{path} is no regular file")
        data = os.read(fd, limit + 1)
    finally:
        os.close(fd)
    if len(data) > limit:
        raise errors.HostError(f"{path} is longer than {limit} bytes")
    return data
