"""``docs/reference/control-methods.md``, made from the table and the structs so it cannot drift."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import msgspec

from gaovm.wire import sections, shapes
from gaovm.wire.control import events, payloads, table
from gaovm.wire.control.progress import Progress
from gaovm.wire.method import Method

_HEAD = """\
# Methods of `gaovm.control.v1`

Generated from `gaovm.wire.control`; `pytest tests/architecture --regenerate` rewrites it. The page
[control-protocol.md](control-protocol.md) says how calls travel, and what holds for all of them.

A field with `?` may be left out; `= value` is its default. The daemon refuses parameters that
it does not know (`invalid_params`); a client ignores fields of a result that it does not know.
Names with a capital letter are types, explained below.

Every method with a `name`, except `vm.up`, takes `of_project` too: the absolute path of a project.
The caller then gave no name and means the VM of that directory; `name` is only what that VM would
usually be called. Without such a VM the call ends with `vm_not_found`. The daemon never touches
another directory's VM.
"""
_EVENTS = """\
## Events

What each type of event carries as its `payload`.
"""
_TYPES = """\
## Types

The results, the structs in them, and the notifications `progress`, `event` and `event.lagged`.
"""
_KINDS = {
    "read": "Reads: an upgrade that waits lets it pass.",
    "operation": "Begins an operation: a daemon that stops refuses it.",
    "change": "",
}
_NOTIFICATIONS = (Progress, events.Event, events.Lagged)


def render_markdown() -> str:
    """The whole page."""
    methods = map(_method, table.METHODS.values())
    told = (_section(f"`{name}`", kind) for name, kind in payloads.PAYLOADS.items())
    kinds = (_section(kind.__name__, kind) for kind in _types())
    return "\n".join([_HEAD, "## Methods\n", *methods, _EVENTS, *told, _TYPES, *kinds])


def _method(row: Method[Any, Any]) -> str:
    notes = [_KINDS[row.kind]]
    if row.streams:
        notes.append("Sends `progress` before its result.")
    if row.spared and row.kind != "read":
        notes.append("An upgrade that waits lets it pass.")
    result = " or ".join(f"`{kind.__name__}`" for kind in _kinds(row.result))
    parts = [f"### `{row.name}`", sections.prose(" ".join([row.about, *filter(None, notes)]))]
    fields = shapes.fields(row.params, defaults=True)
    if fields != "{}":
        parts += [*_described(row.params), sections.block(fields)]
    return "\n\n".join([*parts, f"Result: {result}"]) + "\n"


def _section(title: str, kind: type[msgspec.Struct]) -> str:
    fields = shapes.fields(kind)
    block = [] if fields == "{}" else [sections.block(fields)]
    return "\n\n".join([f"### {title}", *_described(kind), *block]) + "\n"


def _types() -> list[type[msgspec.Struct]]:
    """The results, notifications and all that is nested in them or in parameters, by name."""
    rows = table.METHODS.values()
    told: list[type[msgspec.Struct]] = list(_NOTIFICATIONS)
    told += [kind for row in rows for kind in _kinds(row.result)]
    inner = shapes.named(*told, *(row.params for row in rows), *payloads.PAYLOADS.values())
    found = {kind.__name__: kind for kind in (*told, *inner)}
    if len(found) < len({*told, *inner}):
        raise ValueError("two structs of the contract have one name")
    return [found[name] for name in sorted(found)]


def _kinds(result: Any) -> tuple[type[msgspec.Struct], ...]:
    kinds: tuple[type[msgspec.Struct], ...] = get_args(result) or (result,)
    return kinds


def _described(kind: type) -> list[str]:
    """The paragraphs of a struct's docstring."""
    return [sections.prose(each) for each in (inspect.getdoc(kind) or "").split("\n\n") if each]
