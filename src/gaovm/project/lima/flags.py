"""Words of Lima's command line: a port to forward, an image's URL, flags that edit a config."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_IMAGE = re.compile(r"\.(img|qcow2|raw|iso)(\.(gz|xz|bz2|zstd))?$")
#: Words in the file name of an image that say nothing about the VM.
_GENERIC = (
    *("base", "cloud", "cloudimg", "cloudinit", "daily", "default", "generic", "genericcloud"),
    *("kvm", "latest", "linux", "minimal", "openstack", "server", "std", "stream", "uefi", "vm"),
)
_DATE = re.compile(r"[-_.]20\d{6}([-_.]\d+)?\b")
_MAJOR_TWICE = re.compile(r"-(\d+)-(\d+)\.")
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_SHAPE = "expected HOST:GUEST or HOST:GUEST,static=true"
#: flag -> the yq expression with its value in place of {}
_PLAIN = {
    "--cpus": ".cpus = {}",
    "--memory": '.memory = "{}GiB"',
    "--disk": '.disk = "{}GiB"',
    "--mount-type": '.mountType = "{}"',
    "--mount-inotify": ".mountInotify = {}",
    "--mount-writable": ".mounts[].writable = {}",
    "--vm-type": '.vmType = "{}"',
    "--arch": '.arch = "{}"',
    "--ssh-port": ".ssh.localPort = {}",
    "--plain": ".plain = {}",
    "--set": "{}",
}


class Forward(NamedTuple):
    """A port of ``--port-forward``, as it was written."""

    host: str
    guest: str
    static: bool


def port_forward(text: str) -> Forward:
    """Return the parts of ``8080:80`` or ``8080:80,static=true``.

    Raises:
        ValueError: the text has another shape.
    """
    ports, *more = text.split(",")
    sides = [side.strip() for side in ports.split(":")]
    if len(sides) != 2 or len(more) > 1:
        raise ValueError(f"invalid port forward format `{text[:60]}`, {_SHAPE}")
    key, equals, value = more[0].strip().partition("=") if more else ("static", "=", "false")
    if key != "static" or not equals or value not in _TRUE | _FALSE:
        raise ValueError(f"invalid parameter `{more[0][:60]}`, {_SHAPE}")
    return Forward(sides[0], sides[1], value in _TRUE)


def instance_name(url: str, arch: str, native: str) -> str:
    """Return the name that an image's URL gives its VM: without generic words, dates, formats.

    ``arch`` is the image's architecture; it stays in the name when it is not ``native``.
    """
    name = _IMAGE.sub("", url.rpartition("/")[2].lower()).removeprefix("nocloud_")
    for word in (*_GENERIC, *((arch,) if arch == native else ())):
        name = re.sub(rf"[-_.]{re.escape(word)}\b", "", name)
    name = re.sub(r"^arch\b", "archlinux", _DATE.sub("", name))
    return _MAJOR_TWICE.sub(
        lambda match: f"-{match[1]}." if match[1] == match[2] else match[0], name
    )


def expression(words: Iterable[str]) -> str:
    """Return the yq expression of flags and their values, in the order in which they come.

    Raises:
        ValueError: a flag is unknown, or its value is wrong.
    """
    values: dict[str, list[str]] = {}
    queue = list(words)
    while queue:
        flag = queue.pop(0)
        if flag not in _PLAIN and flag not in _LISTS:
            raise ValueError(f"unknown flag {flag[:60]}")
        if not queue:
            raise ValueError(f"{flag} needs a value")
        values.setdefault(flag, []).append(queue.pop(0))
    parts = []
    for flag, given in values.items():
        parts.append(_LISTS[flag](given) if flag in _LISTS else _plain(flag, given[-1]))
    return " | ".join(parts)


def _plain(flag: str, value: str) -> str:
    form = _PLAIN[flag]
    return form.format(_quoted(value) if '"' in form else value)


def _quoted(text: str) -> str:
    """Return the inside of a text of yq."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _dns(servers: list[str]) -> str:
    listed = ",".join(f'"{_quoted(server)}"' for server in servers)
    return f".dns += [{listed}] | .dns |= unique | .hostResolver.enabled=false"


def _networks(names: list[str]) -> str:
    entries = []
    for name in names:
        kind, colon, lima = name.partition(":")
        if name == "vzNAT":
            entries.append('{"vzNAT": true}')
        elif kind == "lima" and colon and lima:
            entries.append(f'{{"lima": "{_quoted(lima)}"}}')
        else:
            raise ValueError(f"network name must be `vzNAT` or `lima:*`, got `{name[:60]}`")
    return f".networks += [{','.join(entries)}] | .networks |= unique_by(.lima)"


_LISTS = {"--dns": _dns, "--network": _networks}
