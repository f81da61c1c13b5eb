"""The lists in ``docs/reference/agent-protocol.md``, made from the calls and the structs."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gaovm.wire import sections, shapes
from gaovm.wire.agent import table


def calls() -> str:
    """The plain calls, and the types in them."""
    found = []
    for row in table.CALLS:
        body = [] if row.body is table.PING.body else [shapes.fields(row.body)]
        answer = f"→ {shapes.fields(row.answer)}"
        found.append(sections.section(f"#### `{row.verb} {row.path}`", row.about, *body, answer))
    kinds = [kind for row in table.CALLS for kind in (row.body, row.answer)]
    return "\n".join([*found, *_types(shapes.named(*kinds))])


def streams() -> str:
    """The JSON payloads of frames."""
    found = [
        sections.section(f"#### START of `{row.path}`", "", shapes.fields(row.start))
        for row in table.STREAMS
    ]
    return "\n".join([*found, *_types(table.PAYLOADS)])


def _types(kinds: Iterable[type[msgspec.Struct]]) -> list[str]:
    return [
        sections.section(f"#### {kind.__name__}", shapes.about(kind), shapes.fields(kind))
        for kind in kinds
    ]
