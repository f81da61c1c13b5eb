"""Ask a person whether a project file may reach what it asks for. Loaded only to ask."""

from __future__ import annotations

import difflib
import sys

from gaovm import errors
from gaovm.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: Nobody reads more lines than this, and comparing them takes long.
_COMPARED = 2000
_SHOWN = 80


def given(error: errors.ApprovalNeeded, params: Mapping[str, Any], *, yes: bool) -> str:
    """Ask on the terminal, and return the digest that approves the file of ``params``.

    Raises:
        errors.ApprovalNeeded: nobody can be asked, or there is nothing to approve.
        errors.UsageError: the answer was no.
    """
    digest = error.details.get("digest")
    if not isinstance(digest, str) or not (yes or sys.stdin.isatty()):
        raise error
    output.err(output.harmless(question(error, params)))
    if not yes and not output.confirm("Let its VM have this?"):
        raise errors.UsageError("not approved: nothing was changed")
    return digest


def question(error: errors.ApprovalNeeded, params: Mapping[str, Any]) -> str:
    """Say what the file reaches, and how it differs from the one that was approved."""
    lines = [f"{params.get('config_path')}: {error.message}"]
    before = error.details.get("approved_text")
    if isinstance(before, str):
        lines += _difference(before, str(params.get("config_text")))
    return "\n".join(lines)


def _difference(before: str, after: str) -> list[str]:
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > _COMPARED:
        return []
    names = ("as it was approved", "as it is now")
    found = list(difflib.unified_diff(old, new, *names, lineterm="", n=1))
    more = len(found) - _SHOWN
    return found[:_SHOWN] + ([f"(and {more} lines more)"] if more > 0 else [])
