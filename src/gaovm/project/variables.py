"""Lima's template variables, the simple ones: ``{{.Home}}``, ``{{.Name}}`` and a few more."""

from __future__ import annotations

from collections.abc import Mapping

_SPACE = " \t\n\r\f\v"


def expand(text: str, values: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with known variables replaced, and the expressions that are not known.

    What is not known stays as it is written: in a script it may be meant for another program. Each
    character is looked at a fixed number of times, whatever the text is.
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
    """``Home`` of `` .Home `` and ``- .Home -``; None of anything but a variable."""
    inner = expression.removeprefix("-").removesuffix("-").strip(_SPACE)
    return inner[1:] if inner.startswith(".") else None
