"""``gaovm protect`` and ``unprotect``: whether a VM can be removed."""

from __future__ import annotations

from gaovm.cli import calls, options, output, target


def protect(parsed: options.Parsed) -> int:
    """Protect a VM from removal; done already is success."""
    return _set(parsed, protected=True)


def unprotect(parsed: options.Parsed) -> int:
    """Take the protection away; done already is success."""
    return _set(parsed, protected=False)


def _set(parsed: options.Parsed, *, protected: bool) -> int:
    params = {"name": target.vm_name(parsed), "protected": protected}
    with calls.connect() as client:
        vm = calls.call(client, "vm.protect", params)
    if parsed.flag("json"):
        output.json_out(vm)
    elif not parsed.flag("quiet"):
        output.err(f"{vm['name']} {'is protected' if protected else 'can be removed'}")
    return 0


PROTECT = options.Command(
    "protect",
    protect,
    about="Protect the VM from removal: gaovm destroy refuses until gaovm unprotect.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, options.JSON, options.QUIET),
    examples=("gaovm protect", "gaovm protect web-dev"),
)

UNPROTECT = options.Command(
    "unprotect",
    unprotect,
    about="Take the protection of gaovm protect away.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, options.JSON, options.QUIET),
    examples=("gaovm unprotect web-dev",),
)
