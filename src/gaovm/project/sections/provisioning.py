"""``provision`` and ``probes`` -> scripts, files and expressions of ``spec.guest``."""

from __future__ import annotations

import posixpath
import re
from typing import get_args

from gaovm.project import fields, nodes, variables
from gaovm.project.context import Context
from gaovm.spec.guest import Mode, Probe, Script, Target, User

NO_PLAYBOOKS = (
    "GaoVM runs no playbook of mode ansible: it would run on this machine, and a guest can write it"
)
#: In the order of Lima's message.
_MODES = ("system", "user", "boot", "dependency", "ansible", "data", "yq")
_RUN: tuple[Mode, ...] = get_args(Mode)
#: What a mode's text is called in the file; a script in all others.
_TEXTS = {"data": "content", "yq": "expression"}
_FORMATS = ("auto", "csv", "ini", "json", "props", "tsv", "toml", "xml", "yaml")
_EXTENSIONS = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?\Z")
_PERMISSIONS = re.compile(r"[0-7]{1,4}\Z")


def read(root: nodes.Table, user: User, context: Context) -> tuple[Script, ...]:
    """Read the entries of ``provision``, in the file's order."""
    found = (_entry(entry, user, context) for entry in fields.tables(root, "provision"))
    return tuple(script for script in found if script is not None)


def _entry(entry: nodes.Table, user: User, context: Context) -> Script | None:
    word = fields.word(entry, "mode", _MODES, context.found) or "system"
    mode: Mode | None = next((known for known in _RUN if known == word), None)
    if mode is None:
        where = fields.below(entry, "mode")
        context.found.warning(entry, f"{NO_PLAYBOOKS}; up refuses the file", path=where)
        return None
    text = _text(entry, _TEXTS.get(mode, "script"), user, context)
    target = _target(entry, mode, user, context) if mode in _TEXTS else None
    if text is None or (mode in _TEXTS and target is None):
        return None
    return Script(name=entry.path, mode=mode, script=text, env=context.param_env(), target=target)


def _text(entry: nodes.Table, key: str, user: User, context: Context) -> str | None:
    """Return a text with its variables replaced; unknown ones stay, for what will read it."""
    node = fields.scalar(entry, key)
    if key == "content" and node is not None:
        return variables.expand(node.text, context.guest_variables(user))[0]
    if node is None or not node.text.strip():
        wrong_kind = node is None and fields.get(entry, key) is not None
        if not wrong_kind and fields.get(entry, "file") is None:
            where = fields.below(entry, key)
            remedy = f"write {'the' if key == 'content' else 'a'} {key}, or take the entry out"
            context.found.problem(node or entry, "must be set", path=where, remedy=remedy)
        return None
    return variables.expand(node.text, context.guest_variables(user))[0]


def _target(entry: nodes.Table, mode: Mode, user: User, context: Context) -> Target | None:
    """Return the file in the guest that an entry writes; None after a problem."""
    node = fields.scalar(entry, "path")
    if node is None or not node.text:
        return None  # Lima's check has reported it
    values = context.guest_variables(user)
    path = context.path(node, values, user.home)
    owner = _matching(entry, "owner", _OWNER, "root:root", values, context)
    permissions = _matching(entry, "permissions", _PERMISSIONS, "644", values, context)
    if path is None or owner is None or permissions is None:
        return None
    if path == "/":
        what = "expected the path of a file"
        context.found.problem(node, what, remedy="write the whole path of a file in the guest")
        return None
    overwrite = fields.boolean(entry, "overwrite")
    return Target(
        path=path,
        owner=owner,
        permissions=permissions,
        overwrite=overwrite is not False,
        format=_format(entry, path, context) if mode == "yq" else "auto",
    )


def _matching(
    entry: nodes.Table,
    key: str,
    form: re.Pattern[str],
    default: str,
    values: dict[str, str],
    context: Context,
) -> str | None:
    node = fields.scalar(entry, key)
    if node is None or not node.text:
        return default
    text = context.expand(node, values)
    if form.match(text):
        return text
    example = "root:root" if key == "owner" else '"644"'
    kind = "USER or USER:GROUP" if key == "owner" else "up to four octal digits"
    what = f"expected {kind}, found {nodes.describe(node)}"
    context.found.problem(node, what, remedy=f"write it as {example}")
    return None


def _format(entry: nodes.Table, path: str, context: Context) -> str:
    """Return the format of a file; the file's name may tell which ``auto`` is."""
    word = fields.word(entry, "format", _FORMATS, context.found) or "auto"
    return _EXTENSIONS.get(posixpath.splitext(path)[1], "auto") if word == "auto" else word


def read_probes(root: nodes.Table, user: User, context: Context) -> tuple[Probe, ...]:
    """Read the entries of ``probes``, in the file's order."""
    entries = fields.tables(root, "probes")
    probes = []
    for number, entry in enumerate(entries, 1):
        fields.word(entry, "mode", ("readiness",), context.found)
        script = _text(entry, "script", user, context)
        if script is None:
            continue
        probes.append(
            Probe(
                description=fields.text(entry, "description")
                or f"user probe {number}/{len(entries)}",
                script=script,
                hint=fields.text(entry, "hint") or "",
                env=context.param_env(),
            )
        )
    return tuple(probes)
