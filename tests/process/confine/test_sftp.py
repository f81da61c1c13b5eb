"""The server of a share that the guest mounts by SSHFS: what it serves, and what it never does."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.aio import keeping
from gaovm.builder import choices
from gaovm.builder.document import ShareDevice
from gaovm.hostfacts import programs
from gaovm.platform.confine import abilities
from gaovm.vmmanager.qemu import sftp

PROGRAM = programs.find(choices.SFTP_SERVER) or ""
OWNER = 65534  # nobody: the server needs a user with a name
pytestmark = [
    pytest.mark.skipif(not PROGRAM, reason="no sftp-server"),
    pytest.mark.skipif(not abilities.find().landlock, reason="no Landlock"),
]
# draft-ietf-secsh-filexfer-02
INIT, VERSION, OPEN, CLOSE, READ, WRITE, SETSTAT, OPENDIR, READLINK = 1, 2, 3, 4, 5, 6, 9, 11, 19
STATUS, HANDLE, DATA, NAME = 101, 102, 103, 104
OK, NO_SUCH_FILE, DENIED, FAILURE = 0, 2, 3, 4
R, W, CREATE = 1, 2, 8


class Client:
    """Speaks SFTP, one request at a time; answers are type and payload."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.settimeout(20)
        self._send(INIT, struct.pack(">I", 3))
        assert self._receive()[0] == VERSION

    def ask(self, kind: int, *parts: bytes | int) -> tuple[int, bytes]:
        body = b"".join(
            struct.pack(">I", part) if isinstance(part, int) else text(part) for part in parts
        )
        self._send(kind, struct.pack(">I", 7) + body)
        answer, payload = self._receive()
        return answer, payload[4:]

    def status(self, kind: int, *parts: bytes | int) -> int:
        """Return the status of a request; OK for any other answer."""
        answer, payload = self.ask(kind, *parts)
        found: int = struct.unpack_from(">I", payload)[0]
        return found if answer == STATUS else OK

    def open(self, path: Path, flags: int) -> bytes | int:
        """Return a handle, or the status."""
        answer, payload = self.ask(OPEN, os.fsencode(path), flags, 0)
        if answer == HANDLE:
            return payload[4:]
        status: int = struct.unpack_from(">I", payload)[0]
        return status

    def read(self, path: Path) -> bytes | int:
        handle = self.open(path, R)
        if isinstance(handle, int):
            return handle
        self._send(READ, struct.pack(">I", 7) + text(handle) + struct.pack(">QI", 0, 100))
        answer, payload = self._receive()
        return payload[8:] if answer == DATA else answer

    def _send(self, kind: int, body: bytes) -> None:
        self._sock.sendall(struct.pack(">IB", len(body) + 1, kind) + body)

    def _receive(self) -> tuple[int, bytes]:
        length: int = struct.unpack(">I", self._exactly(4))[0]
        data = self._exactly(length)
        return data[0], data[1:]

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            piece = self._sock.recv(count - len(found))
            assert piece, "the server has ended"
            found += piece
        return found


def text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


@pytest.fixture
def share() -> Iterator[Path]:
    """Make a share that its owner can reach; a test's usual directory is closed to other users."""
    base = Path(tempfile.mkdtemp(prefix="gs", dir="/tmp"))
    base.chmod(0o755)
    place = base / "share"
    place.mkdir()
    (place / "file").write_text("content")
    (place / "inside").symlink_to("file")
    (base / "secret").write_text("secret")
    (place / "outside").symlink_to(base / "secret")
    if os.geteuid() == 0:
        for path in (place, place / "file"):
            os.chown(path, OWNER, OWNER)
    yield place
    shutil.rmtree(base)


@asynccontextmanager
async def serve(place: Path, *, writable: bool = True) -> AsyncIterator[Client]:
    device = ShareDevice(
        tag="t",
        type=choices.SSHFS,
        reason="r",
        location=str(place),
        mount_point=str(place),
        writable=writable,
    )
    recipes = {"t": sftp.recipe(PROGRAM, device)}
    async with keeping.run(recipes) as kept, sftp.open_one(kept, device) as sock:
        yield Client(sock)


async def test_it_serves_its_directory(share: Path) -> None:
    async with serve(share) as client:
        assert client.read(share / "file") == b"content"
        assert client.read(share / "inside") == b"content"
        assert client.ask(READLINK, os.fsencode(share / "outside"))[0] == NAME
        handle = client.open(share / "new", W | CREATE)
        assert isinstance(handle, bytes)
    made = (share / "new").stat()
    assert made.st_uid == (OWNER if os.geteuid() == 0 else os.geteuid())


async def test_nothing_else_opens(share: Path) -> None:
    async with serve(share) as client:
        assert client.read(share / "outside") in (DENIED, FAILURE, NO_SUCH_FILE)
        assert client.read(share.parent / "secret") in (DENIED, FAILURE, NO_SUCH_FILE)
        assert client.read(Path("/etc/shadow")) in (DENIED, FAILURE)
        assert client.status(OPENDIR, os.fsencode(share.parent)) in (DENIED, FAILURE)
        assert client.open(share.parent / "made", W | CREATE) in (DENIED, FAILURE)


async def test_a_read_only_share_is_not_written(share: Path) -> None:
    async with serve(share, writable=False) as client:
        assert client.read(share / "file") == b"content"
        assert client.open(share / "file", W) == DENIED
        assert client.open(share / "new", W | CREATE) == DENIED
    assert not (share / "new").exists()


async def test_no_set_id_file_is_made(share: Path) -> None:
    async with serve(share) as client:
        permissions = 4  # SSH_FILEXFER_ATTR_PERMISSIONS
        asked = (os.fsencode(share / "file"), permissions)
        assert client.status(SETSTAT, *asked, 0o104755) in (DENIED, FAILURE)
        assert client.status(SETSTAT, *asked, 0o100600) == OK
    assert stat.S_IMODE((share / "file").stat().st_mode) == 0o600


async def test_a_share_with_gaovms_own_directory_is_refused(share: Path) -> None:
    device = ShareDevice(
        tag="t",
        type=choices.SSHFS,
        reason="r",
        location=str(share),
        mount_point="/x",
        writable=False,
    )
    (share / "home").mkdir()
    with pytest.raises(errors.MountRefused, match="cannot hide"):
        sftp.check([device], share / "home")
    sftp.check([device], share.parent)
