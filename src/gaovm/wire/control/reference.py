"""Writes ``docs/reference/control-methods.md`` from the table and the structs."""

from __future__ import annotations

import sys

from gaovm.wire import reference
from gaovm.wire.control import common, events, payloads, table

_HEAD = """# Methods of `gaovm.control.v1`

Written by `python -m gaovm.wire.control.reference > docs/reference/control-methods.md`; a test
compares. How calls travel, and what holds for all of them, stands in
[control-protocol.md](control-protocol.md).

A `?` marks what may be left out; `= value` is what then holds. Parameters that a method does not
know are refused (`invalid_params`). A client ignores fields of a result that it does not know.

Every method with a `name`, except `vm.up`, takes `of_project` too: the absolute path of a project.
The caller then gave no name and means the VM of that directory; `name` is only what that VM would
usually be called. Without such a VM the call ends with `vm_not_found`. The daemon never touches
another directory's VM.
"""


def text() -> str:
    """The whole page."""
    page = reference.Page()
    methods = page.methods(table.METHODS.values())
    told = (common.Progress, events.Event, events.Lagged)
    names = ", ".join(f"`{page.named(kind)}`" for kind in told)
    parts = [
        _HEAD,
        "## Methods\n",
        methods,
        "## Events\n",
        reference.prose("What each type of event carries as its `payload`.") + "\n",
        *(page.struct(f"`{name}`", kind) for name, kind in payloads.PAYLOADS.items()),
        "## Types\n",
        reference.prose(f"Results, the structs in them, and the notifications {names}.") + "\n",
        page.types(),
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(text())
