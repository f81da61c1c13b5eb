"""Unpack a compressed disk: gzip, bzip2, xz or Zstandard, told by its first bytes.

The archive is hostile: a small file may unpack to any size, and a decompressor may want gigabytes
of memory. So output, memory and space on the host are bounded, and blocks of zeros become holes.
"""

from __future__ import annotations

import bz2
import lzma
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Protocol

from gaovm import errors
from gaovm.aio import files
from gaovm.images import digests

_CHUNK = 1 << 20
#: The largest window that a decompressor may keep: what ``xz -9`` and ``zstd --ultra`` need, twice.
_MAX_WINDOW = 128 << 20
#: Space that stays free on the host, and how often to look.
_RESERVE = 64 << 20
_LOOK_EVERY = 64 << 20
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


class _Decompressor(Protocol):
    """What ``bz2``, ``lzma`` and ``zstd`` have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """``zlib`` in the form of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _zstd() -> _Decompressor:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    limit = {int(zstd.DecompressionParameter.window_log_max): _MAX_WINDOW.bit_length() - 1}
    return zstd.ZstdDecompressor(options=limit)


def _zstd_error() -> type[Exception]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdError


_MAKERS: Mapping[str, Callable[[], _Decompressor]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_WINDOW),
    "zstd": _zstd,
}


def kind(head: bytes) -> str | None:
    """Return the compression of a file that begins with ``head``; None: it is not compressed."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def unpack(
    stop: digests.Stop,
    source: Path,
    compression: str,
    target: Path,
    max_bytes: int,
    count: Callable[[int], None],
) -> None:
    """Unpack ``source`` to the new file ``target``; ``count`` gets the bytes read, in pieces.

    Raises: PullFailed (damaged, cut short, or too large), DiskFull, and OSError of the files.
    """
    with files.open_regular(source) as packed, target.open("xb") as out:
        pieces = _pieces(packed, _MAKERS[compression], count)
        _write(stop, _checked(pieces, compression), out, max_bytes)


def _checked(pieces: Iterator[bytes], compression: str) -> Iterator[bytes]:
    """Pass pieces on; make an error of the decompressor one of ours."""
    known: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)
    if compression == "zstd":
        known += (_zstd_error(),)
    while True:
        try:
            piece = next(pieces)
        except StopIteration:
            return
        except known as exc:
            raise errors.PullFailed(
                f"the file is damaged: {compression}: {exc}", remedy="download it again"
            ) from exc
        yield piece


def _pieces(
    packed: IO[bytes], make: Callable[[], _Decompressor], count: Callable[[int], None]
) -> Iterator[bytes]:
    """Yield the content in pieces of at most ``_CHUNK`` bytes; a file may have several streams."""
    stream, data = make(), b""
    while True:
        if not data and stream.needs_input and not stream.eof:
            data = packed.read(_CHUNK)
            count(len(data))
            if not data:
                raise EOFError("it ends too early")
        piece = stream.decompress(data, _CHUNK)
        data = b""
        if piece:
            yield piece
        if stream.eof:
            rest = stream.unused_data or packed.read(_CHUNK)
            rest = rest.lstrip(b"\0")  # some programs pad their files
            if not rest:
                return
            stream, data = make(), rest


def _write(stop: digests.Stop, pieces: Iterator[bytes], out: IO[bytes], max_bytes: int) -> None:
    done, looked = 0, 0
    zeros = bytes(_CHUNK)
    for piece in pieces:
        if stop.is_set():
            raise digests.Stopped
        done += len(piece)
        if done > max_bytes:
            raise errors.PullFailed(
                f"unpacked, the file is larger than the {max_bytes} bytes allowed"
            )
        if piece == zeros[: len(piece)]:
            out.seek(len(piece), os.SEEK_CUR)
        else:
            out.write(piece)
            looked += len(piece)
            if looked >= _LOOK_EVERY:
                looked = 0
                _require_space(Path(out.name))
    out.truncate(done)


def _require_space(path: Path) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < _RESERVE:
        raise errors.DiskFull(
            f"not enough space for {path.parent.parent} to unpack the image: {free >> 20} MiB free",
            remedy="free some space, or point GAOVM_HOME at another file system",
            details={"needed_bytes": None, "free_bytes": free},
        )
