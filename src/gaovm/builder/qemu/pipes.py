"""The byte channels between QEMU and the driver: monitor, console, agent.

All three are sockets that exist before QEMU starts and that QEMU inherits. So the driver need not
wait for them, and no other process can connect.
"""

from __future__ import annotations

from gaovm.builder.qemu import quoting
from gaovm.builder.qemu.machine import bus

AGENT_PORT = "org.gaovm.agent.0"


def _socket(name: str) -> list[str]:
    return ["-chardev", quoting.joined("socket", {"id": name, "fd": quoting.descriptor(name)})]


def arguments(machine: str) -> list[str]:
    """Return the arguments for the three channels."""
    controller: dict[str, quoting.Json] = {"driver": f"virtio-serial-{bus(machine)}", "id": "ports"}
    port: dict[str, quoting.Json] = {
        "driver": "virtserialport",
        "id": "agent-port",
        "bus": "ports.0",
        "nr": 1,
        "chardev": "agent",
        "name": AGENT_PORT,
    }
    return [
        *_socket("qmp"),
        "-mon",
        quoting.joined("", {"chardev": "qmp", "mode": "control"}),
        *_socket("console"),
        "-serial",
        "chardev:console",
        *_socket("agent"),
        "-device",
        quoting.as_json(controller),
        "-device",
        quoting.as_json(port),
    ]
