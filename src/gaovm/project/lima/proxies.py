"""The proxy variables of a guest: the caller's over the file's ``env``, as Lima merges them."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple

LOWER = ("ftp_proxy", "http_proxy", "https_proxy", "no_proxy")
#: The variables that a caller hands over.
NAMES = (*LOWER, *(name.upper() for name in LOWER))
_MAX_VALUE = 4096


class Merged(NamedTuple):
    """An environment, and the names of its proxies that are servers of the host itself."""

    env: dict[str, str]
    of_host: tuple[str, ...]


def merge(env: Mapping[str, str], given: Mapping[str, str], gateway: str) -> Merged:
    """Return the guest's environment.

    ``given`` wins over ``env``. An empty value takes the variable away. A proxy on the host's
    loopback gets the host's address in the guest, ``gateway``. Both spellings of a variable have
    one value, that of the lower one where they differ.
    """
    result = dict(env)
    result |= {name: given[name] for name in NAMES if _is_usable(given.get(name))}
    of_host = []
    for name in NAMES:
        value = result.get(name)
        if value == "":
            del result[name]
        elif value is not None and name.lower() != "no_proxy":
            moved = _moved(value, gateway)
            if moved is not None:
                result[name] = moved
                of_host.append(name)
    for name in LOWER:
        value = result.get(name, result.get(name.upper()))
        if value is not None:
            result[name] = result[name.upper()] = value
    return Merged(result, tuple(of_host))


def _is_usable(value: str | None) -> bool:
    return value is not None and len(value) <= _MAX_VALUE and value.isprintable()


def _moved(value: str, gateway: str) -> str | None:
    """Return a proxy's URL with the gateway as its host; None unless its host is a loopback."""
    bare = "//" not in value
    try:
        parts = urllib.parse.urlsplit(f"//{value}" if bare else value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if not _is_loopback(host):
        return None
    before, at, _ = parts.netloc.rpartition("@")
    place = f"{before}{at}{gateway}" + (f":{port}" if port is not None else "")
    moved = urllib.parse.urlunsplit(parts._replace(netloc=place))
    return moved.removeprefix("//") if bare else moved


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
