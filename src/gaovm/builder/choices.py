"""Decide what a spec leaves open, and give the reason, which ``status`` shows."""

from __future__ import annotations

from gaovm import errors
from gaovm.builder import packages
from gaovm.model import facts as host_facts
from gaovm.spec.base import Frozen
from gaovm.spec.boot import Accelerator, Arch
from gaovm.spec.shares import ShareType

#: Lima's word for a share that the guest mounts by SSHFS, and the program that serves it.
SSHFS, SFTP_SERVER = "reverse-sshfs", "sftp-server"


class Choice(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A choice and its reason, in words for the user."""

    name: str
    reason: str


def choose_accelerator(requested: Accelerator, arch: Arch, host: host_facts.HostFacts) -> Choice:
    """Choose the accelerator: the first that works for the architecture, else TCG.

    Raises:
        errors.AcceleratorUnavailable: the config names an accelerator that does not work here.
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
            remedy=f"set accel to auto or tcg, or make {requested} work",
            actions=(errors.Action("check_host"),),
        )
    return Choice(name="tcg", reason="; ".join(reasons) or "this system has no accelerator")


def _sshfs(host: host_facts.HostFacts) -> Choice:
    if SFTP_SERVER in host.programs:
        reason = f"asked for in the config, {host.programs[SFTP_SERVER]} serves it"
        return Choice(name=SSHFS, reason=reason)
    raise errors.ProgramMissing(
        f"mountType {SSHFS}: {SFTP_SERVER} is not installed",
        field="mountType",
        remedy=f"{packages.remedy(SFTP_SERVER)}, or use 9p",
        details={"program": SFTP_SERVER},
    )


def choose_share(requested: ShareType, host: host_facts.HostFacts) -> Choice:
    """Choose how to share directories: virtiofs where a virtiofsd is usable and exact, else 9p.

    With the newer virtiofsd, a guest either trusts cached data for a second, or caches nothing.
    Without a cache, Linux before 6.6 cannot map a file with MAP_SHARED. So this function takes the
    newer virtiofsd only when the config asks for virtiofs.

    Raises:
        errors.ProgramMissing: the config asks for virtiofs and no virtiofsd is installed, or for
            reverse-sshfs and no sftp-server is.
        errors.PermissionMissing: the config asks for virtiofs and this user cannot run the
            installed virtiofsd.
    """
    found = host.virtiofsd
    if requested == "9p":
        return Choice(name="9p", reason="asked for in the config")
    if requested == SSHFS:
        return _sshfs(host)
    if found is not None and found.usable:
        if requested == "auto" and found.flavour == "rust":
            return Choice(name="9p", reason=f"{found.path} caches too long, or not at all")
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
