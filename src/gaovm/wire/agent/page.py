"""The tables of ``docs/reference/agent-protocol.md``, made from the calls and the structs."""

from __future__ import annotations

import msgspec

from gaovm.wire import shapes
from gaovm.wire.agent import table


def calls() -> str:
    """The plain calls, and the types in them."""
    lines = ["| call | body → answer | |", "|---|---|---|"]
    for row in table.CALLS:
        body = "" if row.body is table.PING.body else f"{_code(row.body)} "
        lines.append(f"| `{row.verb} {row.path}` | {body}→ {_code(row.answer)} | {row.about} |")
    lines += ["", "| type | fields | |", "|---|---|---|"]
    kinds = [kind for row in table.CALLS for kind in (row.body, row.answer)]
    lines += [
        f"| {kind.__name__} | {_code(kind)} | {_about(kind)} |" for kind in shapes.named(*kinds)
    ]
    return "\n".join(lines) + "\n"


def streams() -> str:
    """The JSON payloads of frames."""
    lines = ["| payload | fields | |", "|---|---|---|"]
    lines += [f"| START of `{row.path}` | {_code(row.start)} | |" for row in table.STREAMS]
    lines += [f"| {kind.__name__} | {_code(kind)} | {_about(kind)} |" for kind in table.PAYLOADS]
    return "\n".join(lines) + "\n"


def _code(kind: type[msgspec.Struct]) -> str:
    return "`" + shapes.fields(kind).replace("|", "\\|") + "`"


def _about(kind: type[msgspec.Struct]) -> str:
    return shapes.about(kind).replace("|", "\\|")
