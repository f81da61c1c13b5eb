"""Put packages and ports that were found into the text of a config, as a person would.

The text keeps its comments: lines go in below ``provision:`` and ``portForwards:``, or at the end.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from gaovm.project import fields, nodes
from gaovm.project.detection import detect, finding

_INSTALL = """\
- mode: system # as root
  script: |
    #!/bin/sh
    set -eu
    # {reason}
    packages="{packages}"
    dpkg -s $packages > /dev/null 2>&1 || {{
      apt-get update
      DEBIAN_FRONTEND=noninteractive apt-get -y install --no-install-recommends $packages
    }}
"""
_GROUP = """\
    usermod -aG docker "{{.User}}" # docker without sudo
"""
_FORWARD = """\
- guestPort: {number} # {why}
  hostPort: 0
"""
_FOUND = "# Found in this project by init; take out what you do not need.\n"


def forwarded(root: nodes.Table) -> frozenset[int]:
    """Return the guest ports that a config has rules for, one by one."""
    found = [fields.scalar(rule, "guestPort") for rule in fields.tables(root, "portForwards")]
    return frozenset(n for node in found if node is not None and (n := node.integer) is not None)


def installed(root: nodes.Table) -> frozenset[str]:
    """Return the words of a config's provision scripts, comments left out: packages among them."""
    scripts = [fields.text(each, "script") or "" for each in fields.tables(root, "provision")]
    lines = [line for script in scripts for line in script.splitlines()]
    kept = " ".join(line for line in lines if not line.lstrip().startswith("#"))
    return frozenset(re.findall(r"[a-z0-9][a-z0-9.+-]*", kept))


def ports(found: detect.Detected, taken: Collection[int]) -> tuple[finding.Port, ...]:
    """Return the ports that a config with forwards for the ports ``taken`` lacks."""
    return tuple(port for port in found.ports if port.number not in taken)


def add(text: str, found: detect.Detected, taken: Collection[int] = ()) -> str | None:
    """Return the config's text with what was found.

    ``taken``: guest ports that the config or its bases forward already. None: the text has a form
    that lines cannot be put into, as a list between brackets.
    """
    wanted = ports(found, taken)
    changed = _into(text, "provision", _provision(found)) if found.packages else text
    if changed is not None and wanted:
        forwards = "".join(_FORWARD.format(number=p.number, why=p.why) for p in wanted)
        changed = _into(changed, "portForwards", _FOUND + forwards)
    if changed is None or not _has_grown(text, changed, bool(found.packages), len(wanted)):
        return None
    return changed


def _provision(found: detect.Detected) -> str:
    reasons = ", ".join(
        f"{each.name} ({', '.join(each.files)})" for each in found.findings if each.packages
    )
    script = _INSTALL.format(reason=reasons, packages=" ".join(found.packages))
    grouped = any(each.docker for each in found.findings)
    return _FOUND + script + (_GROUP if grouped else "")


def _into(text: str, key: str, entries: str) -> str | None:
    """Put entries at the beginning of a list; make the list at the end where there is none."""
    try:
        root = nodes.parse(text)
    except nodes.Malformed:
        return None
    lines = text.splitlines(keepends=True)
    if key not in root.entries:
        end = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{end}\n{key}:\n{_indented(entries, 2)}"
    value, at = root.entries[key], root.key_lines[key]
    indent = 2
    if isinstance(value, nodes.Sequence) and value.items:
        first = lines[value.items[0].line - 1]
        indent = len(first) - len(first.lstrip(" "))
        if not first.lstrip(" ").startswith("- "):
            return None
    elif fields.get(root, key) is not None:
        return None
    return "".join((*lines[:at], _indented(entries, indent), *lines[at:]))


def _indented(text: str, spaces: int) -> str:
    return "".join(" " * spaces + line for line in text.splitlines(keepends=True))


def _has_grown(before: str, after: str, scripts: bool, forwards: int) -> bool:
    """Tell whether the new text means the old one with these entries and nothing else."""
    try:
        old, new = nodes.parse(before), nodes.parse(after)
    except nodes.Malformed:
        return False
    grown = {"provision": int(scripts), "portForwards": forwards}
    others = all(new.entries.get(key) is not None for key in old.entries)
    return others and all(
        len(fields.tables(new, key)) == len(fields.tables(old, key)) + more
        for key, more in grown.items()
    )
