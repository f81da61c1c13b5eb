"""QEMU user networking: outbound access and DNS without root. Ports go through the agent."""

from __future__ import annotations

import hashlib

from gaovm.builder.qemu import quoting
from gaovm.builder.qemu.machine import bus
from gaovm.spec.vm import VmSpec

NETWORK = "10.0.2.0/24"
GUEST = "10.0.2.15"
GATEWAY = "10.0.2.2"
DNS = "10.0.2.3"
INTERFACE = "eth0"
#: Whether QEMU itself makes the guest's connections, and so needs the host's network.
MADE_BY_QEMU = True


def mac(name: str) -> str:
    """A stable address for the VM's interface, in QEMU's own range."""
    tail = hashlib.sha256(name.encode()).digest()[:3]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


def kernel_argument(spec: VmSpec) -> str:
    """The guest's address, fixed on the kernel's command line: DHCP would cost a round trip."""
    return f"ip={GUEST}::{GATEWAY}:255.255.255.0:{spec.guest.hostname}:{INTERFACE}:off:{DNS}"


def arguments(spec: VmSpec, machine: str) -> list[str]:
    """Arguments for the network card."""
    # IPv6 off: QEMU announces a prefix even when the host has no route, and clients then wait
    netdev: dict[str, quoting.Json] = {
        "type": "user",
        "id": "net0",
        "net": NETWORK,
        "host": GATEWAY,
        "dns": DNS,
        "dhcpstart": GUEST,
        "hostname": spec.guest.hostname,
        "ipv6": False,
    }
    device: dict[str, quoting.Json] = {
        "driver": f"virtio-net-{bus(machine)}",
        "id": "nic0",
        "netdev": "net0",
        "mac": mac(spec.name),
    }
    if machine != "microvm":
        device["romfile"] = ""  # no network boot ROM for the firmware to run
    return ["-netdev", quoting.as_json(netdev), "-device", quoting.as_json(device)]
