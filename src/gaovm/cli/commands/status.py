"""``gaovm status``: all about one VM, in sections."""

from __future__ import annotations

import sys

from gaovm.cli import calls, colour, options, output, target
from gaovm.cli.commands import listing
from gaovm.errors import actions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_LABEL = 12


def run(parsed: options.Parsed) -> int:
    """Show one VM; with --guest also what its agent reports."""
    with calls.connect() as client:
        name = target.vm_name(parsed)
        params: dict[str, Any] = {"name": name}
        if parsed.flag("guest"):
            params["guest"] = True
        vm = calls.call(client, "vm.status", params)
        if vm.get("ports") and vm.get("observed") == "running":
            # only the guest knows what listens in it, and a status never waits for a guest
            vm["ports"] = calls.call(client, "vm.ports.list", {"name": vm["name"]})["ports"]
    if parsed.flag("json"):
        output.json_out(vm)
    else:
        output.out(colour.words_at(text(vm, name), _LABEL + 1, sys.stdout))
    return 0


def text(vm: Mapping[str, Any], name: str = "") -> str:
    """The status of a VM for people; ``name`` is how the user names it, for commands."""
    state = str(vm["state"])
    detail = "; ".join(part for part in (str(vm.get("detail") or ""), _next_step(vm, name)) if part)
    lines = [_line(str(vm["name"]), f"{state} ({detail})" if detail else state)]
    lines += _machine(vm) + _times(vm) + _mounts(vm) + _network(vm) + _ports(vm) + _places(vm)
    lines += _cage(vm.get("confinement"))
    lines += _restarts(vm.get("restarts"))
    lines += _pending(vm, name) + _guest(vm) + _error(vm.get("last_error"))
    return output.harmless("\n".join(lines))


def _line(label: str, value: str) -> str:
    """Write a value beside its label; further lines go below it, never where a label stands."""
    first, *more = value.split("\n")
    return "\n".join([f"{label:{_LABEL}} {first}", *(f"{'':{_LABEL}} {line}" for line in more)])


def _next_step(vm: Mapping[str, Any], name: str) -> str:
    """Return what to do about a VM that is paused, or whose first ``up`` has not succeeded."""
    up = target.command("up", name)
    if vm.get("paused"):
        return f"`{target.command('resume', name)}` lets it go on"
    if vm["state"] == "interrupted":
        return f"`{up}` waits for it"
    if vm["state"] == "stopped" and vm.get("first_up") == "pending":
        return f"`{up}` goes on"
    return f"`{up}` tries again" if vm["state"] == "first-up-failed" else ""


def _machine(vm: Mapping[str, Any]) -> list[str]:
    image = vm.get("image") or {}
    accelerator = vm.get("accelerator") or {}
    unit = "CPU" if vm.get("cpus") == 1 else "CPUs"
    lines = [
        _line(
            "machine",
            f"{vm.get('cpus')} {unit}, {output.size(vm.get('memory_bytes'))} memory, "
            f"{output.size(vm.get('disk_bytes'))} disk, {vm.get('arch')}"
            + (f", {vm['machine']}" if vm.get("machine") else ""),
        )
    ]
    for disk in vm.get("additional_disks") or ():
        size = disk.get("size_bytes")
        held = "there is no such disk" if size is None else output.size(size)
        lines.append(_line("disk", f"{disk.get('name')} at {disk.get('mount_point')} ({held})"))
    if accelerator.get("name"):
        reason = accelerator.get("reason")
        lines.append(_line("accelerator", accelerator["name"] + (f": {reason}" if reason else "")))
    if image.get("name"):
        digest = output.short_digest(image.get("digest"))
        parts = [image["name"], image.get("kernel") and f"{image['kernel']} kernel", digest]
        lines.append(_line("image", ", ".join(str(part) for part in parts if part)))
    return lines + _usage(vm.get("usage") or {})


