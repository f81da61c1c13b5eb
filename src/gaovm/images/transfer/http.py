"""Download over HTTP: with the proxies of the environment, and on from where it was cut.

Sources: RFC 9110 (14.2 Range, 13.1.5 If-Range, 14.4 Content-Range). ``http_proxy``,
``https_proxy`` and ``no_proxy`` are read as every program reads them (urllib.request).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import IO, NamedTuple, Protocol

from gaovm import errors
from gaovm.images import digests
from gaovm.images.transfer import partial

_CHUNK = 1 << 20
_SOCKET_TIMEOUT_S = 30.0
#: Seconds before each further try; it is given up when the last tries brought no byte.
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\Z")
_TRANSIENT = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


class Watch(Protocol):
    """What a download reports to; each method may raise to end it."""

    def admit(self, total: int | None) -> None:
        """Hear the whole size, if the server names it."""
        ...

    def began(self, before: int, total: int | None) -> None:
        """Hear how many bytes are here already, and the whole size."""
        ...

    def count(self, size: int) -> None:
        """Hear the length of a piece before it is written."""
        ...


class _Answer(NamedTuple):
    response: http.client.HTTPResponse
    offset: int
    total: int | None
    version: str | None


def download(
    stop: digests.Stop, location: str, kept: partial.Partial, algorithm: str, watch: Watch
) -> str:
    """Download a location into ``kept``; return its digest (hex).

    A cut connection is opened again as long as each try brings bytes.

    Raises: PullFailed, what ``watch`` raises, and OSError of the file.
    """
    failures = 0
    while True:
        before = kept.path.stat().st_size if kept.version() else 0
        try:
            return _attempt(stop, location, kept, algorithm, watch)
        except _TRANSIENT as exc:
            if stop.is_set():
                raise digests.Stopped from exc
            now = kept.path.stat().st_size if kept.version() else 0
            failures = 0 if now > before else failures + 1
            # a server that never sent a byte is left at once: another location may do
            if isinstance(exc, urllib.error.HTTPError) or now == 0 or failures >= len(_PAUSES_S):
                raise _failed(location, exc) from exc
        if stop.wait(_PAUSES_S[failures]):
            raise digests.Stopped


def _attempt(
    stop: digests.Stop, location: str, kept: partial.Partial, algorithm: str, watch: Watch
) -> str:
    with _opened(location, kept, stop) as answer:
        watch.admit(answer.total)
        digest = hashlib.new(algorithm)
        if answer.offset == 0:
            kept.begin(answer.version)
        else:
            _read_again(stop, kept, digest, answer.offset)
        watch.began(answer.offset, answer.total)
        done = answer.offset
        with kept.path.open("r+b") as out:
            out.seek(answer.offset)
            while chunk := answer.response.read1(_CHUNK):
                if stop.is_set():
                    raise digests.Stopped
                watch.count(len(chunk))
                digest.update(chunk)
                out.write(chunk)
                done += len(chunk)
    if stop.is_set():
        raise digests.Stopped
    if answer.total is not None and done < answer.total:
        raise http.client.HTTPException(f"ended after {done} of {answer.total} bytes")
    return digest.hexdigest()


def _read_again(
    stop: digests.Stop, kept: partial.Partial, digest: hashlib._Hash, count: int
) -> None:
    """Hash the first bytes, which an earlier try has left."""
    with kept.path.open("rb") as file:
        while count > 0 and (chunk := file.read(min(_CHUNK, count))):
            if stop.is_set():
                raise digests.Stopped
            digest.update(chunk)
            count -= len(chunk)


@contextlib.contextmanager
def _opened(location: str, kept: partial.Partial, stop: digests.Stop) -> Iterator[_Answer]:
    """Ask for what is missing; yield an answer that begins there, or at the beginning."""
    version = kept.version()
    offset = kept.path.stat().st_size if version is not None else 0
    headers = {"User-Agent": "gaovm", "Accept-Encoding": "identity"}
    if version is not None:
        headers |= {"Range": f"bytes={offset}-", "If-Range": version}
    request = urllib.request.Request(location, headers=headers)
    try:
        response = _opener().open(request, timeout=_SOCKET_TIMEOUT_S)
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or version is None:
            raise
        kept.discard()  # it has all bytes already, or more than there are
        with _opened(location, kept, stop) as answer:
            yield answer
        return
    with (
        response,
        socket.socket(fileno=os.dup(response.fileno())) as connection,
        stop.waking(lambda: _hang_up(connection)),
    ):
        yield _read_answer(response, offset, location)


def _read_answer(response: http.client.HTTPResponse, offset: int, location: str) -> _Answer:
    version = partial.version_of(response.headers)
    length = response.headers.get("Content-Length", "")
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return _Answer(response, 0, int(length) if length.isdigit() else None, version)
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != offset:
        raise errors.PullFailed(f"{location}: the server sent another part than it was asked for")
    total = None if match[3] == "*" else int(match[3])
    return _Answer(response, offset, total, version)


def _failed(location: str, exc: Exception) -> errors.PullFailed:
    return errors.PullFailed(f"{location}: {exc}", remedy="check the location and the network")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only; urllib would also follow one to ftp."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            fp.close()
            raise errors.PullFailed(
                f"{req.full_url}: redirected to {newurl}: only http and https are followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Make an opener for HTTP and HTTPS, with the proxies of the environment, and nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _hang_up(connection: socket.socket) -> None:
    """Shut a connection down, so that another thread's read returns."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
