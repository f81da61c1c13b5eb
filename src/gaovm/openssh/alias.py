"""The alias ``gaovm-NAME``: its options, and the text of the file that holds aliases. No I/O.

The file has a block for each VM, between marker lines that name the VM and its home. Lines outside
of blocks are somebody else's and stay.
"""

from __future__ import annotations

import shlex

from gaovm import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

_BEGIN = "# begin gaovm "
_END = "# end gaovm"
HEADER = "# Aliases of GaoVM's VMs. GaoVM changes what is between its marker lines.\n"


def host(name: str) -> str:
    """Return the alias of a VM."""
    return f"gaovm-{name}"


def options(
    vm: Mapping[str, Any], home: str, gaovm: Sequence[str], paths: tuple[str, str]
) -> list[tuple[str, str]]:
    """Return the options by which OpenSSH reaches a VM, in the form of ``ssh_config``.

    ``vm`` is its status. ``gaovm``: the words that call this program. ``paths``: of our key and of
    the VM's ``known_hosts``. What the config does not allow is switched off by name, so that
    another part of the user's file does not switch it on.

    Raises:
        errors.HostError: a path holds a character that ``ssh_config`` cannot hold.
    """
    name = str(vm["name"])
    allowed = vm.get("ssh") or {}
    identity, known = (_path(path) for path in paths)
    proxy = [*gaovm, "ssh-proxy", "--home", home, "--pass-socket", name]
    return [
        ("HostName", host(name)),
        ("HostKeyAlias", host(name)),
        ("User", str(vm["user"]["name"])),
        ("IdentityFile", identity),
        ("IdentitiesOnly", "yes"),
        ("AddKeysToAgent", "no"),
        ("UserKnownHostsFile", known),
        ("GlobalKnownHostsFile", "/dev/null"),
        ("StrictHostKeyChecking", "yes"),
        ("UpdateHostKeys", "no"),
        ("CheckHostIP", "no"),
        ("PreferredAuthentications", "publickey"),
        ("ProxyCommand", _command(proxy)),
        ("ProxyUseFdpass", "yes"),
        ("ForwardAgent", _yes(allowed.get("forward_agent"))),
        ("ForwardX11", _yes(allowed.get("forward_x11"))),
        ("ForwardX11Trusted", _yes(allowed.get("forward_x11_trusted"))),
    ]


def arguments(settings: Sequence[tuple[str, str]]) -> list[str]:
    """Return options as words of OpenSSH's command line."""
    return [word for key, value in settings for word in ("-o", f"{key}={value}")]


def block(name: str, home: str, settings: Sequence[tuple[str, str]]) -> str:
    """Return the Host block of a VM between its marker lines."""
    lines = [f"{_BEGIN}{name} of {home}", f"Host {host(name)}"]
    lines += [f"    {key} {value}" for key, value in settings]
    return "\n".join([*lines, _END]) + "\n"


def put(text: str, name: str, home: str, settings: Sequence[tuple[str, str]]) -> str:
    """Return the file's text with a VM's block, in place of one for the same alias."""
    rest = without(text, lambda other, _: other == name)
    return (rest or HEADER) + block(name, home, settings)


def without(text: str, goes: Callable[[str, str], bool]) -> str:
    """Return the file's text without the blocks for whose VM and home ``goes`` is true.

    A block without an end is one that somebody edited: it stays.
    """
    kept: list[str] = []
    lines = text.splitlines(keepends=True)
    at = 0
    while at < len(lines):
        end = _end_of(lines, at)
        found = _marked(lines[at]) if end else None
        if found is not None and goes(*found):
            at = end
            continue
        kept += lines[at : max(end, at + 1)]
        at = max(end, at + 1)
    return "".join(kept)


def names(text: str, home: str) -> list[str]:
    """Return the VMs of a home that have a block."""
    marks = [_marked(line) for line in text.splitlines()]
    return [mark[0] for mark in marks if mark is not None and mark[1] == home]


def is_empty(text: str) -> bool:
    """Tell whether a file holds nothing but our header."""
    return not text.replace(HEADER, "").strip()


def include(config: str, path: str) -> str:
    """Return the text of ``~/.ssh/config`` with our file included, before any Host line.

    An ``Include`` below a ``Host`` line would count for that host alone, so ours is the first line.
    """
    line = include_line(path)
    if any(each.strip() == line for each in _before_hosts(config)):
        return config
    return f"{line}\n{exclude(config, path)}"


def exclude(config: str, path: str) -> str:
    """Return the text of ``~/.ssh/config`` without our line."""
    line = include_line(path)
    return "".join(each for each in config.splitlines(keepends=True) if each.strip() != line)


def include_line(path: str) -> str:
    """Return the line that includes our file."""
    _refuse_odd(path)
    return f'Include "{path}"'


def _before_hosts(config: str) -> list[str]:
    found = []
    for line in config.splitlines():
        if line.strip().lower().split("=")[0].split(None, 1)[:1] in (["host"], ["match"]):
            break
        found.append(line)
    return found


def _marked(line: str) -> tuple[str, str] | None:
    if not line.startswith(_BEGIN):
        return None
    name, _, home = line.removeprefix(_BEGIN).rstrip("\r\n").partition(" of ")
    return name, home


def _end_of(lines: Sequence[str], at: int) -> int:
    """Return the index after a block that begins here; 0 if none does."""
    if _marked(lines[at]) is None:
        return 0
    for index in range(at + 1, len(lines)):
        if lines[index].rstrip("\r\n") == _END:
            return index + 1
        if _marked(lines[index]) is not None:
            break
    return 0


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _command(words: Sequence[str]) -> str:
    """Return a command line for the user's shell, in which OpenSSH expands nothing."""
    for word in words:
        _refuse_odd(word)
    return shlex.join(words).replace("%", "%%")


def _path(path: str) -> str:
    _refuse_odd(path)
    return '"' + path.replace("%", "%%") + '"'


def _refuse_odd(word: str) -> None:
    # "${NAME}" would be a variable, and no version of OpenSSH agrees with another on quotes
    if not word.isprintable() or '"' in word or "\\" in word or "${" in word:
        raise errors.HostError(
            f"OpenSSH's config cannot hold the path {word!r}",
            remedy='set GAOVM_HOME to a path without ", \\ and ${',
        )
