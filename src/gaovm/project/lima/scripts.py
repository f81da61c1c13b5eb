"""What Lima checks of ``provision`` and ``probes``."""

from __future__ import annotations

import re

from gaovm.project import fields, nodes
from gaovm.project.lima.reporting import Report

MODES = ("system", "user", "boot", "data", "dependency", "ansible", "yq")
_DATA = "when mode is `data`"
_EITHER = "when mode is `data`, or `yq`"
#: Fields that only some modes have, and Lima's words for these modes.
_ONLY = {
    "content": _DATA,
    "overwrite": _DATA,
    "owner": _DATA,
    "path": _EITHER,
    "permissions": _EITHER,
    "format": "when mode is `yq`",
}
_EMBEDDED = "must be empty during validation (script should already be embedded)"


def check(root: nodes.Table, report: Report, *, windows: bool) -> None:
    """Check every entry of ``provision``. An entry without a path ends the check, as in Lima."""
    for entry in fields.tables(root, "provision"):
        mode = _mode(entry, report)
        _check_file(entry, "provision", report)
        if windows and mode == "ansible":
            what = "provision mode `ansible` is not supported on Windows VM"
            report.sentence(entry, what, "take the entry out", path=fields.below(entry, "mode"))
        if mode in ("data", "yq"):
            _check_written(entry, mode, report)
        else:
            _check_run(entry, mode, report)


def _mode(entry: nodes.Table, report: Report) -> str:
    node = fields.scalar(entry, "mode")
    mode = "system" if node is None or not node.text else node.text
    if node is not None and mode not in MODES:
        *first, last = (f"`{name}`" for name in MODES)
        what = f"must one of {', '.join(first)}, or {last}"
        report.field(node, what, "take mode out: system is meant then")
    skip = fields.get(entry, "skipDefaultDependencyResolution")
    if skip is not None and mode != "dependency":
        what = (
            "cannot set skipDefaultDependencyResolution, only valid on scripts of type `dependency`"
        )
        report.field(skip, what, "take it out", sentence=fields.below(entry, "mode"))
    return mode


def _check_file(entry: nodes.Table, name: str, report: Report) -> None:
    """Refuse a file beside a script: only one of them can run."""
    file = fields.get(entry, "file")
    if file is not None and fields.get(entry, "script") is not None:
        where = f"{name}{entry.path[entry.path.rfind('[') :]}.file.url"
        report.field(file, _EMBEDDED, "take file or script out", sentence=where)


def _check_written(entry: nodes.Table, mode: str, report: Report) -> None:
    path = fields.scalar(entry, "path")
    if path is None or not path.text:
        what = f"must not be empty when mode is `{mode}`"
        where = fields.below(entry, "path")
        report.field(path or entry, what, "add the path of the file in the guest", path=where)
    elif not path.text.startswith(("/", "{{")):
        report.field(path, "must be an absolute path", "write the whole path in the guest")
    if mode == "yq" and fields.scalar(entry, "expression") is None:
        what = "must not be empty when mode is `yq`"
        report.field(entry, what, "add a yq expression", path=fields.below(entry, "expression"))
    permissions = fields.scalar(entry, "permissions")
    if permissions is not None and not re.fullmatch("[0-7]{1,12}|\\{\\{.*", permissions.text):
        what = f"must be an octal number: found `{permissions.text[:60]}`"
        report.field(permissions, what, 'write it as "644"')


def _check_run(entry: nodes.Table, mode: str, report: Report) -> None:
    script = fields.scalar(entry, "script")
    empty = script is None or not script.text.strip()
    wrong_kind = script is None and fields.get(entry, "script") is not None
    if empty and mode != "ansible" and not wrong_kind and fields.get(entry, "file") is None:
        what = "must not be empty"
        where = fields.below(entry, "script")
        report.field(script or entry, what, "write a script, or take the entry out", path=where)
    for key, modes in _ONLY.items():
        node = fields.get(entry, key)
        if node is not None and mode in MODES:
            report.field(node, f"can only be set {modes}", "take it out, or change mode")
    playbook = fields.scalar(entry, "playbook")
    if playbook is not None and playbook.text and mode != "ansible":
        what = "can only be set when mode is `ansible`"
        lima = f"field `{playbook.path} {what}"
        report.sentence(playbook, lima, "take playbook out", message=what)


def check_probes(root: nodes.Table, report: Report) -> None:
    """Check every entry of ``probes``."""
    for number, entry in enumerate(fields.tables(root, "probes")):
        name = f"probe[{number}]"
        _check_file(entry, "probe", report)
        script = fields.scalar(entry, "script")
        if script is not None and not script.text.startswith("#!"):
            what = "must start with a '#!' line"
            remedy = "begin it with #!/bin/sh"
            report.field(script, what, remedy, sentence=f"{name}.script")
        mode = fields.scalar(entry, "mode")
        if mode is not None and mode.text not in ("", "readiness"):
            what = "can only be `readiness`"
            report.field(mode, what, "take mode out", sentence=f"{name}.mode")
