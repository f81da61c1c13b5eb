"""The report of ``gaovm doctor``: what each check found and, if needed, the remedy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from gaovm import errors
from gaovm.builder import backends, packages
from gaovm.hostfacts import accelerator, cage, homes, host, limits, programs, subids
from gaovm.platform import priority
from gaovm.spec.base import Frozen

Level = Literal["ok", "warn", "fail"]
GIB = 1 << 30
# enough for a VM of the default size; and for the image with its build directory beside it
_MEMORY_WANTED = 2 * GIB
_MEMORY_NEEDED = GIB // 2
_DISK_WANTED = 5 * GIB
_DISK_NEEDED = 2 * GIB


class Check(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the report.

    ``remedy`` is advice or a command of the system. If all is well, it and ``actions`` are empty.
    """

    name: str
    level: Level
    found: str
    remedy: str = ""
    actions: tuple[errors.Action, ...] = ()


def checks(home: Path) -> list[Check]:
    """Run every check, the most important first. Probes the accelerator again."""
    result = [_hypervisor(), _accelerator()]
    tools = [tuple(tool) for backend in backends.present() for tool in backend.tools]
    result += [_program(name, why) for name, why in (*tools, *_PROGRAMS)]
    for check in (
        _virtiofsd,
        _uefi,
        _kernel,
        _memory,
        lambda: _home(home),
        lambda: _disk(home),
        _network,
        _cage,
        _namespaces,
        _real_time,
    ):
        result.append(check())
    if os.geteuid() != 0:
        why = "needed to build images without root"
        result += [_program(name, why) for name in packages.IMAGE_BUILD_WITHOUT_ROOT]
        result.append(_subids())
    return result


_PROGRAMS = (*((program, "needed to build images") for program in packages.IMAGE_BUILD),)


def _hypervisor() -> Check:
    table = [backend.hypervisors for backend in backends.present()]
    wanted = [programs_of[host.arch()] for programs_of in table if host.arch() in programs_of]
    found = programs.find_all(name for programs_of in table for name in programs_of.values())
    if not found.keys() & set(wanted):
        return Check(
            name="hypervisor",
            level="fail",
            found=f"{wanted[0]} is not installed",
            remedy=packages.remedy(wanted[0]),
        )
    return Check(name="hypervisor", level="ok", found=", ".join(sorted(found.values())))


def _accelerator() -> Check:
    facts = accelerator.probe()
    for fact in facts:
        if fact.usable:
            return Check(name="accelerator", level="ok", found=f"{fact.name}: {fact.reason}")
    why = "; ".join(fact.reason for fact in facts) or "this system has none"
    return Check(
        name="accelerator",
        level="warn",
        found=f"tcg (emulation, several times slower): {why}",
        remedy=_accelerator_remedy(why),
    )


def _accelerator_remedy(why: str) -> str:
    if "may not open" in why:
        return "sudo usermod -aG kvm $USER, then log in again"
    return "switch on virtualisation in the firmware, or nested virtualisation for this machine"


def _program(program: str, why: str) -> Check:
    path = programs.find(program)
    if path is None:
        return Check(
            name=program,
            level="fail",
            found=f"not installed; {why}",
            remedy=packages.remedy(program),
        )
    return Check(name=program, level="ok", found=path)


def _virtiofsd() -> Check:
    found = programs.virtiofsd()
    if found is not None and found.usable:
        return Check(name="shares", level="ok", found=f"virtiofs: {found.path}, {found.reason}")
    why = "no virtiofsd is installed" if found is None else found.reason
    return Check(
        name="shares",
        level="ok",
        found=f"9p: {why}",
        remedy=f"{packages.remedy('virtiofsd')} (Debian 13 and later) for faster shares",
    )


def _uefi() -> Check:
    arch = host.arch()
    found = programs.uefi().get(arch)
    if found is None:
        return Check(
            name="uefi",
            level="warn",
            found=f"no UEFI firmware for {arch}; images of distributions need it to boot",
            remedy=packages.remedy(f"UEFI for {arch}"),
        )
    return Check(name="uefi", level="ok", found=found.code)


def _kernel() -> Check:
    return Check(name="kernel", level="ok", found=host.kernel())


def _memory() -> Check:
    memory = limits.memory()
    free = memory.available_bytes
    level: Level = "ok" if free >= _MEMORY_WANTED else "warn" if free >= _MEMORY_NEEDED else "fail"
    remedy = "" if level == "ok" else "stop VMs or programs, or set less `memory` in the config"
    found = f"{_gib(free)} of {_gib(memory.total_bytes)} available"
    return Check(name="memory", level=level, found=found, remedy=remedy)


