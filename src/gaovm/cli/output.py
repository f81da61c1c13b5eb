"""Print what commands say: tables, sizes, times, errors. Make text from a guest harmless first."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from gaovm import errors

_SCALE = ("B", "KiB", "MiB", "GiB", "TiB")
_TAIL_LINES = 20
# Characters that steer a terminal: the control characters of both sets, and those that change the
# direction of text or begin a line (Bidi_Control, U+2028 and U+2029).
_STEERING = (
    *range(32),
    *range(127, 160),
    0x061C,
    *(0x200E, 0x200F, 0x2028, 0x2029),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)
_CONTROL = {code: None for code in _STEERING if code not in (9, 10)}
_IN_ONE_LINE = {**_CONTROL, 9: " ", 10: "\\n"}
_IN_JSON = {code: f"\\u{code:04x}" for code in _STEERING if code >= 127}


def out(text: str = "") -> None:
    """Print one line on standard output."""
    print(text)


def err(text: str) -> None:
    """Print one line on standard error."""
    print(text, file=sys.stderr)


def json_out(data: Any) -> None:
    """Print JSON on standard output, indented."""
    print(json_text(data, indent=2))


def json_text(data: Any, *, indent: int | None = None) -> str:
    """Return ``data`` as JSON; escape every character that steers a terminal."""
    import json

    separators = (",", ":") if indent is None else None
    text = json.dumps(data, indent=indent, ensure_ascii=False, separators=separators)
    return text.translate(_IN_JSON)


def harmless(text: str) -> str:
    """Drop characters that steer a terminal, so no guest forges a screen; keep tab and newline."""
    return text.translate(_CONTROL)


def one_line(text: str) -> str:
    """Make a value harmless that stands beside others: show a newline as ``\\n``."""
    return text.translate(_IN_ONE_LINE)


def size(count: float | None) -> str:
    """Write a number of bytes for people: ``2.0 GiB``."""
    if count is None:
        return "-"
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_SCALE) - 1:
        value /= 1024
        unit += 1
    return f"{value:.0f} {_SCALE[unit]}" if unit == 0 else f"{value:.1f} {_SCALE[unit]}"


def short_digest(digest: object) -> str:
    """Return the first 12 digits of a digest, which commands accept too; ``-`` for none."""
    return str(digest or "-").removeprefix("sha256:")[:12]


def duration(seconds: float) -> str:
    """Write a time span for people: ``4.2s``, ``3m05s``, ``2h01m``, ``3d04h``."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns with spaces, two apart; leave the last one unpadded. A cell is one line."""
    lines = [[one_line(cell) for cell in line] for line in (head, *rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def confirm(question: str, *, default: bool = False) -> bool:
    """Ask on the terminal; y or yes means yes, an empty line ``default``, end of input no."""
    sys.stderr.write(f"{question} [{'Y/n' if default else 'y/N'}] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if default and answer and not answer.strip():
        return True
    return answer.strip().lower() in ("y", "yes")


def error_json(error: errors.GaoError) -> dict[str, Any]:
    """Return the error as the JSON object that ``--json`` prints."""
    data: dict[str, Any] = {"code": error.code, "message": error.message}
    optional = {"field": error.field, "remedy": error.advice}
    data.update({key: value for key, value in optional.items() if value is not None})
    if error.actions:
        data["actions"] = actions_json(error.actions)
    if error.details:
        data["details"] = error.details
    return {"error": data}


def actions_json(actions: Sequence[errors.Action]) -> list[dict[str, Any]]:
    """Return actions as JSON data, each with its command line."""
    from gaovm.cli import actions as commands

    return [
        {"code": action.code, "args": action.args, "command": commands.command(action)}
        for action in actions
    ]


def error_text(error: errors.GaoError) -> str:
    """Write the error for people: message, the guest's last output, ``field:`` and ``remedy:``.

    The remedy is its text, then the command line of each action.
    """
    lines = ["gaovm: " + error.message.replace("\n", "\n       "), *_tail(error)]
    if error.field:
        lines.append(f"  field: {error.field}")
    for index, line in enumerate(remedy_lines(error.remedy, error.actions)):
        lines.append(f"  remedy: {line}" if index == 0 else f"          {line}")
    return "\n".join(harmless(line) for line in lines)


def remedy_lines(remedy: str | None, actions: Sequence[errors.Action]) -> list[str]:
    """Return the lines of a remedy: its text, then a command line for each action."""
    lines = (remedy or "").splitlines()
    if actions:
        from gaovm.cli import actions as commands

        lines += commands.lines(actions)
    return lines


def _tail(error: errors.GaoError) -> list[str]:
    """Return the last lines of a script or console, unless the message holds all of them."""
    lines: list[str] = []
    for key in ("hint", "tail", "serial_tail"):
        tail = error.details.get(key)
        text = "\n".join(map(str, tail)) if isinstance(tail, list) else tail
        found = text.rstrip().splitlines()[-_TAIL_LINES:] if isinstance(text, str) else []
        if not all(line in error.message for line in found):
            lines += [f"  | {line}" for line in found]
    return lines