def _usage(usage: Mapping[str, Any]) -> list[str]:
    """Write what the VM takes of the host; ``machine`` says what the guest gets."""
    if not usage:
        return []
    taken = [f"{output.size(usage.get('disk_bytes'))} disk"]
    if usage.get("processes"):
        count = usage["processes"]
        memory = output.size(usage.get("memory_bytes"))
        unit = "process" if count == 1 else "processes"
        taken.insert(0, f"{memory} memory in {count} {unit}")
    return [_line("takes", ", ".join(taken))]


def _times(vm: Mapping[str, Any]) -> list[str]:
    lines = []
    if vm.get("started_at") and vm.get("observed") in ("running", "starting"):
        lines.append(_line("started", str(vm["started_at"])))
    boot = vm.get("boot") or {}
    spans = [
        f"{what} after {output.duration(boot[key] / 1000)}"
        for key, what in (("agent_ms", "agent"), ("ready_ms", "ready"))
        if isinstance(boot.get(key), int | float)
    ]
    if spans:
        lines.append(_line("boot", ", ".join(spans)))
    return lines


def _mounts(vm: Mapping[str, Any]) -> list[str]:
    lines = []
    for mount in vm.get("mounts") or ():
        location, point = mount.get("location"), mount.get("mount_point")
        where = str(location) if location == point else f"{location} at {point}"
        kind = f"{mount.get('type')}" + (f", {mount['reason']}" if mount.get("reason") else "")
        mode = "writable" if mount.get("writable") else "read-only"
        lines.append(_line("mount", f"{where} ({mode}; {kind})"))
        if guard := mount.get("guard"):
            holds = ", ".join(str(each) for each in guard.get("in_force") or ())
            lines.append(_line("  guard", f"served by user id {guard.get('uid')}; {holds}"))
    return lines


def _network(vm: Mapping[str, Any]) -> list[str]:
    network = vm.get("network") or {}
    kind, opened = network.get("type"), network.get("host_access")
    if not kind:
        return []
    host = "the host is open to it (hostAccess)" if opened else "the host's 127.0.0.1 is closed"
    if kind == "slirp" and not opened:
        host = "warning: it reaches the host's 127.0.0.1"
    lines = [_line("network", f"{kind}: {network.get('reason')}; {host}")]
    if network.get("problem"):
        lines.append(_line("  problem", str(network["problem"])))
    return lines


def _ports(vm: Mapping[str, Any]) -> list[str]:
    lines = [_line("port", port_line(port)) for port in vm.get("ports") or ()]
    if vm.get("ports_problem"):
        lines.append(_line("  problem", str(vm["ports_problem"])))
    return lines


def port_line(port: Mapping[str, Any]) -> str:
    """Write one forwarded port for people, with its state."""
    problem = f": {port['problem']}" if port.get("problem") else ""
    return f"{port_way(port)} ({port_state(port)}{problem})"


def port_way(port: Mapping[str, Any]) -> str:
    """Write from where a port is forwarded, and to where."""
    arrow = "<-" if port.get("reverse") else "->"
    return f"{host_end(port)} {arrow} {guest_end(port)} in the VM"


def host_end(port: Mapping[str, Any], free: str = "(free one)") -> str:
    """Write the host's end of a forward: an address and a port, or a socket."""
    if port.get("host_socket"):
        return str(port["host_socket"])
    return f"{port.get('host_ip')}:{port.get('host_port') or free}" + _proto(port)


def guest_end(port: Mapping[str, Any]) -> str:
    """Write the guest's end of a forward."""
    if port.get("guest_socket"):
        return str(port["guest_socket"])
    return f"{port.get('guest_ip')}:{port.get('guest_port')}" + _proto(port)


def _proto(port: Mapping[str, Any]) -> str:
    return "/udp" if port.get("proto") == "udp" else ""


