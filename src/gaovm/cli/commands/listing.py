"""``gaovm ls``."""

from __future__ import annotations

import os
import sys

from gaovm.cli import calls, colour, options, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HEAD = ("NAME", "STATE", "CPUS", "MEMORY", "DISK", "PORTS", "PROJECT")


def run(parsed: options.Parsed) -> int:
    """List every VM of this home."""
    with calls.connect() as client:
        vms = client.call("vm.list", {})["vms"]
    if parsed.flag("json"):
        output.json_out({"vms": vms})
    elif vms:
        table = output.table(HEAD, [row(vm) for vm in vms])
        output.out(colour.column(table, "STATE", sys.stdout))
    else:
        output.err("No VMs yet. In a project directory:  gaovm init && gaovm up")
    return 0


def row(vm: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    shown = (port for port in vm.get("ports") or () if not port.get("reverse"))
    ports = [port_text(port) for port in shown if port.get("guest_port")]
    return (
        str(vm["name"]),
        "paused" if vm.get("paused") else str(vm["state"]),
        str(vm.get("cpus") or "-"),
        output.size(vm.get("memory_bytes")),
        output.size(vm.get("disk_bytes")),
        " ".join(ports) or "-",
        short_path(str(vm.get("project") or "-")),
    )


def port_text(port: Mapping[str, Any]) -> str:
    """``8080->80``; the host address is shown when it is not 127.0.0.1."""
    host = str(port.get("host_port") or "?")
    if port.get("host_ip") not in (None, "127.0.0.1"):
        host = f"{port['host_ip']}:{host}"
    if port.get("host_socket"):
        host = str(port["host_socket"]).rpartition("/")[2]
    proto = "/udp" if port.get("proto") == "udp" else ""
    return f"{host}->{port.get('guest_port')}{proto}"


def short_path(path: str) -> str:
    """The path with the home directory written as ``~``."""
    home = os.environ.get("HOME", "")
    if home and home != "/" and (path == home or path.startswith(home + "/")):
        return "~" + path[len(home) :]
    return path


LS = options.Command(
    "ls",
    run,
    about="List the VMs: state, size, forwarded ports and project directory.",
    options=(options.JSON,),
    examples=("gaovm ls", "gaovm ls --json"),
)
