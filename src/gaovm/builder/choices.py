"""Decides what a spec leaves open, with the reason for it, which status shows."""

from __future__ import annotations

from gaovm import errors
from gaovm.builder import packages
from gaovm.model import facts as host_facts
from gaovm.spec.base import Frozen
from gaovm.spec.boot import Accelerator, Arch
from gaovm.spec.shares import ShareType


class Choice(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was chosen, and why, in words for the user."""

    name: str
    reason: str


def choose_accelerator(requested: Accelerator, arch: Arch, host: host_facts.HostFacts) -> Choice:
    """The accelerator: the first that works for the architecture, else TCG.

    Raises:
        errors.AcceleratorUnavailable: one was asked for by name and does not work here.
    """
    if requested == "tcg":
        return Choice(name="tcg", reason="asked for in the config")
    reasons = []
    for fact in host.accelerators:
        if requested not in ("auto", fact.name):
            continue
        if arch != host.arch:
            reasons.append(f"{fact.name} cannot run {arch} on {host.arch}")
        elif fact.usable:
            return Choice(name=fact.name, reason=fact.reason)
        else:
            reasons.append(fact.reason)
    if requested != "auto":
        why = "; ".join(reasons) or f"{requested} does not exist on this system"
        raise errors.AcceleratorUnavailable(
            f"accelerator {requested} does not work here: {why}",
            field="vmOpts.gaovm.accel",
            remedy="set accel to auto or tcg, or find out why it does not work",
            actions=(errors.Action("check_host"),),
        )
    return Choice(name="tcg", reason="; ".join(reasons) or "this system has no accelerator")


def choose_share(requested: ShareType, host: host_facts.HostFacts) -> Choice:
    """How directories are shared: virtiofs where a virtiofsd is usable and true, else 9p.

    The newer virtiofsd lets a guest trust for a second what it knows, or cache nothing; then Linux
    before 6.6 maps no file shared. So it is taken when it is asked for.

    Raises:
        errors.ProgramMissing: virtiofs was asked for and there is no virtiofsd.
        errors.PermissionMissing: virtiofs was asked for and this user cannot run the one there is.
    """
    found = host.virtiofsd
    if requested == "9p":
        return Choice(name="9p", reason="asked for in the config")
    if found is not None and found.usable:
        if requested == "auto" and found.flavour == "rust":
            return Choice(name="9p", reason=f"{found.path} would cache too long, or not at all")
        asked = "asked for in the config, " if requested == "virtiofs" else ""
        return Choice(name="virtiofs", reason=f"{asked}{found.path} is usable")
    why = host.virtiofsd_missing if found is None else found.reason
    if requested == "auto":
        return Choice(name="9p", reason=why)
    if found is None:
        raise errors.ProgramMissing(
            f"mountType virtiofs: {why}",
            field="mountType",
            remedy=f"{packages.remedy('virtiofsd')} (Debian 12: qemu-system-common), or use 9p",
            details={"program": "virtiofsd"},
        )
    raise errors.PermissionMissing(
        f"mountType virtiofs: {why}",
        field="mountType",
        remedy="use mountType: 9p, or install the newer virtiofsd, which runs without root",
    )
