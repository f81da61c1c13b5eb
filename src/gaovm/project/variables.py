"""Lima's simple template variables: ``{{.Home}}``, ``{{.Name}}`` and a few more."""

from __future__ import annotations

from collections.abc import Mapping

_SPACE = " \t\n\r\f\v"


def expand(text: str, values: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text with known variables replaced, and the unknown expressions.

    Unknown expressions stay in the text: in a script, another program may use them. The function
    reads each character a fixed number of times, so it takes linear time for any text.
    """
    done: list[str] = []
    unknown: list[str] = []
    rest = 0
    while (begin := text.find("{{", rest)) >= 0:
        end = text.find("}}", begin + 2)
        if end < 0:
            break
        done.append(text[rest:begin])
        rest = end + 2
        name = _name(text[begin + 2 : end])
        if name is not None and name in values:
            done.append(values[name])
        else:
            done.append(text[begin:rest])
            unknown.append(text[begin:rest])
    done.append(text[rest:])
    return "".join(done), unknown


def _name(expression: str) -> str | None:
    """Return ``Home`` for `` .Home `` and ``- .Home -``; None for anything but a variable."""
    inner = expression.removeprefix("-").removesuffix("-").strip(_SPACE)
    return inner[1:] if inner.startswith(".") else None
