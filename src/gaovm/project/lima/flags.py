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
    "--shell": '.user.shell = "{}"',
    "--nested-virt": ".nestedVirtualization = {}",
    "--rosetta": ".vmOpts.vz.rosetta.enabled = {0} | .vmOpts.vz.rosetta.binfmt = {0}",
    "--audio-device": '.audio.device = "{}"',
    "--audio-interface": '.audio.interface = "{}"',
}
_CONTAINERD = {
    "user": (True, False),
    "system": (False, True),
    "user+system": (True, True),
    "system+user": (True, True),
    "none": (False, False),
}
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?\Z")
_WHOLE = re.compile(r"[0-9]{1,9}\Z")
_BOOLEAN = re.compile(r"(true|false)\Z")
#: Flags whose value is no free text.
_WANTED = {
    "--cpus": "a whole number",
    "--ssh-port": "a whole number",
    "--memory": "a number",
    "--disk": "a number",
}
_PARAM = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*\Z")


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
    return " | ".join(part for part in parts if part)


def _plain(flag: str, value: str) -> str:
    form = _PLAIN[flag]
    wanted = _WANTED.get(flag, "" if '"' in form else "true or false")
    good = {"a number": _NUMBER, "a whole number": _WHOLE, "true or false": _BOOLEAN}.get(wanted)
    if good is not None and not good.match(value):
        raise ValueError(f"{flag} takes {wanted}, got `{value[:60]}`")
    return form.format(_quoted(value) if '"' in form else value)


def _quoted(text: str) -> str:
    """Return the inside of a text of yq."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _split(given: Iterable[str]) -> list[str]:
    """Return the values of a flag that also takes several between commas."""
    return [each for text in given for each in text.split(",") if each]


def _dns(servers: list[str]) -> str:
    listed = ",".join(f'"{_quoted(server)}"' for server in _split(servers))
    return f".dns += [{listed}] | .dns |= unique | .hostResolver.enabled=false"


def _networks(names: list[str]) -> str:
    entries = []
    for name in _split(names):
        kind, colon, lima = name.partition(":")
        if name == "vzNAT":
            entries.append('{"vzNAT": true}')
        elif kind == "lima" and colon and lima:
            entries.append(f'{{"lima": "{_quoted(lima)}"}}')
        else:
            raise ValueError(f"network name must be `vzNAT` or `lima:*`, got `{name[:60]}`")
    return f".networks += [{','.join(entries)}] | .networks |= unique_by(.lima)"


def _mounts(given: list[str], form: str) -> str:
    entries = []
    for place in _split(given):
        location = place.removesuffix(":w")
        writable = "true" if place.endswith(":w") else "false"
        entries.append(f'{{"location": "{_quoted(location)}", "writable": {writable}}}')
    return form.format(",".join(entries))


def _more_mounts(given: list[str]) -> str:
    return _mounts(given, ".mounts += [{}] | .mounts |= unique_by(.location)")


def _only_mounts(given: list[str]) -> str:
    return _mounts(given, ".mounts = [{}] | .mounts |= unique_by(.location)")


def _no_mounts(given: list[str]) -> str:
    return ".mounts = []" if given[-1] in _TRUE else ""


def _video(given: list[str]) -> str:
    return f'.video.display = "{"default" if given[-1] in _TRUE else "none"}"'


def _containerd(given: list[str]) -> str:
    if given[-1] not in _CONTAINERD:
        raise ValueError(f"expected one of {', '.join(_CONTAINERD)}, got `{given[-1][:60]}`")
    user, system = (str(each).lower() for each in _CONTAINERD[given[-1]])
    return f".containerd.user = {user} | .containerd.system = {system}"


def _forwards(given: list[str]) -> str:
    entries = []
    for text in given:
        forward = port_forward(text)
        if not (forward.host.isdigit() and forward.guest.isdigit()):
            raise ValueError(f"invalid port in `{text[:60]}`, {_SHAPE}")
        entry = f'"guestPort": {int(forward.guest)}, "hostPort": {int(forward.host)}'
        entry += f', "static": {str(forward.static).lower()}'
        entries.append(f"{{{entry}}}")
    return f".portForwards += [{','.join(entries)}]"


def _params(given: list[str]) -> str:
    parts = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not _PARAM.match(name):
            raise ValueError(f"expected KEY=VALUE, got `{text[:60]}`")
        parts.append(f'.param.{name} = "{_quoted(value)}"')
    return " | ".join(parts)


def _sets(given: list[str]) -> str:
    return " | ".join(given)


_LISTS = {
    "--set": _sets,
    "--dns": _dns,
    "--network": _networks,
    "--mount": _more_mounts,
    "--mount-only": _only_mounts,
    "--mount-none": _no_mounts,
    "--video": _video,
    "--containerd": _containerd,
    "--port-forward": _forwards,
    "--param": _params,
}