def _home(home: Path) -> Check:
    try:
        homes.check(str(home), write=True)
    except errors.HostError as exc:
        return Check(name="home", level="fail", found=exc.message, remedy=exc.advice or "")
    return Check(name="home", level="ok", found=str(home))


def _disk(home: Path) -> Check:
    try:
        free = limits.disk_free_bytes(home)
    except OSError as exc:
        return Check(name="disk", level="fail", found=f"{home}: {exc.strerror}")
    level: Level = "ok" if free >= _DISK_WANTED else "warn" if free >= _DISK_NEEDED else "fail"
    found = f"{_gib(free)} free at {home}"
    if level == "ok":
        return Check(name="disk", level=level, found=found)
    return Check(
        name="disk",
        level=level,
        found=found,
        remedy="remove images, or set GAOVM_HOME to a larger disk",
        actions=(errors.Action("prune_images"),),
    )


def _network() -> Check:
    tun = Path("/dev/net/tun").exists()
    extra = "tun is there" if tun else "no tun device"
    carrier = programs.passt()
    if carrier is None or not carrier.usable:
        why = "passt is not installed" if carrier is None else carrier.reason
        return Check(
            name="network",
            level="warn",
            found=f"slirp, which lets guests reach servers on the host's 127.0.0.1: {why}",
            remedy=packages.remedy("passt") if carrier is None else "allow user namespaces",
        )
    try:
        servers = [
            line.split()[1]
            for line in Path("/etc/resolv.conf").read_text(errors="replace").splitlines()
            if line.startswith("nameserver") and len(line.split()) > 1
        ]
    except OSError:
        servers = []
    if not servers:
        return Check(
            name="network",
            level="warn",
            found=f"passt; the host has no DNS server; {extra}",
            remedy="name a server in /etc/resolv.conf: guests ask the host's",
        )
    found = f"passt, DNS through the host's ({', '.join(servers[:3])}); {extra}"
    return Check(name="network", level="ok", found=found)


def _cage() -> Check:
    name = "cage"
    try:
        found = cage.find()
    except errors.HostError as exc:
        return Check(name=name, level="fail", found=exc.message, remedy=exc.advice or "")
    if found.absent:
        switched_off = bool(found.held)
        return Check(
            name=name,
            level="warn",
            found=f"{found.absent}; hypervisors run with all rights of their user",
            remedy="unset GAOVM_CONFINE and stop the daemon" if switched_off else "",
            actions=(errors.Action("stop_daemon"),) if switched_off else (),
        )
    held = ", ".join(found.held)
    if "namespaces" in found.missing:
        return Check(
            name=name,
            level="warn",
            found=f"{held}; no namespaces: {found.missing['namespaces']}",
            remedy="allow user namespaces, or run GaoVM as root",
        )
    lacks = "".join(f"; no {what}: {why}" for what, why in found.missing.items())
    return Check(name=name, level="ok", found=held + lacks)


def _namespaces() -> Check:
    name = "user namespaces"
    if os.geteuid() == 0:
        return Check(name=name, level="ok", found="not needed as root")
    closed = host.closed_user_namespaces()
    if closed is not None:
        setting = closed.removeprefix("/proc/sys/").replace("/", ".")
        value = 10000 if "max" in setting else 1
        return Check(
            name=name,
            level="fail",
            found=f"{closed} is 0; needed to build images without root",
            remedy=f"sudo sysctl -w {setting}={value}",
        )
    return Check(name=name, level="ok", found="allowed")


def _real_time() -> Check:
    name = "real time"
    if priority.switched_off():
        found = f"switched off ({priority.VARIABLE}=0): VMs are watched at the usual priority"
    elif why := priority.refusal():
        found = f"not used, which may delay news of a dead VM by milliseconds: {why}"
    else:
        found = f"lent to the daemon for at most {priority.STRETCH_S * 1000:.0f} ms at a time"
    return Check(name=name, level="ok", found=found)


def _subids() -> Check:
    why = subids.obstacle()
    if why is None:
        found = f"a range of {subids.NEEDED} uids and gids"
        return Check(name="subordinate ids", level="ok", found=found)
    return Check(
        name="subordinate ids",
        level="fail",
        found=why,
        remedy=subids.REMEDY,
    )


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB"