def port_state(port: Mapping[str, Any]) -> str:
    """Write the state of a forwarded port for people."""
    state = str(port.get("state"))
    return "nobody listens" if state == "no_listener" else state


def _places(vm: Mapping[str, Any]) -> list[str]:
    user = vm.get("user") or {}
    lines = []
    if user.get("name"):
        lines.append(_line("user", f"{user['name']} (uid {user.get('uid')}), {user.get('home')}"))
    if vm.get("project"):
        lines.append(_line("project", listing.short_path(str(vm["project"]))))
    if vm.get("dir"):
        lines.append(_line("files", listing.short_path(str(vm["dir"]))))
    pids = [
        f"{what} {vm[key]}"
        for key, what in (("driver_pid", "driver"), ("hypervisor_pid", "hypervisor"))
        if vm.get(key)
    ]
    if pids:
        lines.append(_line("processes", ", ".join(pids)))
    return lines


def _cage(known: Mapping[str, Any] | None) -> list[str]:
    """Write what confines the hypervisor, and which walls this host lacks."""
    if not known:
        return []
    held = ", ".join(str(word) for word in known.get("in_force") or ())
    lines = [_line("cage", held or "none")]
    for what, why in (known.get("missing") or {}).items():
        lines.append(_line("  missing", f"{what}: {why}"))
    return lines


def _pending(vm: Mapping[str, Any], name: str) -> list[str]:
    """Write what the next start changes; ``gaovm diff`` has the details, and the code for them."""
    fields = [str(found.get("field")) for found in vm.get("pending") or ()]
    if not fields:
        return []
    diff = target.command("diff", name)
    return [_line("pending", f"{', '.join(fields)} (at the next start; see {diff})")]


def _guest(vm: Mapping[str, Any]) -> list[str]:
    if "guest" not in vm:
        return []  # not asked for
    info = vm["guest"]
    if not info:
        return [_line("guest", "does not answer")]
    memory = info.get("memory") or {}
    addresses = [f"{a.get('interface')} {a.get('address')}" for a in info.get("addresses") or ()]
    listeners = [
        f"{a.get('address')}:{a.get('port')}"
        for a in info.get("listeners") or ()
        if a.get("proto") == "tcp"
    ]
    free, total = output.size(memory.get("available_bytes")), output.size(memory.get("total_bytes"))
    lines = [
        _line("guest", f"{info.get('os')}, kernel {info.get('kernel')}"),
        _line("uptime", output.duration(float(info.get("uptime_s") or 0))),
        _line("load", " ".join(str(value) for value in info.get("load") or ())),
        _line("memory", f"{free} free of {total}"),
    ]
    if addresses:
        lines.append(_line("addresses", ", ".join(addresses)))
    if listeners:
        lines.append(_line("listening", ", ".join(listeners)))
    return lines


def _error(last: Mapping[str, Any] | None) -> list[str]:
    if not last:
        return []
    lines = [_line("last error", str(last.get("message")))]
    found = actions.from_wire(last.get("actions"))
    for index, line in enumerate(output.remedy_lines(last.get("remedy"), found)):
        lines.append(_line("" if index else "  remedy", line))
    return lines + [_line("  console", str(line)) for line in last.get("serial_tail") or ()]


def _restarts(restarts: Mapping[str, Any] | None) -> list[str]:
    if not restarts or not restarts.get("attempts"):
        return []
    due = f", the next at {restarts['due_at']}" if restarts.get("due_at") else ""
    count = f"{restarts['attempts']} of {restarts['max_attempts']} in a row"
    return [_line("restarts", f"{count}{due} (policy {restarts['policy']})")]


STATUS = options.Command(
    "status",
    run,
    about="Show all about one VM: state and why, machine, mounts, ports, times, last error.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        options.JSON,
        options.Option("--guest", "also ask the VM: uptime, load, memory, addresses"),
    ),
    examples=("gaovm status", "gaovm status web-dev --guest", "gaovm status --json"),
)
