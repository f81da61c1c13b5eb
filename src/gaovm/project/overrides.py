"""The layer that ``gaovm set`` puts over a project file: words and values -> a spec.

The words are the file's own: ``cpus``, ``memory``, ``disk``, ``env.NAME``, and those below
``vmOpts.gaovm`` in short form (``accel``, ``restart.policy``). The file's own readers read them, so
a value has the same meaning and the same error messages in both places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gaovm import errors
from gaovm.project import check, nodes, schema, words
from gaovm.project.context import Caller, Context, Host
from gaovm.project.problems import Findings
from gaovm.project.sections import boot, disks, graphics, guest, network, processors, supervision
from gaovm.spec import diff
from gaovm.spec.disks import Image
from gaovm.spec.guest import Guest
from gaovm.spec.vm import VmSpec

_ENV = "env."
_VALUE = str | int | float
_MAX_WORDS = 200
_MAX_TEXT = 4096


def apply(base: VmSpec, overrides: Mapping[str, Any]) -> VmSpec:
    """Return ``base`` with the overrides applied. Values are texts, numbers or booleans.

    Raises:
        errors.ConfigError: with every problem; ``field`` is the first wrong word.
    """
    if not overrides:
        return base
    found = Findings("overrides")
    root = _tree(overrides, found)
    _raise(found)
    _seed(root, base)
    check.check(root, found)
    # The fields read here need no project and no home directory.
    context = Context(Caller("", 0, 0, "/"), "/", base.name, Host(base.boot.arch), found)
    boot_part = boot.read(root, context)
    read = VmSpec(
        name=base.name,
        image=Image(location=""),
        guest=Guest(
            user=base.guest.user,
            hostname=base.guest.hostname,
            env={**base.guest.env, **guest.read_env(root, context)},
        ),
        boot=boot_part,
        processors=processors.read(root, boot_part.arch, context),
        memory=disks.read_memory(root, context),
        disk=disks.read_disk(root, context),
        network=network.read(root, context),
        graphics=graphics.read(root, context),
        supervision=supervision.read(root, boot_part, context),
    )
    _raise(found)
    given = {"env" if word.startswith(_ENV) else word for word in overrides}
    fields = diff.of_words(given)
    return diff.take(base, read, lambda field: field.word in fields)


def _tree(overrides: Mapping[str, Any], found: Findings) -> nodes.Table:
    """Return the overrides as a tree like the file's; each node's path is the user's word."""
    root = nodes.Table(0, "", {}, {})
    known = set(words.every())
    if len(overrides) > _MAX_WORDS:
        found.problem(root, f"more than {_MAX_WORDS} overrides", remedy="discard some")
        return root
    for word, value in overrides.items():
        usable = isinstance(value, _VALUE) and (type(value) is not int or abs(value) < 1 << 63)
        node = nodes.Scalar(0, word, _text(value) if usable else "", plain=True)
        if not usable or len(node.text) > _MAX_TEXT:
            what = "expected a text, a number or true or false"
            found.problem(node, what, remedy="give one value")
        elif word.startswith(_ENV):
            # an environment variable's value is always a text
            quoted = nodes.Scalar(0, word, node.text, plain=False)
            _put(root, ("env", word.removeprefix(_ENV)), quoted)
        elif word in words.TOP:
            _put(root, (word,), node)
        elif word in known:
            _put(root, ("vmOpts", "gaovm", *word.split(".")), node)
        else:
            found.problem(node, _unknown(word), remedy="use a known key")
    return root


def _seed(root: nodes.Table, base: VmSpec) -> None:
    """Copy from the base the values with which an override must agree."""
    enabled, device = _text(base.graphics.enabled), _text(base.supervision.watchdog.device)
    for keys, text in (
        (("arch",), base.boot.arch),
        (("vmOpts", "gaovm", "machine"), base.boot.machine),
        (("vmOpts", "gaovm", "kernel"), base.boot.kernel),
        (("vmOpts", "gaovm", "graphics", "enabled"), enabled),
        (("vmOpts", "gaovm", "watchdog", "device"), device),
    ):
        _put(root, keys, nodes.Scalar(0, keys[-1], text, plain=True), only_new=True)


def _put(
    root: nodes.Table, keys: tuple[str, ...], node: nodes.Scalar, *, only_new: bool = False
) -> None:
    table = root
    for depth, key in enumerate(keys[:-1], 1):
        below = table.entries.get(key)
        if not isinstance(below, nodes.Table):
            path = ".".join(keys[:depth]).removeprefix("vmOpts.gaovm").removeprefix(".")
            below = nodes.Table(0, path, {}, {})
            table.entries[key] = below
            table.key_lines[key] = 0
        table = below
    if only_new and keys[-1] in table.entries:
        return
    table.entries[keys[-1]] = node
    table.key_lines[keys[-1]] = 0


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _unknown(word: str) -> str:
    if word in schema.STRUCTS["LimaYAML"]:
        return "cannot be set here; write it in the project file"
    short = word.removeprefix("vmOpts.gaovm.")
    if short != word and short in words.every():
        return f"use its short form here: {short}"
    return check.unknown(word, [*words.every(), "env.NAME"])


def _raise(found: Findings) -> None:
    if not found.problems:
        return
    problems = found.problems
    raise errors.ConfigError(
        "\n".join(
            f"{each.path}: {each.message}" if each.path else each.message for each in problems
        ),
        field=problems[0].path or None,
        actions=(errors.Action("list_config_keys"),),
        details={"problems": [{"path": each.path, "message": each.message} for each in problems]},
    )
