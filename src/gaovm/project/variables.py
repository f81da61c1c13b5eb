"""Lima's template variables, the simple ones: ``{{.Home}}``, ``{{.Name}}`` and a few more."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)


def expand(text: str, values: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with known variables replaced, and the expressions that are not known.

    What is not known stays as it is written: in a script it may be meant for another program.
    """
    unknown: list[str] = []

    def replace(match: re.Match[str]) -> str:
        name = match.group(1).removeprefix(".")
        if match.group(1).startswith(".") and name in values:
            return values[name]
        unknown.append(match.group(0))
        return match.group(0)

    return _VARIABLE.sub(replace, text), unknown
