"""Pass one guest's tar stream to another guest: read it, clean it and write it again.

This module trusts neither guest. Its output has the form that ``tar_write`` gives: all names stay
below the root, and there are no devices and no set-id bits.
"""

from __future__ import annotations

import stat
import tarfile
from typing import IO, cast

from gaovm import errors
from gaovm.client import tar_read, tar_write

_BLOCK_BYTES = 256 << 10
_MAX_LEFT_OUT = 1000
_MAX_ID = (1 << 32) - 2
# the year 3058: a guest's clock may exceed what a header can store
_MAX_TIME = 1 << 35


def relay(source: tar_read.Input, output: tar_write.Output) -> list[str]:
    """Pass on the one file, or the tree, of ``source``. Returns the entries left out.

    Raises:
        tarfile.TarError: ``source`` is not a tar stream; nothing more is written.
        errors.GuestProtocolError: the names or the form of the stream break the protocol.
    """
    left_out: list[str] = []
    gate = tar_write.Gate(output)
    with (
        tarfile.open(
            mode="r|",
            fileobj=cast("IO[bytes]", source),
            tarinfo=tar_read.BoundedInfo,
            bufsize=_BLOCK_BYTES,
        ) as incoming,
        tarfile.open(
            mode="w|",
            fileobj=cast("IO[bytes]", gate),
            format=tarfile.PAX_FORMAT,
            bufsize=_BLOCK_BYTES,
        ) as outgoing,
    ):
        try:
            _pass(incoming, outgoing, left_out)
        except BaseException:
            gate.output = None
            raise
    return left_out


def _pass(incoming: tarfile.TarFile, outgoing: tarfile.TarFile, left_out: list[str]) -> None:
    first = tar_read.next_entry(incoming)
    if first is None:
        raise errors.GuestProtocolError("the guest sent an empty archive")
    is_tree = first.isdir() and first.name in (".", "./", "")
    if not is_tree and (first.name != "FILE" or first.isdir() or first.islnk()):
        raise errors.GuestProtocolError("the archive begins with neither . nor FILE")
    _add(incoming, outgoing, first, "." if is_tree else "FILE", left_out)
    if not is_tree and left_out:
        raise errors.GuestProtocolError(f"cannot copy {left_out[0]}")
    while (entry := tar_read.next_entry(incoming)) is not None:
        if not is_tree:
            raise errors.GuestProtocolError("more than one entry after FILE")
        parts = tar_read.parts_of(entry.name)
        if parts:
            _add(incoming, outgoing, entry, "/".join(parts), left_out)


def _add(
    incoming: tarfile.TarFile,
    outgoing: tarfile.TarFile,
    entry: tarfile.TarInfo,
    name: str,
    left_out: list[str],
) -> None:
    if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk() or entry.isfifo()):
        if len(left_out) < _MAX_LEFT_OUT:
            left_out.append(f"{name}: a device")
        return
    if entry.issparse():
        raise errors.GuestProtocolError(f"sparse file in the archive: {name[:200]!r}")
    clean = _clean(entry, name)
    content = incoming.extractfile(entry) if entry.isreg() else None
    try:
        outgoing.addfile(clean, content)
    except (OSError, ValueError) as exc:
        raise tarfile.ReadError(f"{name[:200]!r}: {exc}") from exc


def _clean(entry: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    """Return a header with the allowed fields; owners matter only to a copy as guest root."""
    clean = tarfile.TarInfo(name)
    clean.type = tarfile.REGTYPE if entry.isreg() else entry.type
    clean.mode = stat.S_IMODE(entry.mode) & 0o777
    clean.uid = entry.uid if 0 <= entry.uid <= _MAX_ID else 0
    clean.gid = entry.gid if 0 <= entry.gid <= _MAX_ID else 0
    clean.mtime = entry.mtime if 0 <= entry.mtime < _MAX_TIME else 0
    if entry.isreg():
        clean.size = entry.size
    elif entry.islnk():
        clean.linkname = "/".join(tar_read.parts_of(entry.linkname))
        if not clean.linkname:
            raise errors.GuestProtocolError("the archive links to nothing")
    elif entry.issym():
        clean.linkname = entry.linkname
    return clean
